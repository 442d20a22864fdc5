"""Where traces go, as the environment says: Langfuse, any OTLP receiver, or nowhere.

Read in this order; the first variable that is set and not empty decides:

1. Langfuse: the URL from `LANGFUSE_URL`, `LANGFUSE_BASE_URL`, `LANGFUSE_HOST`, `LANGFUSE_BASEURL`,
   with `LANGFUSE_PUBLIC_KEY` and `LANGFUSE_SECRET_KEY`.
2. OTLP: `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` as it stands, or `OTEL_EXPORTER_OTLP_ENDPOINT` with
   `/v1/traces` added.

Half of either is an error: traces that silently go nowhere, or to a cloud that nobody named, are
worse than a daemon that says what is missing. Keys stay in here and never reach a message; nor does
a URL's query, where some receivers want theirs.
"""

import base64
import re
from collections.abc import Mapping
from typing import Final, Literal
from urllib.parse import unquote, urlsplit

import msgspec

from lakehouse.core.errors import SetupError
from lakehouse.core.integers import whole_number
from lakehouse.transport.client import check_header, check_url

LANGFUSE_URLS: Final = ("LANGFUSE_URL", "LANGFUSE_BASE_URL", "LANGFUSE_HOST", "LANGFUSE_BASEURL")
PUBLIC_KEY: Final = "LANGFUSE_PUBLIC_KEY"
SECRET_KEY: Final = "LANGFUSE_SECRET_KEY"  # noqa: S105  the variable's name
OTLP: Final = "OTEL_EXPORTER_OTLP_"
TIMEOUT_MS_DEFAULT: Final = 10_000
TIMEOUT_MS_MAX: Final = 60_000

_LANGFUSE_PATH = re.compile(r"(/api/public/otel(/v1/traces)?)?/*$")
_INGESTION_VERSION: Final = "4"  # the path of Langfuse 4 that shows spans at once


class IntakeUrl(msgspec.Struct, frozen=True):
    """A receiver's URL. `whole` is for sending only: as text it is scheme, host, port and path."""

    whole: str

    def __str__(self) -> str:
        """Show it without what may hold a key."""
        parts = urlsplit(self.whole)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"

    def __repr__(self) -> str:
        """Show it as `str` does."""
        return f"IntakeUrl({self})"


class Destination(msgspec.Struct, frozen=True, kw_only=True):
    """One receiver. `headers` hold keys; `source` is the variable that decided.

    `scores_url` is null where the receiver is not Langfuse. `resource` are the attributes that
    every span of this process shares, but for `service.name` where nobody set it.
    """

    receiver: Literal["langfuse", "otlp"]
    source: str
    traces_url: IntakeUrl
    scores_url: IntakeUrl | None = None
    headers: Mapping[str, str] = {}
    timeout_ms: int = TIMEOUT_MS_DEFAULT
    certificate: str | None = None
    gzip: bool = False
    resource: Mapping[str, str] = {}

    def __repr__(self) -> str:
        """Show where, never with what key."""
        return f"Destination({self.source}, {self.traces_url})"


def find_destination(environment: Mapping[str, str]) -> Destination | None:
    """Read where traces go; None where nothing is set, or tracing is switched off.

    `LANGFUSE_TRACING_ENABLED=false`, `OTEL_SDK_DISABLED=true` and `OTEL_TRACES_EXPORTER=none`
    switch off what they name.

    Raises:
        SetupError: Half of what is needed is set, or a value cannot be used.
    """
    values = {name: value.strip() for name, value in environment.items() if value.strip()}
    if values.get("LANGFUSE_TRACING_ENABLED", "").lower() != "false":
        found = _langfuse(values)
        if found is not None:
            return found
    if values.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    return None if values.get("OTEL_TRACES_EXPORTER") == "none" else _otlp(values)


def why_off(environment: Mapping[str, str]) -> str:
    """Say, for people, why `find_destination` gives nowhere: nothing is set, or what is set off."""
    values = {name: value.strip() for name, value in environment.items() if value.strip()}
    langfuse_off = values.get("LANGFUSE_TRACING_ENABLED", "").lower() == "false"
    otlp_set = any(f"{OTLP}{end}" in values for end in ("TRACES_ENDPOINT", "ENDPOINT"))
    reasons = []
    if langfuse_off and any(name in values for name in LANGFUSE_URLS):
        reasons.append("LANGFUSE_TRACING_ENABLED=false switches Langfuse off")
    if otlp_set and values.get("OTEL_SDK_DISABLED", "").lower() == "true":
        reasons.append("OTEL_SDK_DISABLED=true switches OTLP off")
    elif otlp_set and values.get("OTEL_TRACES_EXPORTER") == "none":
        reasons.append("OTEL_TRACES_EXPORTER=none switches OTLP off")
    return "; ".join(reasons) or f"neither {LANGFUSE_URLS[0]} nor {OTLP}ENDPOINT is set"


