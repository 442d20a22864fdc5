"""What a call in Python asks for, as the same request that arrives over HTTP.

The arguments go through JSON, so that a wrong one gets the same message as in a body.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final, TypedDict, get_type_hints

import msgspec

from lakehouse import __version__
from lakehouse.core.context import CallContext, session_context
from lakehouse.core.errors import Refusal
from lakehouse.core.ids import SESSION_ID_PATTERN, is_session_id
from lakehouse.core.kind import CandidatesMode
from lakehouse.core.limits import BODY_BYTES_MAX, DEADLINE_MS_MAX, ITERATIONS_MAX
from lakehouse.core.metadata import CLIENT_MEMBER, PYTHON_MEMBERS, reserved_fault
from lakehouse.core.session import Constrain, IterateRequest
from lakehouse.core.suggestion import did_you_mean
from lakehouse.core.wording import shown
from lakehouse.transport.request_body import decode

Prompt = str | Sequence[Mapping[str, str]]
"""A text, or messages: `{"role": "system" | "user" | "assistant", "content": text}` each."""


class CreateOptions(TypedDict, total=False):
    """Further arguments of `create`. One that is None is the same as one that is left out.

    Attributes:
        kind: A configured kind, whose schema, grounding and rules hold beside the type.
        model: The alias of a configured model; the kind's, or the first one, if left out.
        system: The system prompt, in the place of the kind's.
        messages: Messages, in the place of a prompt.
        max_retries: Attempts after the first, 0 to 9; 2 if left out.
        context: Any object for the validators of the type and the checks.
        validation_context: Another name of `context`.
        temperature: As the model's provider means it.
        top_p: As the model's provider means it.
        seed: A whole number for providers that take one.
        max_tokens: Tokens of one answer at most.
        stop: At most 16 texts that end an answer.
        deadline: Seconds, or a `timedelta`, for all attempts together.
        constrain: `off`: the model decodes without a schema. The answer is checked in every case.
        candidates: How the model is offered the tables' values that the text names.
        conversation_id: What links the rows of a conversation.
        metadata: Texts of your own for the row, by name.
        session_id: The session's id, as in `X-Lakehouse-Trace-Id`; a new one if left out.
    """

    kind: str | None
    model: str | None
    system: str | None
    messages: Sequence[Mapping[str, str]] | None
    max_retries: int
    context: object
    validation_context: object
    temperature: float | None
    top_p: float | None
    seed: int | None
    max_tokens: int | None
    stop: Sequence[str] | None
    deadline: float | timedelta | None
    constrain: Constrain
    candidates: CandidatesMode | None
    conversation_id: str | None
    metadata: Mapping[str, str] | None
    session_id: str | None


class IterateFields(TypedDict, total=False):
    """The members of `POST /v1/iterate`, and `session_id`. One that is None is left out.

    Attributes:
        kind: A configured kind. It or a schema is needed.
        schema: A JSON Schema as a dict, in the place of a kind.
        prompt: The text of the only user turn. It or messages are needed.
        messages: `{"role": "system" | "user" | "assistant", "content": text}` each.
        system: The system prompt, in the place of the kind's.
        model: The alias of a configured model.
        max_iterations: Attempts at most, 1 to 10.
        constrain: `off`: the model decodes without a schema.
        temperature: As the model's provider means it.
        max_tokens: Tokens of one answer at most.
        seed: A whole number for providers that take one.
        deadline_ms: Milliseconds for all attempts together.
        conversation_id: What links the rows of a conversation.
        metadata: Texts of your own for the row, by name.
        candidates: How the model is offered the tables' values that the text names.
        top_p: As the model's provider means it.
        stop: At most 16 texts that end an answer.
        output_schema: A JSON Schema as a dict that must hold beside the kind's.
        assert_formats: Whether `format` in the schemas is checked.
        session_id: The session's id; a new one if left out.
    """

    kind: str | None
    schema: Mapping[str, Any] | None
    prompt: str | None
    messages: Sequence[Mapping[str, str]] | None
    system: str | None
    model: str | None
    max_iterations: int | None
    constrain: Constrain
    temperature: float | None
    max_tokens: int | None
    seed: int | None
    deadline_ms: int | None
    conversation_id: str | None
    metadata: Mapping[str, str] | None
    candidates: CandidatesMode | None
    top_p: float | None
    stop: Sequence[str] | None
    output_schema: Mapping[str, Any] | None
    assert_formats: bool
    session_id: str | None


_CLIENT: Final = f"lakehouse-python/{__version__}"
_RETRIES: Final = 2
_OPTIONS: Final = frozenset(get_type_hints(CreateOptions))
ARGUMENTS_HINT: Final = (
    "help(lakehouse.CreateOptions) describes the arguments of create, and "
    "help(lakehouse.IterateFields) those of iterate."
)
_OURS: Final = frozenset({"messages", "max_retries", "context", "validation_context", "deadline"})


def asked_of(
    fields: Mapping[str, Any], facts: Mapping[str, str]
) -> tuple[IterateRequest, CallContext]:
    """Return the request of a session, and its ids. `facts` are for the row's metadata.

    Raises:
        Refusal: `invalid_request` or `too_large`, naming the member, its value, what is allowed.
    """
    said = {name: value for name, value in fields.items() if value is not None}
    session_id = said.pop("session_id", None)
    if session_id is not None and not (isinstance(session_id, str) and is_session_id(session_id)):
        raise _invalid(
            f"`session_id` is {shown(session_id)}; it must match {SESSION_ID_PATTERN.pattern}."
        )
    said["metadata"] = _metadata(said.get("metadata", {}), facts)
    body = _encoded(said)
    if len(body) > BODY_BYTES_MAX:
        raise Refusal(
            "too_large",
            f"The request takes {len(body)} bytes; at most {BODY_BYTES_MAX}.",
            hint="Shorten the prompt, or split it into several calls.",
        )
    try:
        request = decode(body, IterateRequest)
    except Refusal as error:
        raise Refusal(error.code, error.public, hint=ARGUMENTS_HINT) from error
    return request, session_context(session_id)


def create_fields(prompt: object, options: Mapping[str, Any], schema: bytes) -> dict[str, Any]:
    """Return the members of the request that a `create` means.

    Raises:
        Refusal: `invalid_request`, naming the argument, its value and what is allowed.
    """
    check_names(options, _OPTIONS)
    fields = {name: value for name, value in options.items() if name not in _OURS}
    fields |= _texts(prompt, options.get("messages"))
    fields["max_iterations"] = _retries(options.get("max_retries")) + 1
    fields["deadline_ms"] = _milliseconds(options.get("deadline"))
    fields["assert_formats"] = True  # what parses an answer does not take other texts
    fields["schema" if options.get("kind") is None else "output_schema"] = msgspec.Raw(schema)
    return fields


def check_names(options: Iterable[str], known: Collection[str]) -> None:
    """See that all arguments are known.

    Raises:
        Refusal: One is not; names it, the nearest, and those that are.
    """
    for name in options:
        if name not in known:
            near, allowed = did_you_mean(name, known), ", ".join(sorted(known))
            raise _invalid(f"Unknown argument {name!r}{near}; allowed are {allowed}.")


def context_of(options: Mapping[str, Any]) -> object:
    """Return the context for validators and checks.

    Raises:
        Refusal: It is given under both names.
    """
    context, other = options.get("context"), options.get("validation_context")
    if context is not None and other is not None:
        raise _invalid("`context` and `validation_context` are the same: give one of them.")
    return other if context is None else context


def _texts(prompt: object, messages: object) -> dict[str, Any]:
    if prompt is not None and messages is not None:
        raise _invalid("A prompt and `messages` exclude each other: give one of them.")
    if isinstance(prompt, str):
        return {"prompt": prompt}
    given = messages if prompt is None else prompt
    if given is None:
        raise _invalid("The prompt is missing: give a text, or a list of messages.")
    if not isinstance(given, Sequence) or isinstance(given, str | bytes):
        raise _invalid(
            f"The prompt is {shown(given)}; it must be a text, or a list of messages: "
            '{"role": "user", "content": "…"}.'
        )
    return {"messages": list(given)}


def _retries(value: object) -> int:
    if value is None:
        return _RETRIES
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < ITERATIONS_MAX:
        return value
    raise _invalid(f"`max_retries` is {shown(value)}; allowed is 0 to {ITERATIONS_MAX - 1}.")


def _milliseconds(value: object) -> int | None:
    if value is None:
        return None
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if not isinstance(seconds, bool) and isinstance(seconds, int | float):
        milliseconds = seconds * 1000
        if 1 <= milliseconds <= DEADLINE_MS_MAX:
            return round(milliseconds)
    limit = DEADLINE_MS_MAX // 1000
    raise _invalid(f"`deadline` is {shown(value)}; allowed is 0.001 to {limit:,} seconds.")


def _metadata(given: object, facts: Mapping[str, str]) -> dict[str, str]:
    if not isinstance(given, Mapping):
        raise _invalid(f"`metadata` is {shown(given)}; it must map names to texts.")
    fault = reserved_fault(given)
    if fault is not None:
        raise _invalid(fault[1], hint="Use another name.")
    for name, value in given.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise _invalid(f"`metadata.{name}` is {shown(value)}; names and values must be texts.")
    for name in PYTHON_MEMBERS & given.keys():
        raise _invalid(f"`metadata.{name}` cannot be set: the client itself writes it.")
    return {CLIENT_MEMBER: _CLIENT, **given, **facts}


def _encoded(said: Mapping[str, Any]) -> bytes:
    """Encode the members; what JSON cannot say is refused, and named."""
    members = []
    for name, value in said.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise _invalid(f"`{name}` is {value}; it must be a finite number.")
        try:
            members.append(_ENCODER.encode(name) + b":" + _ENCODER.encode(value))
        except (TypeError, ValueError, UnicodeEncodeError, RecursionError) as error:
            raise _invalid(f"`{name}` cannot be written as JSON: {error}.") from error
    return b"{%b}" % b",".join(members)


def _plain(value: Any) -> object:
    """Return what a text or a number of another library is: numpy.float64, a parser's string."""
    for base in (str, int, float):
        if isinstance(value, base):
            return str.__str__(value) if base is str else base(value)
    raise TypeError(f"Encoding objects of type {type(value).__name__} is unsupported")


_ENCODER: Final = msgspec.json.Encoder(decimal_format="number", enc_hook=_plain)


def _invalid(message: str, *, hint: str = ARGUMENTS_HINT) -> Refusal:
    return Refusal("invalid_request", message, hint=hint)
