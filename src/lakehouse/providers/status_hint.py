"""What to do about a status of an endpoint: the cause decides, not the code that it becomes."""

from typing import Final

from lakehouse.providers.error_body import EndpointError

_HINTS: Final = {
    403: "The key may not use this model: check its rights, the region and the allowed models "
    "at the provider.",
    405: "base_url is wrong: it leads to a server, but not to its chat completions.",
    407: "The proxy wants to know who asks: put a name and a password into its address.",
    413: "The request is too long for the endpoint: shorten the prompt or the schema.",
    429: "The endpoint bounds how often it is asked: send fewer requests at once, or lower "
    "`slots` of the model.",
    503: "The endpoint is overloaded or down: ask again shortly, or look up its log.",
    529: "The endpoint is overloaded: ask again shortly.",
}
_MAY_PASS: Final = frozenset({408, 409})


def status_hint(status: int, error: EndpointError, *, with_key: bool) -> str:
    """Say what to do; `with_key`: whether a key was sent along."""
    if error.out_of_quota or status == 402:
        return "The account's quota is used up: check its plan and billing at the provider."
    if status == 401 or (status in {400, 403} and error.bad_key):
        if with_key:
            return "The endpoint does not take the key: check the variable that api_key_env names."
        return "The endpoint wants a key: name a variable that holds it in api_key_env."
    if 300 <= status < 400:
        return "The endpoint redirects, which is not followed: write its final address in base_url."
    if status in _HINTS:
        return _HINTS[status]
    if 400 <= status < 500 and status not in _MAY_PASS:
        return (
            "The endpoint refuses the request as it is: correct what its message names, such as "
            "a setting of the model, or a prompt that is too long."
        )
    return "Look up the endpoint's own log for this status: the trouble is on its side."
