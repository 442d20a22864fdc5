"""Commands that ask again what a session asked: made of its row, to be copied from a page.

Prompts come from anybody. So a shell expands nothing in these commands, no character of them is
invisible or turns the direction of reading, and each is the same when it is copied from a screen.
"""

import json
import pprint
import re
import shlex
import textwrap
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any, Final, get_args

import msgspec

from lakehouse.core.ids import SESSION_ID_PATTERN
from lakehouse.core.json_text import JsonError, compact, parse
from lakehouse.core.kind import CandidatesMode
from lakehouse.core.limits import (
    BODY_BYTES_MAX,
    DEADLINE_MS_MAX,
    ITERATIONS_MAX,
    MESSAGES_MAX,
    SEED_MAX,
    STOPS_MAX,
    TEMPERATURE_MAX,
    TOKENS_MAX,
    TOP_P_MAX,
)
from lakehouse.core.metadata import (
    AFTER_MEMBER,
    CHECKS_MEMBER,
    CLIENT_MEMBER,
    DOOR_MEMBER,
    PYTHON_MEMBERS,
    RESERVED_MEMBERS,
    SOURCE_MEMBER,
)
from lakehouse.core.row import Row
from lakehouse.core.wording import shown
from lakehouse.sessionlog.reading.filters import REPLAY_DAEMON

KEY_VARIABLE: Final = "LAKEHOUSE_API_KEY"
_NULL: Final = b"null"
_WIDTH: Final = 88
_INT64: Final = range(-(2**63), 2**63)
# Beside what Python calls not printable: marks and fillers that take no space, or pile up.
_UNSEEN: Final = (
    "\u0300-\u036f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff"
    "\u2800\u3164\ufe00-\ufe0f\ufe20-\ufe2f\uffa0\ufffc\U000e0100-\U000e0fff"
)
_ODD: Final = re.compile(f"[\x7f-\xa0\xad{_UNSEEN}]|[^\x00-\xff]")
_UNSEEN_ONE: Final = re.compile(f"[{_UNSEEN}]")
_RANGES: Final = (
    ("max_iterations", 1, ITERATIONS_MAX),
    ("max_tokens", 1, TOKENS_MAX),
    ("seed", 0, SEED_MAX),
    ("deadline_ms", 1, DEADLINE_MS_MAX),
    ("temperature", 0, TEMPERATURE_MAX),
    ("top_p", 0, TOP_P_MAX),
)


class SessionCall(msgspec.Struct, frozen=True):
    """A command or program. `text` is None where the session cannot be asked for again.

    `notes` are sentences that say why, or what will not be as it was.
    """

    text: str | None
    notes: tuple[str, ...]


class SessionCalls(msgspec.Struct, frozen=True):
    """The session again: as a replay that compares, by curl, and in Python."""

    replay: SessionCall
    curl: SessionCall
    python: SessionCall


def calls_of(row: Row, *, gateway_url: str, needs_key: bool) -> SessionCalls:
    """Return the commands. With `needs_key` they take the API key from `KEY_VARIABLE`."""
    request = _Request(row)
    url = gateway_url.rstrip("/")
    return SessionCalls(
        _replay(row),
        request.call(lambda members: _curl(members, url, needs_key=needs_key)),
        request.call(lambda members: _python(members, url, needs_key=needs_key), in_python=True),
    )


def _replay(row: Row) -> SessionCall:
    if row.verdict == "infra_error":
        return SessionCall(None, ("A session that could not be judged has nothing to compare.",))
    if _inputs_cut(row):
        return SessionCall(None, ("The log cut a text of the session: it cannot be replayed.",))
    if not row.metadata.keys().isdisjoint({SOURCE_MEMBER, CHECKS_MEMBER}):
        why = (
            "Python code judged this session too, which a replay does not have: configure the "
            "type as a kind, with `python`, and replay with --as-kind."
        )
        return SessionCall(None, (why,))
    if SESSION_ID_PATTERN.fullmatch(row.row_id) is None:
        return SessionCall(None, ("The row's id is none that Lakehouse writes.",))
    daemon = f" --daemon {REPLAY_DAEMON}" if row.daemon == REPLAY_DAEMON else ""
    return SessionCall(
        f"lakehouse replay{daemon} --where \"row_id = '{row.row_id}'\"", tuple(_kind_notes(row))
    )