def without_tracing(environment: Mapping[str, str]) -> dict[str, str]:
    """Give an environment in which nothing says where traces go."""
    return {
        name: value
        for name, value in environment.items()
        if not name.startswith(("LANGFUSE_", "OTEL_"))
    }


def _langfuse(values: Mapping[str, str]) -> Destination | None:
    source = next((name for name in LANGFUSE_URLS if name in values), None)
    given = [
        name for name in (source, PUBLIC_KEY, SECRET_KEY) if name is not None and name in values
    ]
    if not given:
        return None
    missing = [name for name in (PUBLIC_KEY, SECRET_KEY) if name not in values]
    if source is None:
        missing.insert(0, LANGFUSE_URLS[0])
    if source is None or missing:
        raise SetupError(
            f"{' and '.join(given)} {'is' if len(given) == 1 else 'are'} set, but "
            f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not.",
            hint="Langfuse needs its URL and both keys. Unset all of them to run without tracing.",
        )
    base = _LANGFUSE_PATH.sub("", values[source])
    _check_url(source, base)
    pair = f"{values[PUBLIC_KEY]}:{values[SECRET_KEY]}".encode()
    return Destination(
        receiver="langfuse",
        source=source,
        traces_url=IntakeUrl(f"{base}/api/public/otel/v1/traces"),
        scores_url=IntakeUrl(f"{base}/api/public/ingestion"),
        headers={
            "authorization": f"Basic {base64.b64encode(pair).decode('ascii')}",
            "x-langfuse-ingestion-version": _INGESTION_VERSION,
            "x-langfuse-sdk-name": "lakehouse",
        },
        resource=_resource(values),
    )


def _otlp(values: Mapping[str, str]) -> Destination | None:
    source = f"{OTLP}TRACES_ENDPOINT"
    if source in values:
        url = values[source]
    else:
        source = f"{OTLP}ENDPOINT"
        if source not in values:
            headers = [name for name in _both("HEADERS") if name in values]
            if headers:
                raise SetupError(
                    f"{headers[0]} is set, but {OTLP}ENDPOINT is not.",
                    hint="Name the receiver, such as http://127.0.0.1:4318, or unset the headers.",
                )
            return None
        url = values[source].rstrip("/") + "/v1/traces"
    _check_url(source, url)
    _check_protocol(values)
    return Destination(
        receiver="otlp",
        source=source,
        traces_url=IntakeUrl(url),
        headers=_headers(values),
        timeout_ms=_timeout_ms(values),
        certificate=_setting(values, "CERTIFICATE")[1],
        gzip=_gzip(values),
        resource=_resource(values),
    )


def _both(name: str) -> tuple[str, str]:
    return f"{OTLP}TRACES_{name}", f"{OTLP}{name}"


def _setting(values: Mapping[str, str], name: str) -> tuple[str, str | None]:
    """Give a setting of OTLP, the one for traces first, with the variable that holds it."""
    for variable in _both(name):
        if variable in values:
            return variable, values[variable]
    return f"{OTLP}{name}", None


def _check_url(source: str, url: str) -> None:
    try:
        check_url(url)
    except ValueError as error:
        raise SetupError(
            f"{source} cannot be used: {error}.", hint="Give it as http(s)://host[:port][/path]."
        ) from error


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
    timeout_ms = whole_number(text, TIMEOUT_MS_MAX)
    if not timeout_ms:
        raise SetupError(
            f"{variable} is {text[:80]!r}; allowed are 1 to {TIMEOUT_MS_MAX} milliseconds."
        )
    return timeout_ms


def _gzip(values: Mapping[str, str]) -> bool:
    variable, text = _setting(values, "COMPRESSION")
    if text not in {None, "none", "gzip"}:
        raise SetupError(f"{variable} is {text!r}; allowed are gzip and none.")
    return text == "gzip"


def _resource(values: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for pair in filter(None, values.get("OTEL_RESOURCE_ATTRIBUTES", "").split(",")):
        name, equals, value = pair.partition("=")
        if not equals:
            raise SetupError("OTEL_RESOURCE_ATTRIBUTES is not of the form name=value,name=value.")
        found[name.strip()] = unquote(value.strip())
    if "OTEL_SERVICE_NAME" in values:
        found["service.name"] = values["OTEL_SERVICE_NAME"]
    return found
