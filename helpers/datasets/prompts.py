"""The use case's prompts, from the formats that people have them in: own JSONL, text, CSV, conversations."""

from __future__ import annotations

import csv
import difflib
import io
import json
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from helpers.datasets.lines import Faults, Row, Text, objects, parse, sound
from helpers.datasets.lines import text as read_text
from helpers.errors import InvalidDataset

OUTPUT_TOKENS = 128  # of a prompt that names no length and has no answer beside it
CHARACTERS_PER_TOKEN = 4  # of an answer that stands beside the prompt, whose tokenizer is not known here
CATEGORY = "prompts"
# A column with the request, the first that there is; these are GuideLLM's own names for it.
REQUESTS = ("prompt", "instruction", "question", "input", "text")
CONVERSATIONS = ("messages", "conversations", "conversation")
ALPACA = "input"  # beside an instruction: what it is about
FIELDS = ("id", "category", "output_tokens")
KNOWN = {*REQUESTS, *CONVERSATIONS, *FIELDS}
ROLES = {
    "system": "system", "developer": "system", **dict.fromkeys(("user", "human", "prompter"), "user"),
    **dict.fromkeys(("assistant", "gpt", "chatgpt", "bot", "model", "bing", "bard", "claude"), "assistant"),
}  # fmt: skip
TOOLS = {
    "tool", "function", "observation", "ipython", "function_call", "function_response", "tool_call", "tool_response",
}  # fmt: skip
DELIMITERS = {".csv": ",;\t|", ".tsv": "\t"}
BETWEEN = re.compile(r"[\s,]*")
WHOLE = re.compile(r"([0-9]+)(\.0*)?")  # 128.0 is what pandas makes of 128 where another cell of the column is empty
TYPO = 0.85  # how alike two names are, from 0 to 1: promt and prompt are, idx and id, or input_tokens, are not
LONGEST_CELL = 1 << 30  # characters
Raw = tuple[int, dict[str, Any]]


class Message(BaseModel):
    """One turn of a conversation."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: Literal["system", "user", "assistant"]
    content: Text


class Prompt(Row):
    """A request as a user of the assistant writes it, and what was said before."""

    prompt: Text = Field(description="the request")
    output_tokens: int = Field(gt=0, description="how long an answer should be, in tokens")
    history: tuple[Message, ...] = ()
    line: int = 0

    @property
    def text(self) -> str:
        """The request."""
        return self.prompt

    @property
    def messages(self) -> list[dict[str, str]]:
        """The conversation that ends in the request, as a chat takes it."""
        return [turn.model_dump() for turn in self.history] + [{"role": "user", "content": self.prompt}]


@dataclass
class Prompts:
    """A file's prompts, and what was filled in, left out or not used."""

    rows: list[Prompt] = field(default_factory=list)
    _noted: dict[str, list[int]] = field(default_factory=dict)

    def note(self, what: str, line: int) -> None:
        """Note something of a line; it is told once for all lines."""
        self._noted.setdefault(what, []).append(line)

    @property
    def notes(self) -> list[str]:
        """One line for each kind of thing that was done."""
        return [f"{what}: {_lines(lines)}" for what, lines in self._noted.items()]


def load_prompts(path: Path) -> list[Prompt]:
    """Return all prompts, equal ones once; raises InvalidDataset naming file, line and field of every bad row."""
    return read_prompts(path).rows


def read_prompts(path: Path) -> Prompts:
    """Return the prompts of a file and what was done to them. Raises InvalidDataset as load_prompts does.

    `.jsonl` and `.json` hold objects with a `prompt`, or with `messages` (OpenAI) or `conversations` (ShareGPT), of
    which the last turn of the user is measured, with the turns before it; `.csv` and `.tsv` a column `prompt`; `.txt`
    one prompt a line.
    """
    reader = READERS.get(path.suffix.lower())
    if path.is_file() and not reader:
        do = f"Give a file whose name ends in {', '.join(READERS)}"
        raise InvalidDataset(f"{path} is in no format that prompts come in", do=do)
    faults, found = Faults(path), Prompts()
    ids: dict[str, int] = {}
    asked: dict[str, int] = {}
    for number, raw in (reader or _plain)(path, faults):
        row = _prompt(number, raw, faults, found)
        if row is None:
            continue
        first = ids.setdefault(row.id, number)
        if first != number:
            faults.add(number, f"the same id stands in line {first}", "id")
        elif asked.setdefault(json.dumps(row.messages).strip(), number) != number:
            found.note("left out, because the same prompt stands there before", number)
        else:
            found.rows.append(row)
    faults.tell()
    if not found.rows:
        told = f" ({'; '.join(found.notes)})" if found.notes else ""
        raise InvalidDataset(f"{path} holds no prompt that can be sent{told}", do="Give a file with requests")
    return found


