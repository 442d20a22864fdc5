"""Records what a run was made with, so that results of different settings are never mixed silently.

The file `OUTPUT.run.json` beside the results lists the parts with their settings.
"""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from lakehouse.core.errors import SetupError
from lakehouse.files.disk import write_durably


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of a part: digests of the kind and of its tables, the provider's name of the model.

    `system` is the text of `--system`. `tables` is null if unknown, and then not compared.
    """

    kind: str
    kind_digest: str
    model: str
    tables: dict[str, str] | None
    system: str | None

    def changes(self, later: "Part") -> list[str]:
        """List what another part changed, in words."""
        told = []
        if later.kind != self.kind:
            told.append(f"the kind was {self.kind!r} and is now {later.kind!r}")
        elif later.kind_digest != self.kind_digest:
            told.append(f"the kind {self.kind!r} changed")
        if later.model != self.model:
            told.append(f"the model was {self.model!r} and is now {later.model!r}")
        if self.tables is not None and later.tables is not None:
            names = sorted(self.tables.keys() | later.tables.keys())
            told += [
                f"the table {name!r} changed"
                for name in names
                if self.tables.get(name) != later.tables.get(name)
            ]
        if later.system != self.system:
            told.append("the text of --system changed")
        return told


class _File(msgspec.Struct, frozen=True):
    parts: tuple[Part, ...]


def record_path(output: Path) -> Path:
    """Return the path of the record beside a run's output."""
    return output.with_name(output.name + ".run.json")


class Parts:
    """The parts of one run, kept beside its output."""

    def __init__(self, output: Path) -> None:
        self._path = record_path(output)

    def begin(self, part: Part, *, fresh: bool, mixed: bool) -> list[str]:
        """Begin a part, and return what changed since the last one.

        `fresh`: there is no result yet, so nothing can be mixed.

        Raises:
            SetupError: Something changed, and `mixed` was not asked for; nothing is written then.
        """
        before = () if fresh else self._read()
        changes = before[-1].changes(part) if before else []
        if not before and not fresh:
            changes = [
                f"{self._path.name} is missing: the settings behind the earlier results are unknown"
            ]
        self._refuse(changes, mixed=mixed)
        if not before or changes:
            self._write((*before, part))
        elif before[-1].tables is None and part.tables is not None:
            self._write((*before[:-1], part))
        return changes

    def tables(self, found: Mapping[str, str], *, mixed: bool) -> list[str]:
        """Record the tables of this part, known only after its first session."""
        *before, last = self._read()
        part = msgspec.structs.replace(last, tables=dict(found))
        changes = last.changes(part)
        self._refuse(changes, mixed=mixed)
        if changes or last.tables is None:
            self._write((*before, *((last,) if changes else ()), part))
        return changes

    def _refuse(self, changes: list[str], *, mixed: bool) -> None:
        if changes and not mixed:
            raise SetupError(
                f"{self._path}: since the first part of this run, {'; '.join(changes)}.",
                hint="Choose a new --output, or continue with --mixed to mix the results of both.",
            )

    def _read(self) -> tuple[Part, ...]:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=_File).parts
        except FileNotFoundError:
            return ()
        except (OSError, msgspec.MsgspecError) as error:
            raise SetupError(
                f"{self._path}: cannot be read: {error}.",
                hint="It records the settings behind the results beside it; choose a new --output.",
            ) from error

    def _write(self, parts: tuple[Part, ...]) -> None:
        try:
            write_durably(self._path, msgspec.json.encode(_File(parts)) + b"\n", mode=0o666)
        except OSError as error:
            raise SetupError(f"{self._path}: cannot be written: {error.strerror}.") from error
