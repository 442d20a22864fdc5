"""One call for an instance of a type: its request, and what checks and reads the answer."""

from collections.abc import Mapping
from typing import Any, Generic, TypeVar

import msgspec

from lakehouse.core.context import CallContext
from lakehouse.core.errors import Refusal
from lakehouse.core.kind import digest_of
from lakehouse.core.metadata import CHECKS_MEMBER, SOURCE_MEMBER, TYPE_MEMBER
from lakehouse.core.session import IterateRequest
from lakehouse.library.check_threads import CheckThreads
from lakehouse.library.checks import CheckRegistry, RegisteredCheck, checks_text
from lakehouse.library.known_types import type_of
from lakehouse.library.request import asked_of, context_of, create_fields
from lakehouse.library.runner import TypeChecks
from lakehouse.library.type_check import TypeCheck
from lakehouse.output_types.output_type import OutputType

T = TypeVar("T")


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


def _facts(output: OutputType[Any], checks: tuple[RegisteredCheck, ...]) -> Mapping[str, str]:
    """Return what the row says of the type and of the checks in Python."""
    facts = {TYPE_MEMBER: output.name}
    if output.has_code and output.digest is not None:
        facts[SOURCE_MEMBER] = output.digest
    if checks or output.rules:
        rules = [f"SQL rules {digest_of(output.rules)}"] if output.rules else []
        facts[CHECKS_MEMBER] = ", ".join([*rules, *([checks_text(checks)] if checks else [])])
    return facts
