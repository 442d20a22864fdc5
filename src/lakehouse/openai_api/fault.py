"""What is wrong with the request of an OpenAI client. Independent of HTTP."""

from typing import ClassVar, Literal

from lakehouse.core.errors import LakehouseError

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


class RequestFault(LakehouseError):
    """A rejected request: no model was called, no row is written.

    `param` is the place as OpenAI writes it (`messages[2].content[0].type`); None: the whole body.
    """

    status: ClassVar[int] = 400

    def __init__(self, message: str, code: FaultCode, param: str | None, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.message = message
        self.code: FaultCode = code
        self.param = param


def missing(param: str) -> RequestFault:
    """Describe a member that is not there."""
    return RequestFault(f"`{param}` is missing.", "missing_required_parameter", param)
