"""The generated part of docs/reference/openai-api.md: errors, parameters, a row's metadata.

`build_reference.py` writes it. A code or member without its words here is a KeyError.
"""

import msgspec

from lakehouse.core.metadata import OWN_MEMBERS, RESERVED_MEMBERS
from lakehouse.openai_api.door import PATHS
from lakehouse.openai_api.failure import OUTCOMES
from lakehouse.openai_api.parameters import PARAMETERS, ApiParameter

# What each error means, by its code.
API_ERRORS = {
    "invalid_request": "the body is not a JSON object, or what `message` says",
    "invalid_schema": "the schema cannot be used, or contradicts the kind's",
    "invalid_config": "no call of this API: `POST /v1/reload` alone answers it",
    "invalid_type": "a parameter has a wrong type",
    "invalid_value": "a parameter has a value that is not allowed",
    "missing_required_parameter": "a parameter is missing",
    "no_contract": "no kind is named, and no structure is asked for",
    "unknown_parameter": "a parameter is not in the tables below",
    "unsupported_content": "a message has an image, audio or a file",
    "unsupported_parameter": "a parameter is refused",
    "unsupported_value": "a parameter has a value that is refused",
    "model_not_found": "`model` is neither a kind nor a model",
    "invalid_api_key": "the key is missing or wrong",
    "not_found": "there is no such path, or no accepted answer of this id",
    "method_not_allowed": "the path has another method",
    "idempotency_key_reuse": "the key belongs to a request with another body",
    "too_large": "the body or the headers are too large",
    "unsupported_media_type": "the body is not `application/json`, or is compressed",
    "rate_limited": "`gateway.sessions_at_once_max` sessions are running",
    "log_unavailable": "the row, or what is known of the key, cannot be written",
    "max_iter_exhausted": "no answer passed all checks",
    "content_filter": "the provider refused to answer",
    "context_length_exceeded": "the conversation is too long for the model",
    "insufficient_quota": "the provider says that the account's quota is spent",
    "connect": "the model cannot be reached",
    "upstream_malformed": "the model's endpoint gave no chat completion",
    "upstream_status": "the model's endpoint failed",
    "model_missing": "the endpoint does not have the model",
    "overloaded": "no slot of the model became free, or its endpoint is overloaded",
    "timeout": "the session's deadline is over",
    "model_loading": "the model is still loading",
    "table_unavailable": "a table cannot be read",
    "rule_broken": "a SQL rule fails for every answer",
    "shutdown": "the daemon is stopping",
    "crashed": "a bug of Lakehouse",
}
# By fate: a heading, what the reason says, and what the allowed values are.
FATES = {
    "used": ("Used parameters", "what for", "allowed values, if not all"),
    "ignored": ("Ignored parameters", "why", "allowed values, if not all"),
    "refused": ("Refused parameters", "why", "allowed, since it asks for nothing"),
}
METADATA = {
    "door": "`openai.chat` or `openai.responses`; `python` of `lakehouse.open`",
    "api_key": "the name of the caller's API key, if the daemon has keys; of `/v1/iterate` too",
    "client": "the client and its version, such as `openai-python 3.57`, from its headers",
    "client_retry": "which repetition of the request it was, as OpenAI's packages tell",
    "user": "the parameter `user`",
    "idempotency_key": "a digest of the `Idempotency-Key`",
    "openai_model": "`model` as it was sent",
    "openai_function": "the function that the answer calls",
    "openai_format": "the type of the format that was asked for",
    "python_type": "of a [client in Python](python.md): the type of the answer",
    "python_source": "a digest of the modules that define that type, if its code reads the answer",
    "python_checks": "the checks in Python and the SQL rules of that type, each with a digest",
    "python_call": "a call in Python, where the caller gave the session id: its row is found by it",
    "python_after": "the row whose answer code in Python rejected, for the session after it",
}
NOT_OF_THIS_API = {"ambiguous_session"}  # only feedback names a session that has several rows


def reason_of(parameter: ApiParameter) -> str:
    """Show the reason; that of a choice is worded for its error, `it is not a role`."""
    return parameter.reason.removeprefix("it is not ")


def values_of(parameter: ApiParameter) -> str:
    """Show the only values that are taken."""
    encoded = (msgspec.json.encode(value).decode() for value in parameter.only)
    return ", ".join(f"`{value}`" for value in encoded)


def openai_api() -> str:
    """What is added to a row, the errors of OpenAI's API, and what becomes of every parameter."""
    lines = ["| member | is | a request may set it |", "| --- | --- | --- |"]
    for member in sorted(OWN_MEMBERS):
        free = "no" if member in RESERVED_MEMBERS else "yes"
        lines.append(f"| `{member}` | {METADATA[member]} | {free} |")
    lines += [
        "",
        "## Errors",
        "",
        "| code | HTTP | type | x-should-retry | when |",
        "| --- | --- | --- | --- | --- |",
    ]
    for code, one in OUTCOMES.items():
        if code in NOT_OF_THIS_API:
            continue
        repeat = "true" if one.repeat else "false"
        lines.append(f"| `{code}` | {one.status} | `{one.type}` | {repeat} | {API_ERRORS[code]} |")
    for route, path in PATHS.items():
        for fate, (heading, means, only) in FATES.items():
            lines += ["", f"## {heading} of `{path}`", ""]
            lines += [f"| parameter | {means} | {only} |", "| --- | --- | --- |"]
            lines += [
                f"| `{one.path}` | {reason_of(one)} | {values_of(one)} |"
                for one in PARAMETERS[route]
                if one.fate == fate
            ]
    return "\n".join(lines)
