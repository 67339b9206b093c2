"""Tell chat channels how a run ended: the verdict, two numbers, how sure that is, and who has to act.

Channels are Apprise's URLs in NOTIFY_URLS, a secret: who has one may write there. A message is plain text whose signs
of markup are replaced, so that no name and no answer of a model calls a channel, hides a link or draws a table. A
channel that does not take a message costs one line and no run.
"""

from __future__ import annotations

import logging
import os
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from helpers.analysis.gate.checks import Check
from helpers.analysis.gate.judging import Judgement
from helpers.analysis.recommendation import Decision
from helpers.analysis.recommendation.contract import Option
from helpers.artifacts import FOLDER, AnyMeasurement, Evaluation, Record
from helpers.artifacts.run import current
from helpers.runtime.environment import NOTIFY_URLS

LINK = "NOTIFY_LINK"  # where people find a run's files, {run} in it is the run's id
LONGEST = 400  # characters of a line
# Look-alikes: what means something in the markup of Slack, Mattermost or Teams, and never in a sentence of ours.
PLAIN = str.maketrans(
    {"<": "\u2039", ">": "\u203a", "[": "\uff3b", "]": "\uff3d", "`": "\u2032", "*": "\u2217", "|": "\u00a6"}
)
CALLS = re.compile(r"@(?=\w)|(?<=:)//|(?<=www)\.")  # a mention, an address that a channel makes a link of
APART = "\u2060"  # joins words without a sign, and nothing that holds it is a name or an address


@dataclass(frozen=True)
class Message:
    """What is told, line by line; every line but the link is made harmless when it is sent."""

    title: str
    verdict: str
    numbers: tuple[str, ...]
    sure: str
    act: str
    link: str = ""

    def text(self) -> str:
        """Return the lines below the title."""
        said = [self.verdict, *self.numbers, self.sure, f"To act: {self.act}"]
        return "\n".join([*map(harmless, said), *([f"See {self.link}"] if self.link else [])])


def harmless(text: str) -> str:
    """Return a text as one line that no channel reads as markup, mention or link."""
    line = " ".join(text.split())
    line = "".join(sign for sign in line if not unicodedata.category(sign).startswith("C"))
    line = CALLS.sub(
        lambda found: f"{found[0]}{APART}" if found[0] == "@" else f"{APART}{found[0]}", line.translate(PLAIN)
    )
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}\u2026"


def of_decision(decision: Decision, folder: Path = FOLDER) -> Message:
    """Return what compare_models tells."""
    acts = {
        "take": "who owns the use case decides; nothing has to be measured",
        "measure": "AI engineers measure more",
        "weigh": "who owns the use case says which task counts",
        "none": "AI engineers try another model",
    }
    doubt = f": {decision.doubts[0].text}" if decision.doubts else ""
    return Message(
        title=decision.headline,
        verdict=decision.sentence,
        numbers=tuple(map(_option, decision.options[:2])),
        sure="Sure" if decision.sure else f"Not sure{doubt}",
        act=acts[decision.action],
        link=_link(folder, "report.html"),
    )


def of_judgement(judgement: Judgement, folder: Path = FOLDER) -> Message:
    """Return what regression_gate tells."""
    said = {
        "pass": ("is no worse than", "Sure, by 90% intervals", "nobody"),
        "fail": (
            judgement.failing,
            "Sure, by 90% intervals",
            "who owns the candidate rejects it, or accepts the record",
        ),
        "inconclusive": ("may be worse than", "Not sure", "AI engineers measure more"),
    }
    verdict, sure, act = said[judgement.state]
    first = sorted(judgement.checks, key=lambda check: ("fail", "inconclusive", "pass").index(check.state))
    return Message(
        title=f"Regression gate: {judgement.state}",
        verdict=f"{judgement.candidate} {verdict} {judgement.baseline}",
        numbers=tuple(map(_check, first[:2])),
        sure=sure,
        act=act,
        link=_link(folder, "gate.md"),
    )