class _Request:
    """The request of a row: its members as JSON, in order, and what of it will not be the same."""

    def __init__(self, row: Row) -> None:
        self.faults: list[str] = []
        self.notes: list[str] = []
        self._after = row.metadata.get(AFTER_MEMBER)
        self._members: dict[str, bytes] = dict(self._of(row))
        self._check(row)

    def call(
        self, write: Callable[[Mapping[str, bytes]], str], *, in_python: bool = False
    ) -> SessionCall:
        if self.faults:
            return SessionCall(None, tuple(self.faults))
        members, notes = dict(self._members), list(self.notes)
        if self._after is not None and in_python:
            notes.append(
                f"`metadata.{AFTER_MEMBER}` is left out: only the client itself writes it. The "
                "last message then counts as a text of the user."
            )
        elif self._after is not None:
            metadata = {**json.loads(members["metadata"]), AFTER_MEMBER: self._after}
            members["metadata"] = _encoded(metadata)
        if members["metadata"] == b"{}":
            del members["metadata"]
        return SessionCall(write(members), tuple(notes))

    def _of(self, row: Row) -> Iterator[tuple[str, bytes]]:
        schema = bytes(row.inline_schema)
        if row.kind is not None:
            yield "kind", _encoded(row.kind)
        if schema != _NULL:
            yield "schema" if row.kind is None else "output_schema", _compacted(schema)
        if row.system is not None:
            yield "system", _encoded(row.system)
        if row.messages is None:
            yield "prompt", _encoded(row.prompt)
        else:
            turns = [{"role": one.role, "content": one.content} for one in row.messages]
            yield "messages", _encoded(turns)
        yield "model", _encoded(row.model_alias)
        yield from self._settings(row)
        if row.conversation_id is not None:
            yield "conversation_id", _encoded(row.conversation_id)
        own = RESERVED_MEMBERS | PYTHON_MEMBERS | {CLIENT_MEMBER}
        kept = {name: text for name, text in row.metadata.items() if name not in own}
        yield "metadata", _encoded(kept)

    def _settings(self, row: Row) -> Iterator[tuple[str, bytes]]:
        settings = row.settings
        values = {"max_iterations": _encoded(row.max_iterations)}
        values |= {
            name: bytes(raw) if isinstance(raw, msgspec.Raw) else _encoded(raw)
            for name, _, _ in _RANGES[1:]
            if (raw := getattr(settings, name)) is not msgspec.UNSET
        }
        for name, low, high in _RANGES:
            value = values.get(name, _NULL)
            if value == _NULL:
                continue
            if _is_within(value, low, high):
                yield name, value
            else:
                self._left_out(name, value.decode(), f"{low} to {high}")
        if settings.constrain != "auto":
            yield "constrain", _encoded(settings.constrain)
        if settings.candidates is not msgspec.UNSET:
            allowed = get_args(CandidatesMode)
            if settings.candidates in allowed:
                yield "candidates", _encoded(settings.candidates)
            else:
                self._left_out("candidates", settings.candidates, ", ".join(allowed))
        if settings.stop is not msgspec.UNSET:
            if len(settings.stop) <= STOPS_MAX and "" not in settings.stop:
                yield "stop", _encoded(settings.stop)
            else:
                self._left_out("stop", "this list", f"at most {STOPS_MAX} texts, none empty")
        if settings.asserts_formats:
            yield "assert_formats", b"true"

    def _left_out(self, name: str, value: str, allowed: str) -> None:
        part = value if len(value) <= 40 else value[:40] + "…"
        self.notes.append(f"`{name}` is left out: {part} is not allowed now ({allowed} is).")

    def _check(self, row: Row) -> None:
        if row.kind is None and "schema" not in self._members:
            self.faults.append("The row names neither a kind nor a schema.")
        messages = row.messages
        if messages is not None and "user" not in {one.role for one in messages}:
            self.faults.append("The row's messages have no turn of the user.")
        if messages is not None and len(messages) > MESSAGES_MAX:
            self.faults.append(f"The row has more than {MESSAGES_MAX} messages.")
        for name in ("schema", "output_schema"):
            try:
                parse(self._members.get(name, _NULL).decode("utf-8"))
            except JsonError as error:
                self.faults.append(f"The row's schema cannot be sent: {error}.")
        if sum(len(value) for value in self._members.values()) > BODY_BYTES_MAX:
            self.faults.append(f"The request would take more than {BODY_BYTES_MAX:,} bytes.")
        if _inputs_cut(row):
            self.notes.append("The log cut a text of the session; only the part it kept is sent.")
        if not row.metadata.keys().isdisjoint({SOURCE_MEMBER, CHECKS_MEMBER}):
            self.notes.append("Python code judged the answers too; it does not run in this call.")
        if DOOR_MEMBER in row.metadata:
            self.notes.append(
                "The session came another way (`metadata.door` is "
                f"{shown(row.metadata[DOOR_MEMBER])}); this call goes to /v1/iterate."
            )
        self.notes += _kind_notes(row)


