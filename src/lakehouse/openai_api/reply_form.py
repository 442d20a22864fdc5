"""What a reply repeats of its request, and the checked answer in the form that was asked for.

The row keeps it in its metadata, so that a reply can be built again from the log, byte for byte.
"""

from typing import Final

import msgspec

from lakehouse.core.metadata import FUNCTION_MEMBER, MODEL_MEMBER
from lakehouse.core.row import Row
from lakehouse.core.session import SessionReply, Verdict
from lakehouse.engine.run import session_reply

ANY_FUNCTION: Final = "*"
"""Stands for a function that the artifact names: `{"name": …, "arguments": …}`."""

_LEGACY: Final = "function_call:"
_DIGEST_PREFIX: Final = "sha256:"
_FINGERPRINT_DIGITS: Final = 12


class ReplyForm(msgspec.Struct, frozen=True, kw_only=True):
    """What a reply repeats of its request.

    `model` is as the caller wrote it. `function` is the function whose arguments the artifact is,
    or `ANY_FUNCTION`; None: the artifact is the content. `legacy`: the call is told in the older
    form, `function_call`.
    """

    model: str
    function: str | None = None
    legacy: bool = False

    def metadata(self) -> dict[str, str]:
        """Return the members of the row's metadata from which `stored_reply` finds the form."""
        members = {MODEL_MEMBER: self.model}
        if self.function is not None:
            members[FUNCTION_MEMBER] = f"{_LEGACY if self.legacy else ''}{self.function}"
        return members


class SessionFacts(msgspec.Struct, frozen=True):
    """The member `lakehouse` of a reply. `model` is the provider's name of the model."""

    session_id: str
    row_id: str
    verdict: Verdict
    iterations: int
    accepted_iteration: int | None
    grounded: bool | None
    model: str


class CheckedAnswer(msgspec.Struct, frozen=True):
    """An accepted answer. `text` has the artifact's own bytes; `function` is the one called."""

    text: str
    function: str | None


class _NamedCall(msgspec.Struct):
    name: str
    arguments: msgspec.Raw


def checked_answer(form: ReplyForm, reply: SessionReply) -> CheckedAnswer:
    """Return the answer of an accepted session.

    Raises:
        ValueError: The session was not accepted, so there is no answer to tell.
    """
    if reply.verdict != "accepted":
        raise ValueError(f"a session with verdict {reply.verdict!r} has no answer")
    artifact = bytes(reply.artifact)
    if form.function != ANY_FUNCTION:
        return CheckedAnswer(artifact.decode(), form.function)
    call = msgspec.json.decode(artifact, type=_NamedCall)
    return CheckedAnswer(bytes(call.arguments).decode(), call.name)


def fingerprint(reply: SessionReply) -> str | msgspec.UnsetType:
    """Return the `system_fingerprint`: the same for all replies of one version of a kind.

    An older validator does not tell the digest that it is made of.
    """
    if not reply.kind_digest:
        return msgspec.UNSET
    return "fp_" + reply.kind_digest.removeprefix(_DIGEST_PREFIX)[:_FINGERPRINT_DIGITS]


def session_facts(reply: SessionReply) -> SessionFacts:
    """Return the member `lakehouse`."""
    return SessionFacts(
        session_id=reply.session_id,
        row_id=reply.row_id,
        verdict=reply.verdict,
        iterations=reply.iterations,
        accepted_iteration=reply.accepted_iteration,
        grounded=reply.grounded,
        model=reply.model,
    )


def tokens(reply: SessionReply) -> tuple[int, int] | None:
    """Return the tokens of all prompts and of all answers; None unless both are known."""
    usage = reply.usage
    if usage.prompt_tokens is None or usage.completion_tokens is None:
        return None
    return usage.prompt_tokens, usage.completion_tokens


def created_s(row_id: str) -> int:
    """Return when a session began, in seconds since 1970: its row id is a UUIDv7, which tells.

    So every part of a stream, the whole reply and the one from the log have the same moment.
    """
    return int(row_id[:12], 16) // 1000


def stored_reply(row: Row) -> tuple[ReplyForm, SessionReply] | None:
    """Return what a reply is built from; None if the row is not an accepted one of this API."""
    model = row.metadata.get(MODEL_MEMBER)
    if model is None or row.verdict != "accepted":
        return None
    function = row.metadata.get(FUNCTION_MEMBER)
    form = ReplyForm(
        model=model,
        function=None if function is None else function.removeprefix(_LEGACY),
        legacy=function is not None and function.startswith(_LEGACY),
    )
    return form, session_reply(row, None)
