"""Any OTLP receiver, configured with OpenTelemetry's variables.

The endpoint is `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` unchanged, or `OTEL_EXPORTER_OTLP_ENDPOINT`
with `/v1/traces` added; for every other setting the variable for traces has priority.
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote

from lakehouse.core.errors import SetupError
from lakehouse.core.integers import whole_number
from lakehouse.tracing.intake import (
    TIMEOUT_MS_DEFAULT,
    Destination,
    IntakeUrl,
    TraceReceiver,
    check_intake,
    resource_of,
)
from lakehouse.transport.client import check_header

_PREFIX: Final = "OTEL_EXPORTER_OTLP_"
_TIMEOUT_MS_MAX: Final = 60_000


def _otlp(values: Mapping[str, str]) -> Destination | None:
    source = f"{_PREFIX}TRACES_ENDPOINT"
    if source in values:
        url = values[source]
    else:
        source = f"{_PREFIX}ENDPOINT"
        if source not in values:
            headers = [name for name in _both("HEADERS") if name in values]
            if headers:
                raise SetupError(
                    f"{headers[0]} is set, but {_PREFIX}ENDPOINT is not.",
                    hint="Set it to the receiver, such as http://127.0.0.1:4318, or unset the "
                    "headers.",
                )
            return None
        url = values[source].rstrip("/") + "/v1/traces"
    check_intake(source, url)
    _check_protocol(values)
    return Destination(
        receiver="otlp",
        source=source,
        traces_url=IntakeUrl(url),
        headers=_headers(values),
        timeout_ms=_timeout_ms(values),
        certificate=_setting(values, "CERTIFICATE")[1],
        gzip=_gzip(values),
        resource=resource_of(values),
    )


def _both(name: str) -> tuple[str, str]:
    return f"{_PREFIX}TRACES_{name}", f"{_PREFIX}{name}"


def _setting(values: Mapping[str, str], name: str) -> tuple[str, str | None]:
    """Return a setting of OTLP, preferring the one for traces, with its variable."""
    for variable in _both(name):
        if variable in values:
            return variable, values[variable]
    return f"{_PREFIX}{name}", None


def _check_protocol(values: Mapping[str, str]) -> None:
    variable, protocol = _setting(values, "PROTOCOL")
    if protocol not in {None, "http/protobuf"}:
        raise SetupError(
            f"{variable} is {protocol!r}; allowed is http/protobuf.",
            hint=f"Set {variable}=http/protobuf, and the endpoint to the receiver's "
            "HTTP port (4318 as a rule).",
        )


def _headers(values: Mapping[str, str]) -> dict[str, str]:
    variable, text = _setting(values, "HEADERS")
    headers: dict[str, str] = {}
    for pair in filter(None, (text or "").split(",")):
        name, equals, value = pair.partition("=")
        name, value = name.strip().lower(), unquote(value.strip())
        try:
            check_header(name, value)
        except ValueError:
            equals = ""
        if not equals:
            raise SetupError(
                f"{variable} is not of the form name=value,name=value with values percent-encoded."
            )
        headers[name] = value
    return headers


def _timeout_ms(values: Mapping[str, str]) -> int:
    variable, text = _setting(values, "TIMEOUT")
    if text is None:
        return TIMEOUT_MS_DEFAULT
    timeout_ms = whole_number(text, _TIMEOUT_MS_MAX)
    if not timeout_ms:
        raise SetupError(
            f"{variable} is {text[:80]!r}; allowed are 1 to {_TIMEOUT_MS_MAX} milliseconds."
        )
    return timeout_ms


def _gzip(values: Mapping[str, str]) -> bool:
    variable, text = _setting(values, "COMPRESSION")
    if text not in {None, "none", "gzip"}:
        raise SetupError(f"{variable} is {text!r}; allowed are gzip and none.")
    return text == "gzip"


OTLP: Final = TraceReceiver(
    name="OTLP",
    prefix="OTEL_",
    urls=(f"{_PREFIX}ENDPOINT", f"{_PREFIX}TRACES_ENDPOINT"),
    switches={"OTEL_SDK_DISABLED": "true", "OTEL_TRACES_EXPORTER": "none"},
    find=_otlp,
)