def _prompt(number: int, raw: dict[str, Any], faults: Faults, found: Prompts) -> Prompt | None:
    """Return a row with what it lacks filled in, None where it is left out or has a fault."""
    raw = {name.lower() if name.lower() in KNOWN and name.lower() not in raw else name: raw[name] for name in raw}
    conversation = next((name for name in CONVERSATIONS if name in raw), "")
    request = next((name for name in REQUESTS if name in raw), "prompt")
    values = {name: raw[name] for name in FIELDS if raw.get(name) is not None}
    context = ALPACA if request == "instruction" and not conversation and _content(raw.get(ALPACA)) else request
    if unknown := _unknown(raw, {conversation or request, context, *FIELDS}, number, faults):
        found.note(f"not used: {', '.join(unknown)}", number)
    answer = ""
    if conversation:
        turns = _turns(number, conversation, raw[conversation], faults, found)
        if not turns:
            return None
        last = max(place for place, turn in enumerate(turns) if turn.role == "user")
        answer = turns[last + 1].content if turns[last + 1 :] else ""
        values |= {"prompt": turns[last].content, "history": tuple(turns[:last])}
    elif request in raw:
        values["prompt"] = raw[request] if context == request else f"{raw[request]}\n\n{raw[context]}"
    for name in ("id", "category"):
        if isinstance(values.get(name), int):
            values[name] = str(values[name])
    lacking: dict[str, Any] = {"id": f"line-{number}", "category": CATEGORY}
    if answer:
        lacking["output_tokens"] = max(1, round(len(answer) / CHARACTERS_PER_TOKEN))
        how = f"as long as the answer that stands there, {CHARACTERS_PER_TOKEN} characters a token"
    else:
        lacking["output_tokens"], how = OUTPUT_TOKENS, str(OUTPUT_TOKENS)
    for name in lacking.keys() - values.keys():
        found.note(f"{name} filled in" + (f" ({how})" if name == "output_tokens" else ""), number)
    return parse(number, {**lacking, **values, "line": number}, Prompt, faults)


def _unknown(raw: dict[str, Any], used: set[str], number: int, faults: Faults) -> list[str]:
    """Return the unknown fields; one that is almost a known one is a fault."""
    unknown = [name for name in raw if name not in used]
    for name in unknown:
        if meant := _meant(name, raw):
            faults.add(number, f"no such field; {meant} is meant", name)
    return unknown


def _meant(name: str, names: Collection[str]) -> str:
    """Return the field that is lacking among `names` and almost called so, "" where there is none."""
    asked = any(each in names for each in (*REQUESTS, *CONVERSATIONS))
    lacking = [each for each in (*(() if asked else ("prompt",)), *FIELDS) if each not in names]
    return next(iter(difflib.get_close_matches(name, lacking, n=1, cutoff=TYPO)), "")


def _turns(number: int, name: str, turns: Any, faults: Faults, found: Prompts) -> list[Message]:
    """Return the turns of a conversation, [] where it is left out or has a fault; the last user's is among them."""
    if not isinstance(turns, list) or not all(isinstance(turn, dict) for turn in turns):
        faults.add(number, "not a list of turns, each an object with role and content (or from and value)", name)
        return []
    said: list[Message] = []
    for place, turn in enumerate(turns):
        said_by, content = turn.get("role") or turn.get("from"), _content(turn.get("content", turn.get("value")))
        role = said_by.lower() if isinstance(said_by, str) else ""
        if role in TOOLS or turn.get("tool_calls") or turn.get("function_call"):
            found.note("left out, because it calls tools and a load test sends none", number)
            return []
        if role not in ROLES:
            faults.add(number, f"{said_by!r} is none of the roles {', '.join(ROLES)}", f"{name}.{place}.role")
            return []
        if content is None:
            found.note("left out, because a turn holds no text or more than text", number)
            return []
        said.append(Message.model_construct(role=ROLES[role], content=content))
    first = next((place for place, turn in enumerate(said) if turn.role == "user"), None)
    if first is None:
        found.note("left out, because no user speaks", number)
        return []
    if opening := [turn for turn in said[:first] if turn.role == "assistant"]:
        found.note("begun with the first turn of the user", number)
        said = [turn for turn in said if turn not in opening]
    return said


