"""What is wrong with the request of an OpenAI client. Independent of HTTP."""

import re
from typing import Final, Literal

from lakehouse.core.errors import InfraError, Refusal
from lakehouse.core.wording import shown

_OUR_NAMES: Final = re.compile("`(?:output_)?schema`")
FaultCode = Literal[
    "invalid_request",
    "invalid_schema",
    "invalid_type",
    "invalid_value",
    "missing_required_parameter",
    "no_contract",
    "unknown_parameter",
    "unsupported_content",
    "unsupported_parameter",
    "unsupported_value",
]


class RequestFault(Refusal):
    """A rejected request: no model was called, no row is written. Its status is 400.

    `api_code` is the code in the error's body. `param` is the place as OpenAI writes it
    (`messages[2].content[0].type`); None: the whole body.
    """

    def __init__(
        self, message: str, api_code: FaultCode, param: str | None, hint: str = ""
    ) -> None:
        super().__init__("invalid_request", message, hint=hint)
        self.api_code: FaultCode = api_code
        self.param = param


def schema_fault(error: Refusal | InfraError, param: str | None) -> Refusal | InfraError:
    """Return the same error, of a schema at its place in the client's body.

    A session knows the schema as `schema`, or as `output_schema` beside a kind's.
    """
    if param is None or not isinstance(error, Refusal) or error.code != "invalid_schema":
        return error
    message, hint = (_OUR_NAMES.sub(f"`{param}`", text) for text in (error.public, error.hint))
    return RequestFault(message, "invalid_schema", param, hint)


def missing(param: str) -> RequestFault:
    """Describe a member that is not there."""
    return RequestFault(f"`{param}` is missing.", "missing_required_parameter", param)


def beside_the_type(param: str, kind: str) -> RequestFault:
    """Describe a member that only another `type` beside it has."""
    message = f"`{param}` has no effect beside the type {shown(kind)}."
    return RequestFault(message, "invalid_value", param, "Leave it out, or correct the type.")
