"""The file of `create_many(resume=…)`: one JSON line for each item that has ended.

A line has the item's `index`, `request_sha256` of what was asked, `code_sha256` of the Python that
judged, and the members of the session's reply: `verdict`, `session_id`, `artifact`, …; or `error`
where there was no session.
"""

import hashlib
from array import array
from pathlib import Path
from typing import Any, Final

import msgspec

from lakehouse.core.errors import InfraError, SetupError
from lakehouse.core.json_text import ENCODER
from lakehouse.core.metadata import CLIENT_MEMBER, PYTHON_MEMBERS
from lakehouse.core.session import IterateRequest, SessionReply
from lakehouse.files.result_lines import ResultLines
from lakehouse.library.errors import Exhausted, Refused
from lakehouse.library.session import Session
from lakehouse.library.typed_call import TypedCall

AHEAD_MAX: Final = 8_192
"""Items that may have ended while an earlier one runs; so far ahead can the numbers of lines be."""


_OURS: Final = PYTHON_MEMBERS | {CLIENT_MEMBER}


class _Key(msgspec.Struct, frozen=True):
    index: int
    request_sha256: str | None  # None: the prompt was none, so there was no request
    code_sha256: str | None  # None: the source of the code is not known
    verdict: str


class ItemDigests(msgspec.Struct, frozen=True):
    """Digests of what an item asks for, and of the Python code that judges it."""

    request_sha256: str
    code_sha256: str | None


class Known(msgspec.Struct, frozen=True):
    """How an item ended in an earlier run. `same_code`: it was judged by the code of today."""

    session: Session
    same_code: bool


class ResumeFile(ResultLines):
    """The results of one `create_many`. Memory: 8 bytes for each item."""

    writer = "`create_many`"
    moved = "Name another file for `resume`, or move this one away."
    continued = (
        "Free some space, then run it again: it continues where it stopped. The session of the "
        "last item is in the log."
    )

    def __init__(self, path: Path) -> None:
        """Open the file, and read which items have ended.

        Raises:
            SetupError: It has other lines, cannot be written, or another run writes to it.
        """
        super().__init__(path)
        self._offsets = array("q")
        try:
            for number, offset, line in self.lines():
                self._note(self.check(line, number).index, offset, number)
        except BaseException:
            self._file.close()
            raise

    def known(self, index: int, asked: ItemDigests) -> Known | None:
        """Return how an item ended that need not run again: accepted, or exhausted by this code.

        Raises:
            SetupError: The earlier run asked for something else.
        """
        offset = self._offsets[index] if index < len(self._offsets) else -1
        if offset < 0:
            return None
        line = self.line_at(offset)
        key = msgspec.json.decode(line, type=_Key)
        if key.request_sha256 not in {None, asked.request_sha256}:
            raise SetupError(
                f"{self.path}: item {index} is not the same as in the earlier run: its prompt, the "
                "options, the type or the kind changed.",
                hint="Name another file for `resume`, or ask for the same again.",
            )
        same_code = key.code_sha256 == asked.code_sha256 is not None
        if key.verdict == "accepted" or (key.verdict == "max_iter_exhausted" and same_code):
            return Known(Session(msgspec.json.decode(line, type=SessionReply)), same_code)
        return None

    def add(
        self,
        index: int,
        asked: ItemDigests | None,
        session: Session | None,
        error: Exhausted | InfraError | Refused | None,
    ) -> None:
        """Append how an item ended. It outlives the process at once, and the machine after `close`.

        Raises:
            LakehouseError: The disk is full.
        """
        said: dict[str, Any] = {
            "index": index,
            "request_sha256": asked and asked.request_sha256,
            "code_sha256": asked and asked.code_sha256,
        }
        if session is not None:
            line = ENCODER.encode(said)[:-1] + b"," + ENCODER.encode(session.reply)[1:]
        else:
            assert error is not None
            said["verdict"] = "refused" if isinstance(error, Refused) else "infra_error"
            said["error"] = {"code": error.code, "message": error.public, "hint": error.hint}
            line = ENCODER.encode(said)
        self.append_line(line + b"\n")

    def check(self, line: bytes, number: int) -> _Key:
        try:
            return msgspec.json.decode(line, type=_Key)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise self.foreign(number) from error

    def _note(self, index: int, offset: int, number: int) -> None:
        missing = index + 1 - len(self._offsets)
        if index < 0 or index > number + AHEAD_MAX:
            raise self.foreign(number)
        if missing > 0:
            self._offsets.extend([-1] * missing)
        self._offsets[index] = offset


def asked_by(call: TypedCall[Any], kind_digest: str) -> ItemDigests:
    """Return the digests of a call. `context` is not covered: it can be any object.

    What Lakehouse adds to the metadata is not covered either: versions, and code, which is apart.
    """
    request: IterateRequest = call.request
    theirs = {name: text for name, text in request.metadata.items() if name not in _OURS}
    body = ENCODER.encode(msgspec.structs.replace(request, metadata=theirs))
    digests = [check.digest for check in call.registered]
    if call.output.has_code:
        digests.append(call.output.digest)
    code = None if None in digests else _sha256(ENCODER.encode(digests))
    return ItemDigests(_sha256(body + kind_digest.encode()), code)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