def _kind_notes(row: Row) -> Iterator[str]:
    if row.kind is not None:
        yield "The kind and its tables are taken as they are now; they may have changed since."


def _inputs_cut(row: Row) -> bool:
    markers = [row.prompt_truncated, row.system_truncated]
    markers += [message.content_truncated for message in row.messages or ()]
    return any(marker is not msgspec.UNSET for marker in markers)


def _is_within(value: bytes, low: float, high: float) -> bool:
    try:
        number = parse(value.decode())
    except JsonError:
        return False
    return isinstance(number, int | float | Decimal) and low <= number <= high


def _curl(members: Mapping[str, bytes], url: str, *, needs_key: bool) -> str:
    """Write the body on standard input: one argument of a command has at most 128 KiB.

    The quoted word after `<<` makes the shell take the body as it is; no line of indented JSON is
    that word.
    """
    body = b"{%b}" % b",".join(b'"%b":%b' % (name.encode(), raw) for name, raw in members.items())
    text = _ODD.sub(_json_escape, msgspec.json.format(body, indent=2).decode("utf-8"))
    key = f'  -H "Authorization: Bearer ${KEY_VARIABLE}" \\\n' if needs_key else ""
    return (
        f"curl -sS {shlex.quote(f'{url}/v1/iterate')} \\\n{key}"
        "  -H 'Content-Type: application/json' --data-binary @- <<'JSON'\n"
        # An interactive shell may replace `!` even there.
        f"{text.replace('!', chr(92) + 'u0021')}\nJSON\n"
    )


def _python(members: Mapping[str, bytes], url: str, *, needs_key: bool) -> str:
    values = {name: _EXACT.decode(raw.decode("utf-8")) for name, raw in members.items()}
    arguments = "".join(f"{name}={_literal(value)},\n" for name, value in values.items())
    key = f'os.environ["{KEY_VARIABLE}"]' if needs_key else "None"
    imports = "import os\n" if needs_key else ""
    if "Decimal(" in arguments:
        imports += "from decimal import Decimal\n"
    return (
        f"{imports}{imports and chr(10)}import lakehouse\n\n"
        f"with lakehouse.connect({_literal(url)}, api_key={key}) as lake:\n"
        f"    session = lake.iterate(\n{textwrap.indent(arguments, ' ' * 8)}    )\n"
        "print(session.verdict, session.session_id)\n"
        "print(session.artifact_json.decode())\n"
    )


def _literal(value: object) -> str:
    """Write a value in Python. A line break in it is written as an escape, so lines are free."""
    return _UNSEEN_ONE.sub(_python_escape, pprint.pformat(value, width=_WIDTH, sort_dicts=False))


def _json_escape(match: re.Match[str]) -> str:
    character = match[0]
    if character.isprintable() and _UNSEEN_ONE.match(character) is None:
        return character
    return json.dumps(character)[1:-1] if character != "\x7f" else "\\u007f"


def _python_escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _integer(text: str) -> int | Decimal:
    number = int(text)
    return number if number in _INT64 and str(number) == text else Decimal(text)


def _fraction(text: str) -> float | Decimal:
    number = float(text)
    return number if repr(number) == text else Decimal(text)


# Numbers keep their text: `1.10`, or one that no double can hold, is a `Decimal`.
_EXACT: Final = json.JSONDecoder(parse_int=_integer, parse_float=_fraction)


def _encoded(value: Any) -> bytes:
    return msgspec.json.encode(value)


def _compacted(schema: bytes) -> bytes:
    return compact(schema.decode("utf-8"))
