"""Hints for an endpoint's error status, chosen by its cause."""

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from lakehouse.providers.error_body import EndpointError

_HINTS: Final = {
    403: "The key may not use this model: check its rights, the region and the allowed models "
    "at the provider.",
    405: "base_url is wrong: it points to a server, but not to its chat completions.",
    407: "The proxy requires authentication: add a user name and a password to its URL.",
    413: "The request is too long for the endpoint: shorten the prompt or the schema.",
    429: "The endpoint limits the request rate: send fewer requests at once, or lower "
    "`slots` of the model.",
    503: "The endpoint is overloaded or down: retry shortly, or check its log.",
    529: "The endpoint is overloaded: retry shortly.",
}
_MAY_PASS: Final = frozenset({408, 409})
QUOTA_HINT: Final = "The account's quota is used up: check its plan and billing at the provider."
"""Given exactly where the account's quota is spent, so that an error with it can be told apart."""


def status_hint(status: int, error: "EndpointError", *, with_key: bool) -> str:
    """Return the hint; `with_key`: whether a key was sent."""
    if error.out_of_quota or status == 402:
        return QUOTA_HINT
    if status == 401 or (status in {400, 403} and error.bad_key):
        if with_key:
            return "The endpoint rejects the API key: check the variable that api_key_env names."
        return "The endpoint requires an API key: set api_key_env to the variable that contains it."
    if 300 <= status < 400:
        return "The endpoint redirects, which is not followed: write the final URL in base_url."
    if status in _HINTS:
        return _HINTS[status]
    if 400 <= status < 500 and status not in _MAY_PASS:
        return (
            "The endpoint rejects the request: correct what its message names, such as "
            "a setting of the model, or a prompt that is too long."
        )
    return "Check the endpoint's own log for this status: the error is on its side."
