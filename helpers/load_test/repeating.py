"""The operating point measured again: one measurement does not know its own noise, and may have been luck."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from helpers.artifacts import LoadPoint, OperatingPoint
from helpers.artifacts.base import write_atomic
from helpers.load_test import command, report
from helpers.load_test.choosing import describe, may_meet, operating_point, with_repeats
from helpers.load_test.running import Load
from helpers.load_test.settings import Settings

STEPS = 3  # down, at most: each costs REPEATS times MAX_SECONDS
STEP_SEED_OFFSET = 4_000_037  # other prompts than the last step's, which the prefix cache may hold
EARLIER = "{}.repeats.earlier.json"  # of a measurement by its name

Measured = tuple[tuple[LoadPoint, ...], tuple[str, ...]]  # repeats, and warnings about them
Again = Callable[[LoadPoint, int], Measured]


class Repeated(NamedTuple):
    """The operating point that most of its repeats confirm, and all that was measured on the way to it."""

    chosen: OperatingPoint
    repeats: tuple[LoadPoint, ...] = ()
    not_held: tuple[LoadPoint, ...] = ()
    warnings: tuple[str, ...] = ()


def repeated(load: Load, points: tuple[LoadPoint, ...], chosen: OperatingPoint) -> Repeated:
    """Repeat the operating point, and step down to the next lower load where most repeats miss the SLO.

    After STEPS steps, and where no lower load met the SLO, the last one stays, with its repeats. Where no load met it
    at all, the lowest is measured again if its requests leave open whether it missed.
    """
    names = command.files(load.settings.name, repeats=True)
    for old in (*names, EARLIER.format(load.settings.name)):
        (load.folder / old).unlink(missing_ok=True)
    found = stepped(points, chosen, load.settings, partial(_again, load)) if load.settings.repeats else Repeated(chosen)
    if not (found.repeats or found.not_held):
        # A pipeline's node hands on files by name: each has to be there.
        (load.folder / names.report).write_text('{"benchmarks": []}')
    return found._replace(chosen=with_repeats(found.chosen, found.repeats, load.settings.slo))


def stepped(points: tuple[LoadPoint, ...], chosen: OperatingPoint, settings: Settings, again: Again) -> Repeated:
    """Return the highest load whose repeats miss the SLO in no more than half; `again` measures them at one step."""
    if chosen.index is None:
        return _reconsidered(points, chosen, settings, again)
    tried, found = dict[int, str](), Repeated(chosen)
    for step in range(STEPS + 1):
        index = found.chosen.index or 0
        repeats, told = again(points[index], step)
        found = found._replace(repeats=repeats, warnings=(*found.warnings, *told))
        missed = sum(not repeat.meets_slo for repeat in repeats)
        tried[index] = f"{missed} of {len(repeats)}"
        lower = operating_point(points, settings.slo, settings.error_limit, tried)
        if 2 * missed <= len(repeats) or lower.index is None or step == STEPS:
            break
        found = found._replace(chosen=lower, not_held=(*found.not_held, *repeats))
    return found


def _reconsidered(points: tuple[LoadPoint, ...], none: OperatingPoint, settings: Settings, again: Again) -> Repeated:
    """Return the lowest load as the operating point where it missed the SLO by noise: where most repeats meet it."""
    lowest = min(range(len(points)), key=lambda i: (not points[i].enough, points[i].requests_per_second))
    point = points[lowest]
    if not may_meet(point, settings.slo, settings.error_limit):
        return Repeated(none)
    repeats, _ = again(point, 0)
    met = f"{sum(repeat.meets_slo for repeat in repeats)} of {len(repeats)}"
    if 2 * sum(repeat.meets_slo for repeat in repeats) <= len(repeats):
        kept = OperatingPoint(index=None, reason=f"{none.reason}. Measured again, it met it in {met} repeats")
        return Repeated(kept, not_held=repeats)
    reason = f"{point.strategy} is the lowest measured load ({point.requests_per_second:.3g} requests/s). It missed "
    reason += f"{describe(settings.slo)} by little, and met it in {met} repeats"
    return Repeated(OperatingPoint(index=lowest, reason=reason), repeats)


def _again(load: Load, point: LoadPoint, step: int) -> Measured:
    """Return the repeats of a load with their warnings; GuideLLM's report holds those of the steps before it too."""
    count, name = load.settings.repeats, load.settings.name
    path = load.folder / command.files(name, repeats=True).report
    earlier = load.folder / EARLIER.format(name)
    which = "the operating point" if not step else "most repeats missed the SLO; the next lower load"
    load.say(f"{which}, {point.strategy}, is measured {'once' if count == 1 else f'{count} times'} more")
    if step:
        path.replace(earlier)
    seed = load.settings.seed + step * STEP_SEED_OFFSET
    path = load._replace(settings=load.settings.model_copy(update={"seed": seed})).measure(point, step)
    settings, asked = load.settings, load.requests.outputs
    repeats, warnings = report.read_report(path, settings.slo, settings.error_limit, asked, settings.min_requests)
    if step:
        _join(earlier, path)
    missed = sum(not repeat.meets_slo for repeat in repeats)
    told = [f"{point.strategy} missed the SLO in {missed} of {len(repeats)} repeats"] if missed else []
    return repeats, (*told, *(f"repeat: {warning}" for warning in warnings))


def _join(earlier: Path, path: Path) -> None:
    """Put what an earlier report measured before what this one did."""
    both = report.load(path)
    both["benchmarks"][:0] = report.load(earlier)["benchmarks"]
    write_atomic(path, json.dumps(both).encode())
    earlier.unlink()
