"""The inputs of `lakehouse run`: rows of a file turned into prompts, or refused with their place.

A prompt is text, or a number as written; anything else is refused, and so is a blank prompt. A
template is rendered by Jinja2 in a sandbox; a column that is null or missing is undefined and
cannot be printed.
"""

import hashlib
import unicodedata
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec

from lakehouse.core.errors import SetupError
from lakehouse.core.json_text import NULL, dumps, parse
from lakehouse.tabular.rows import BadRow, FileFault, TableRow, place, read_rows

# Categories of Unicode: white space, control characters, marks such as U+200B that show nothing.
_UNSEEN: Final = frozenset({"Zs", "Zl", "Zp", "Cc", "Cf"})
_TEMPLATE_BYTES_MAX: Final = 1 << 20
_PROMPT_CHARS_MAX: Final = 1 << 23  # a template that makes more is a slip, such as a loop


class Input(msgspec.Struct, frozen=True):
    """One row to run: its number from 0, its prompt, and the caller's columns."""

    index: int
    text: str
    metadata: dict[str, str] = {}
    kept: dict[str, msgspec.Raw] = {}

    @property
    def digest(self) -> str:
        """SHA-256 of the prompt, in hex: an input stays done only while its text is the same."""
        return hashlib.sha256(self.text.encode("utf-8")).hexdigest()


class RefusedRow(msgspec.Struct, frozen=True):
    """One row that cannot be run; `reason` names its place."""

    index: int
    reason: str
    kept: dict[str, msgspec.Raw] = {}


class Inputs(msgspec.Struct, frozen=True):
    """The input file, and how a row becomes a prompt: by `column` or `template`, exactly one."""

    source: Path
    column: str | None
    template: "PromptTemplate | None"
    keep: tuple[str, ...] = ()
    metadata: tuple[str, ...] = ()

    def read(self) -> Iterator[Input | RefusedRow]:
        """Read the rows in file order, one at a time.

        Raises:
            SetupError: The file cannot be read, or lacks a column.
        """
        prompt = self.template.columns if self.template else (self.column or "",)
        columns = dict.fromkeys([*prompt, *self.keep, *self.metadata])
        try:
            for row in read_rows(self.source, tuple(columns)):
                yield self._input(row)
        except FileFault as fault:
            raise SetupError(f"{self.source}: {fault}.") from fault
        except OSError as error:
            raise SetupError(f"{self.source}: {error.strerror or error}.") from error

    def _input(self, row: TableRow | BadRow) -> Input | RefusedRow:
        if isinstance(row, BadRow):
            return RefusedRow(row.index, row.told)
        kept = {name: row.cells.get(name, NULL) for name in self.keep}
        try:
            if self.template is not None:
                text = self.template.render(row.cells)
            else:
                text = _text(self.column or "", row.cells)
            if all(unicodedata.category(char) in _UNSEEN for char in text):
                raise _RowFault("the prompt is blank")
            metadata = {
                name: _text(name, row.cells)
                for name in self.metadata
                if bytes(row.cells.get(name, NULL)) != bytes(NULL)
            }
        except _RowFault as fault:
            return RefusedRow(row.index, f"{place(row.index, row.line)}: {fault}", kept)
        return Input(row.index, text, metadata, kept)


class PromptTemplate:
    """A Jinja2 template of a prompt; its variables are columns."""

    def __init__(self, path: Path) -> None:
        """Read and compile it.

        Raises:
            SetupError: It cannot be read, or is not a template; names the line.
        """
        from jinja2 import StrictUndefined, TemplateSyntaxError, meta  # noqa: PLC0415  only a run with --template
        from jinja2.sandbox import ImmutableSandboxedEnvironment  # noqa: PLC0415  likewise

        try:
            source = path.read_bytes()
            if len(source) > _TEMPLATE_BYTES_MAX:
                raise SetupError(
                    f"{path}: a template may have at most {_TEMPLATE_BYTES_MAX >> 20} MiB."
                )
            text = source.decode("utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise SetupError(f"{path}: cannot be read as a template: {error}.") from error
        environment = ImmutableSandboxedEnvironment(
            undefined=StrictUndefined,
            finalize=_printable,
            autoescape=False,
            keep_trailing_newline=True,
        )
        environment.filters["tojson"] = _to_json  # Jinja2's own escapes for HTML
        try:
            self.columns = tuple(sorted(meta.find_undeclared_variables(environment.parse(text))))
            self._template = environment.from_string(text)
        except TemplateSyntaxError as error:
            raise SetupError(
                f"{path}, line {error.lineno}: not a Jinja2 template: "
                f"{(error.message or '').rstrip('.')}."
            ) from error
        if not self.columns:
            raise SetupError(
                f"{path}: the template names no column, so every prompt would be the same.",
                hint="Write a column as {{ name }}.",
            )

    def render(self, cells: Mapping[str, msgspec.Raw]) -> str:
        """Make the prompt of one row.

        Raises:
            _RowFault: A column is null or missing and was used, or the template failed.
        """
        values = {name: _value(raw) for name, raw in cells.items() if bytes(raw) != bytes(NULL)}
        parts, size = [], 0
        try:
            for part in self._template.generate(
                {name: values[name] for name in self.columns if name in values}
            ):
                parts.append(part)
                size += len(part)
                if size > _PROMPT_CHARS_MAX:
                    raise _RowFault(
                        f"the template produces more than {_PROMPT_CHARS_MAX} characters"
                    )
        except _RowFault:
            raise
        except Exception as error:  # a user's template may raise anything
            raise _RowFault(f"the template: {error or type(error).__name__}") from error
        return "".join(parts)


class _RowFault(Exception):
    """Why a row has no prompt, for people."""


def _text(name: str, cells: Mapping[str, msgspec.Raw]) -> str:
    """Return a cell's text, or its number as it is written."""
    if name not in cells:
        raise _RowFault(f"column {name!r} is missing")
    raw = bytes(cells[name])
    if raw.startswith(b'"'):
        text: str = msgspec.json.decode(raw)
        return text
    if raw[:1] in b"-0123456789":
        return raw.decode("ascii")
    kinds = {b"n": "null", b"t": "a boolean", b"f": "a boolean", b"[": "a list", b"{": "an object"}
    raise _RowFault(f"{name!r} is {kinds[raw[:1]]}; it must be text or a number")


class _Number(Decimal):
    """A number that prints as it is written: `1.10`, not `1.1`."""

    written: str

    def __str__(self) -> str:
        return self.written


def _value(raw: msgspec.Raw) -> object:
    """Make a cell available to a template."""
    text = bytes(raw).decode("utf-8")
    if text[0] not in "-0123456789":
        return parse(text)
    number = _Number(text)
    number.written = text
    return number


def _to_json(value: object) -> str:
    return value.written if isinstance(value, _Number) else dumps(value)


def _printable(value: Any) -> Any:
    """Refuse to print what is neither text nor a number: Python's forms are no prompt."""
    if value is None or isinstance(value, bool | list | tuple | dict):
        raise _RowFault(f"{value!r:.60} is neither text nor a number; `| tojson` prints any value")
    return value
