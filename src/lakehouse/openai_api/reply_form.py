"""What a reply repeats of its request, and the checked answer in the form that was asked for.

The row keeps it in its metadata, so that a reply can be built again from the log, byte for byte.
"""

from functools import lru_cache
from typing import Final, cast

import msgspec

from lakehouse.core.metadata import FORMAT_MEMBER, FUNCTION_MEMBER, MODEL_MEMBER
from lakehouse.core.row import Row
from lakehouse.core.session import SessionReply
from lakehouse.engine.run import session_reply
from lakehouse.openai_api.contract import FormatType
from lakehouse.openai_api.failure import DoorFailure, failure_of_reply
from lakehouse.openai_api.told_answer import FinishedBy, SessionFacts, ToldAnswer

ANY_FUNCTION: Final = "*"
"""Stands for a function that the artifact names: `{"name": …, "arguments": …}`."""

_LEGACY: Final = "function_call:"
_DIGEST_PREFIX: Final = "sha256:"
_FINGERPRINTS_KEPT: Final = 256
_FINGERPRINT_DIGITS: Final = 12


class ReplyForm(msgspec.Struct, frozen=True, kw_only=True):
    """What a reply repeats of its request.

    `model` is as the caller wrote it. `function` is the function whose arguments the artifact is,
    or `ANY_FUNCTION`; None: the artifact is the content. `legacy`: the call is told in the older
    form, `function_call`. `format` is the type of the content's format.
    """

    model: str
    function: str | None = None
    legacy: bool = False
    format: FormatType = "text"

    def metadata(self) -> dict[str, str]:
        """Return the members of the row's metadata from which `stored_answer` finds the form."""
        members = {MODEL_MEMBER: self.model}
        if self.function is not None:
            members[FUNCTION_MEMBER] = f"{_LEGACY if self.legacy else ''}{self.function}"
        if self.format != "text":
            members[FORMAT_MEMBER] = self.format
        return members


class _NamedCall(msgspec.Struct):
    name: str
    arguments: msgspec.Raw


def session_outcome(form: ReplyForm, reply: SessionReply) -> ToldAnswer | DoorFailure:
    """Return the answer of an accepted session, or why there is none."""
    accepted = reply.verdict == "accepted"
    return session_answer(form, reply) if accepted else failure_of_reply(reply)


def session_answer(form: ReplyForm, reply: SessionReply) -> ToldAnswer:
    """Return the answer of an accepted session.

    Raises:
        ValueError: The session was not accepted, so there is no answer to tell.
    """
    if reply.verdict != "accepted":
        raise ValueError(f"a session with verdict {reply.verdict!r} has no answer")
    text, function = bytes(reply.artifact), form.function
    if function == ANY_FUNCTION:
        call = msgspec.json.decode(text, type=_NamedCall)
        text, function = bytes(call.arguments), call.name
    finished_by: FinishedBy = "stop"
    if function is not None:
        finished_by = "function_call" if form.legacy else "tool_calls"
    return ToldAnswer(
        model=form.model,
        text=text.decode(),
        function=function,
        format=form.format,
        finished_by=finished_by,
        session_id=reply.session_id,
        row_id=reply.row_id,
        usage=reply.usage,
        fingerprint=_fingerprint(reply.kind_digest),
        facts=SessionFacts(
            session_id=reply.session_id,
            row_id=reply.row_id,
            iterations=reply.iterations,
            accepted_iteration=reply.accepted_iteration,
            grounded=reply.grounded,
            model=reply.model,
        ),
    )


def stored_answer(row: Row) -> ToldAnswer | None:
    """Return the same answer from the log; None if the row is not an accepted one of this API."""
    model = row.metadata.get(MODEL_MEMBER)
    if model is None or row.verdict != "accepted":
        return None
    function = row.metadata.get(FUNCTION_MEMBER)
    form = ReplyForm(
        model=model,
        function=None if function is None else function.removeprefix(_LEGACY),
        legacy=function is not None and function.startswith(_LEGACY),
        format=cast("FormatType", row.metadata.get(FORMAT_MEMBER, "text")),
    )
    return session_answer(form, session_reply(row, None))


@lru_cache(maxsize=_FINGERPRINTS_KEPT)
def _fingerprint(kind_digest: str) -> str | msgspec.UnsetType:
    """Return the `system_fingerprint`: the same for all replies of one version of a kind.

    An older validator does not tell the digest that it is made of.
    """
    if not kind_digest:
        return msgspec.UNSET
    return "fp_" + kind_digest.removeprefix(_DIGEST_PREFIX)[:_FINGERPRINT_DIGITS]