def _content(content: Any) -> str | None:
    """Return the text of a turn, None where it has none or is more than text."""
    if isinstance(content, list):
        parts = [part for part in content if isinstance(part, dict) and isinstance(part.get("text"), str)]
        content = "\n".join(part["text"] for part in parts) if len(parts) == len(content) else None
    return content if isinstance(content, str) and content.strip() else None


def _json(path: Path, faults: Faults) -> Iterator[Raw]:
    """Yield the objects of a file with one a line, or with one array of them."""
    text = read_text(path)
    if not text.lstrip().startswith("["):
        yield from objects(path, faults)
        return
    decoder, at, number, counted = json.JSONDecoder(), text.index("[") + 1, 1, 0
    while not text.startswith("]", at := BETWEEN.match(text, at).end()):  # type: ignore[union-attr]
        number, counted = number + text.count("\n", counted, at), at
        try:
            values, at = decoder.raw_decode(text, at)
        except (json.JSONDecodeError, RecursionError) as error:
            reason = f"{error.msg} at column {error.colno}" if isinstance(error, ValueError) else "nested too deeply"
            faults.add(getattr(error, "lineno", number), f"not JSON: {reason}")
            return
        if sound(number, values, faults):
            yield number, values
    if rest := text[at + 1 :].strip():
        faults.add(number + text.count("\n", counted, at), f"not JSON: {rest[:20]!r} stands behind the array")


def _table(path: Path, faults: Faults) -> Iterator[Raw]:
    """Yield the rows of a table by the names in its first line; empty cells are left out."""
    text = read_text(path)
    header = text.partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(DELIMITERS[path.suffix.lower()], key=header.count),
                        strict=True)  # fmt: skip
    csv.field_size_limit(LONGEST_CELL)
    number = 1
    try:
        names = [name.strip() for name in next(reader)]
        if missing := not set(REQUESTS) & {name.lower() for name in names}:
            faults.add(1, f"no column {' or '.join(REQUESTS)}, but {', '.join(names)}", "prompt")
        else:
            names = _header(names, faults)
        number = reader.line_num + 1
        for cells in () if missing else reader:
            if any(cell.strip() for cell in cells[len(names) :]):
                faults.add(number, f"{len(cells)} cells, but {len(names)} in the first line", "the whole line")
            elif any(cell.strip() for cell in cells):
                yield number, _cells(names, cells)
            number = reader.line_num + 1
    except csv.Error as error:
        faults.add(number, f"not a table: {error}", "the whole line")


def _header(names: list[str], faults: Faults) -> list[str]:
    """Return the columns' names, "" for one that is a fault: it is told once, and no row is read by it."""
    known = [name.lower() if name.lower() in KNOWN else name for name in names]
    wrong = {name for name in _unknown(dict.fromkeys(known), KNOWN, 1, faults) if _meant(name, known)}
    for name in dict.fromkeys(name for name in known if name and known.count(name) > 1):
        faults.add(1, f"the column stands there {known.count(name)} times", name)
        wrong.add(name)
    return ["" if name in wrong else name for name in known]


def _cells(names: list[str], cells: list[str]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name, cell in zip(names, cells, strict=False):
        if not name:
            continue
        if cell.strip() or name in REQUESTS:
            whole = WHOLE.fullmatch(cell.strip()) if name == "output_tokens" else None
            row[name] = int(whole[1]) if whole else cell
    return row


def _plain(path: Path, faults: Faults) -> Iterator[Raw]:
    """Yield every line that is not blank."""
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if line.strip() and sound(number, row := {"prompt": line.strip()}, faults):
            yield number, row


READERS: dict[str, Callable[[Path, Faults], Iterator[Raw]]] = {
    ".jsonl": _json, ".ndjson": _json, ".json": _json, ".csv": _table, ".tsv": _table, ".txt": _plain,
}  # fmt: skip


def _lines(numbers: list[int]) -> str:
    return f"line {numbers[0]}" if len(numbers) == 1 else f"{len(numbers)} rows, from line {numbers[0]} on"