def of_record(record: Record, folder: Path = FOLDER) -> Message:
    """Return what log_results tells."""
    state = record.approval.state if record.approval else ""
    verdict = f"{record.label} is measured on {record.use_case}, as record {record.record_id}"
    if record.approval and state != "approved":
        verdict += f", and {state}: {'; '.join(record.approval.reasons)}"
    unsure = [each.partial for each in record.measurements if each.partial]
    return Message(
        title=f"{record.label} is {state or 'measured'}",
        verdict=verdict,
        numbers=tuple(map(_measurement, _two(record))),
        sure=f"Not sure: {unsure[0]}" if unsure else "Everything that was to be asked was answered",
        act="ModelOps reads the reasons" if state == "rejected" else "nobody",
        link=_link(folder, Record.filename),
    )


def notify(message: Message) -> str:
    """Send a message to every channel of NOTIFY_URLS and return in one line who took it; nothing is raised."""
    urls = os.environ.get(NOTIFY_URLS, "").split()
    if not urls:
        return f"No channel is told: {NOTIFY_URLS} is not set."
    silent = [f"{number} ({_kind(url)})" for number, url in enumerate(urls, 1) if not _sent(url, message)]
    if not silent:
        return f"{len(urls)} of {len(urls)} channels were told."
    return f"WARNING: of {len(urls)} channels in {NOTIFY_URLS}, these did not take the message: {', '.join(silent)}."


def _sent(url: str, message: Message) -> bool:
    from apprise import Apprise, AppriseAsset, NotifyFormat

    logger = logging.getLogger("apprise")
    before, logger.disabled = logger.disabled, True  # it writes addresses
    try:
        channels = Apprise(asset=AppriseAsset(app_id="Assay", app_desc="Assay", app_url="", image_url_mask=""))
        return bool(
            channels.add(url)
            and channels.notify(body=message.text(), title=harmless(message.title), body_format=NotifyFormat.TEXT)
        )
    except Exception:  # noqa: BLE001, whatever a channel's plugin stumbles over: no run is lost by a message
        return False
    finally:
        logger.disabled = before


def _kind(url: str) -> str:
    """Return what kind of channel it is: nothing else of its address may be shown."""
    kind = url.partition("://")[0]
    return kind if re.fullmatch(r"[a-z]{2,20}", kind) else "no address"


def _link(folder: Path, name: str) -> str:
    """Return where the report is: by NOTIFY_LINK, else its file on this machine."""
    place = os.environ.get(LINK, "").strip()
    return (
        f"{place.replace('{run}', current(folder)).rstrip('/')}/{name}" if place else (folder / name).resolve().as_uri()
    )


def _option(option: Option) -> str:
    low, high = option.interval.low, option.interval.high
    return f"{option.label}: {option.accuracy:.1%} ({low:.1%} to {high:.1%}) of {option.n} questions"


def _check(check: Check) -> str:
    return f"{check.name}: {check.seen}; allowed {check.allowed}: {check.state}"


def _two(record: Record) -> list[AnyMeasurement]:
    """Return what the record is known by: its evaluation and its load test, as far as it has them."""
    return [*record.evaluations[:1], *record.load_tests[:1]]


def _measurement(measurement: AnyMeasurement) -> str:
    if isinstance(measurement, Evaluation):
        bounds = measurement.interval
        said = f"{measurement.score:.3f} ({bounds.low:.3f} to {bounds.high:.3f}), {measurement.n} questions"
        return f"{measurement.name}: {said}"
    headline = measurement.headline
    if not headline or not headline.ttft_ms:
        return f"{measurement.name}: no operating point"
    noise = headline.spread.get("ttft_p95_ms")
    sure = f" +/- {noise:.0f} ms, {headline.n} repeats" if noise is not None else ", measured once"
    return f"{measurement.name}: first token within {headline.ttft_ms.p95:.0f} ms (p95){sure}"
