"""What is wrong with the request of an OpenAI client. Independent of HTTP."""

from typing import Literal

from lakehouse.core.errors import Refusal

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


def missing(param: str) -> RequestFault:
    """Describe a member that is not there."""
    return RequestFault(f"`{param}` is missing.", "missing_required_parameter", param)
