"""One call for an instance of a type: its request, and what checks and reads the answer."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, Generic, TypeVar

import msgspec

from lakehouse.core.context import CallContext
from lakehouse.core.errors import Refusal
from lakehouse.core.json_text import ENCODER
from lakehouse.core.kind import digest_of
from lakehouse.core.metadata import CHECKS_MEMBER, SOURCE_MEMBER, TYPE_MEMBER
from lakehouse.core.session import IterateRequest
from lakehouse.library.check_threads import CheckThreads
from lakehouse.library.checks import CheckRegistry, RegisteredCheck, checks_text
from lakehouse.library.request import asked_of, context_of, create_fields
from lakehouse.library.runner import TypeChecks
from lakehouse.library.type_check import TypeCheck
from lakehouse.output_types.output_type import OutputType, output_type

T = TypeVar("T")

_TYPES_KEPT: Final = 256


class TypedCall(msgspec.Struct, Generic[T], frozen=True):
    """A `create` that is ready to run."""

    request: IterateRequest
    context: CallContext
    output: OutputType[T]
    check: TypeCheck[T]
    registered: tuple[RegisteredCheck, ...]

    @property
    def checks(self) -> TypeChecks:
        return TypeChecks(self.output.schema, self.output.rules, self.check)


def typed_call(
    type_: Any,
    prompt: object,
    options: Mapping[str, Any],
    *,
    registry: CheckRegistry,
    threads: CheckThreads,
) -> TypedCall[Any]:
    """Make the call that the arguments of `create` mean.

    Raises:
        Refusal: An argument is invalid; names it, its value and what is allowed.
        SetupError: The type cannot be used.
    """
    options = dict(options)
    instructors = options.pop("response_model", None)
    if (type_ is None) == (instructors is None):
        raise Refusal(
            "invalid_request",
            "Give the type of the answer once, as the first argument or as `response_model`.",
            hint='For example lake.create(Event, "…").',
        )
    output = type_of(instructors if type_ is None else type_)
    checks = registry.of(instructors if type_ is None else type_)
    fields = create_fields(prompt, options, output.schema)
    request, context = asked_of(fields, _facts(output, checks))
    check = TypeCheck(output, checks, context_of(options), threads)
    return TypedCall(request, context, output, check, checks)


def type_of(type_: Any) -> OutputType[Any]:
    """Return the output type of a type or of a JSON Schema; the last 256 are kept.

    Raises:
        SetupError: No answer can be read into it.
    """
    if isinstance(type_, Mapping):
        try:
            return _of_schema(ENCODER.encode(dict(type_)))
        except (TypeError, ValueError):
            return output_type(type_)  # its error says what is wrong
    try:
        return _of_type(type_)
    except TypeError:  # what it has in `Annotated` has no hash
        return output_type(type_)


@lru_cache(_TYPES_KEPT)
def _of_type(type_: Any) -> OutputType[Any]:
    return output_type(type_)


@lru_cache(_TYPES_KEPT)
def _of_schema(raw: bytes) -> OutputType[Any]:
    return output_type(msgspec.json.decode(raw))


def _facts(output: OutputType[Any], checks: tuple[RegisteredCheck, ...]) -> Mapping[str, str]:
    """Return what the row says of the type and of the checks in Python."""
    facts = {TYPE_MEMBER: output.name}
    if output.has_code and output.digest is not None:
        facts[SOURCE_MEMBER] = output.digest
    if checks or output.rules:
        rules = [f"SQL rules {digest_of(output.rules)}"] if output.rules else []
        facts[CHECKS_MEMBER] = ", ".join([*rules, *([checks_text(checks)] if checks else [])])
    return facts
