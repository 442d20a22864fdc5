"""Where traces go: the written order, and one clear error for half of it."""

import base64
import traceback

import pytest

from lakehouse.core.errors import SetupError
from lakehouse.tracing.destination import find_destination, why_off
from lakehouse.tracing.tracer import Tracer

KEYS = {"LANGFUSE_PUBLIC_KEY": "pk-lf-1", "LANGFUSE_SECRET_KEY": "sk-lf-canary"}
OTLP = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"PATH": "/bin"},
        {"LANGFUSE_URL": "", "LANGFUSE_PUBLIC_KEY": " "},
        {"OTEL_SERVICE_NAME": "x"},
    ],
    ids=["empty", "others", "set and empty", "no receiver"],
)
def test_nothing_set_is_no_tracing(environment):
    assert find_destination(environment) is None


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:3000",
        "http://127.0.0.1:3000/",
        "http://127.0.0.1:3000/api/public/otel",
        "http://127.0.0.1:3000/api/public/otel/v1/traces/",
    ],
)
def test_a_langfuse_url_may_name_the_server_or_its_intake(url):
    found = find_destination({"LANGFUSE_URL": url, **KEYS})
    assert found is not None
    assert found.receiver == "langfuse"
    assert found.traces_url.whole == "http://127.0.0.1:3000/api/public/otel/v1/traces"
    assert found.scores is not None
    assert found.scores.url.whole == "http://127.0.0.1:3000/api/public/ingestion"
    pair = base64.b64encode(b"pk-lf-1:sk-lf-canary").decode()
    assert found.headers["authorization"] == f"Basic {pair}"
    assert found.headers["x-langfuse-ingestion-version"] == "4"


def test_the_page_of_a_trace_is_known_for_langfuse():
    """Nothing is said of a URL's query, where a key may be; other receivers name no pages."""
    for url, page in (
        ("https://cloud.example/base/", "https://cloud.example/base/trace/{trace_id}"),
        ("https://cloud.example?key=secret", None),
    ):
        found = find_destination({"LANGFUSE_URL": url, **KEYS})
        assert found is not None
        assert found.trace_page == page
    found = find_destination(OTLP)
    assert found is not None
    assert found.trace_page is None


def test_langfuse_urls_are_read_in_the_written_order():
    """The first decides, and is named as what decided."""
    names = ["LANGFUSE_URL", "LANGFUSE_BASE_URL", "LANGFUSE_HOST", "LANGFUSE_BASEURL"]
    environment = {name: f"http://{number}.invalid" for number, name in enumerate(names)} | KEYS
    for number, name in enumerate(names):
        found = find_destination(environment)
        assert found is not None
        assert found.source == name
        assert found.traces_url.whole.startswith(f"http://{number}.invalid/")
        del environment[name]


def test_langfuse_comes_before_otlp():
    found = find_destination({"LANGFUSE_HOST": "http://127.0.0.1:3000", **KEYS, **OTLP})
    assert found is not None
    assert found.receiver == "langfuse"


def test_an_endpoint_gets_the_path_and_the_one_for_traces_stands_as_it_is():
    found = find_destination(OTLP)
    assert found is not None
    assert (found.traces_url.whole, found.source) == (
        "http://127.0.0.1:4318/v1/traces",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
    )
    exact = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:6006/intake"}
    found = find_destination({**OTLP, **exact})
    assert found is not None
    assert found.traces_url.whole == "http://127.0.0.1:6006/intake"
    assert found.scores is None


def test_the_settings_of_otlp_are_read_those_for_traces_first():
    found = find_destination(
        {
            **OTLP,
            "OTEL_EXPORTER_OTLP_HEADERS": "a=b",
            "OTEL_EXPORTER_OTLP_TRACES_HEADERS": "X-Project=ops%20team, Authorization=Basic%20eDp5",
            "OTEL_EXPORTER_OTLP_TIMEOUT": "2500",
            "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
            "OTEL_EXPORTER_OTLP_CERTIFICATE": "/ca.pem",
            "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=staging,team=ops",
            "OTEL_SERVICE_NAME": "extraction",
        }
    )
    assert found is not None
    assert found.headers == {"x-project": "ops team", "authorization": "Basic eDp5"}
    assert (found.timeout_ms, found.gzip, found.certificate) == (2_500, True, "/ca.pem")
    assert found.resource == {
        "deployment.environment.name": "staging",
        "team": "ops",
        "service.name": "extraction",
    }


@pytest.mark.parametrize(
    "switch",
    [{"OTEL_SDK_DISABLED": "true"}, {"OTEL_TRACES_EXPORTER": "none"}],
    ids=["sdk", "exporter"],
)
def test_otlp_can_be_switched_off_as_everywhere(switch):
    assert find_destination({**OTLP, **switch}) is None


def test_langfuse_can_be_switched_off_as_with_its_own_sdk():
    environment = {"LANGFUSE_URL": "http://127.0.0.1:3000", **KEYS}
    assert find_destination({**environment, "LANGFUSE_TRACING_ENABLED": "false"}) is None


@pytest.mark.parametrize(
    ("environment", "names"),
    [
        ({"LANGFUSE_URL": "http://x.invalid"}, ["LANGFUSE_PUBLIC_KEY", "LANGFUSE_SECRET_KEY"]),
        (
            {"LANGFUSE_HOST": "http://x.invalid", "LANGFUSE_PUBLIC_KEY": "p"},
            ["LANGFUSE_SECRET_KEY"],
        ),
        (KEYS, ["LANGFUSE_URL"]),
        ({"LANGFUSE_SECRET_KEY": "sk-lf-canary", **OTLP}, ["LANGFUSE_URL", "LANGFUSE_PUBLIC_KEY"]),
        ({"LANGFUSE_URL": "ftp://x.invalid", **KEYS}, ["LANGFUSE_URL", "http"]),
        ({"LANGFUSE_URL": "http://u:canary@x.invalid", **KEYS}, ["LANGFUSE_URL", "credentials"]),
        ({"LANGFUSE_URL": "http://u:canary℀@x.invalid", **KEYS}, ["LANGFUSE_URL", "http"]),
        ({"LANGFUSE_URL": "http://x.invalid:canary", **KEYS}, ["LANGFUSE_URL", "http"]),
        (
            {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://[canary]/v1?k=canary"},
            ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http"],
        ),
        ({"OTEL_EXPORTER_OTLP_HEADERS": "a=canary"}, ["OTEL_EXPORTER_OTLP_ENDPOINT"]),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "localhost:4317"},
            ["OTEL_EXPORTER_OTLP_ENDPOINT", "http"],
        ),
        (
            {**OTLP, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            ["OTEL_EXPORTER_OTLP_PROTOCOL is 'grpc'", "Set OTEL_EXPORTER_OTLP_PROTOCOL=http/proto"],
        ),
        ({**OTLP, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}, ["'http/json'", "http/protobuf"]),
        ({**OTLP, "OTEL_EXPORTER_OTLP_TIMEOUT": "10s"}, ["TIMEOUT", "'10s'", "60000"]),
        ({**OTLP, "OTEL_EXPORTER_OTLP_TIMEOUT": "0"}, ["TIMEOUT", "'0'"]),
        ({**OTLP, "OTEL_EXPORTER_OTLP_COMPRESSION": "zstd"}, ["COMPRESSION", "'zstd'", "gzip"]),
        ({**OTLP, "OTEL_EXPORTER_OTLP_HEADERS": "canary"}, ["HEADERS", "name=value"]),
        ({**OTLP, "OTEL_EXPORTER_OTLP_HEADERS": "a=canary%0d%0ab: c"}, ["HEADERS"]),
        ({**OTLP, "OTEL_RESOURCE_ATTRIBUTES": "team"}, ["OTEL_RESOURCE_ATTRIBUTES"]),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_half_of_it_or_a_value_that_cannot_be_used_is_one_clear_error(environment, names):
    """It names the variable, the value where it is no secret, and what is allowed."""
    with pytest.raises(SetupError) as caught:
        find_destination(environment)
    told = f"{caught.value.public} {caught.value.hint}"
    assert [name for name in names if name not in told] == []
    assert "canary" not in told


def test_keys_are_not_shown():
    found = find_destination({"LANGFUSE_URL": "http://127.0.0.1:3000", **KEYS})
    assert "Basic" not in repr(found)
    assert "canary" not in repr(found)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://127.0.0.1:4318/v1/traces?api_key=canary", "http://127.0.0.1:4318/v1/traces"),
        ("https://x.invalid/in/take?a=b&canary#canary", "https://x.invalid/in/take"),
        ("http://[::1]:4318#canary", "http://[::1]:4318"),
    ],
)
def test_a_url_is_sent_whole_and_shown_without_its_query(url, shown):
    """Some receivers want their key in the URL: no message, log line or repr may hold it."""
    found = find_destination({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": url})
    assert found is not None
    assert found.traces_url.whole == url
    assert f"{found.traces_url}" == shown
    assert shown in repr(found)
    tracer = Tracer(found, service="s", version="0", content=False)
    for each in (found, found.traces_url, vars(tracer.channels[0])):
        assert "canary" not in repr(each)


def test_an_error_of_a_url_has_no_cause_that_repeats_it():
    """A cause would stand in a traceback."""
    environment = {"LANGFUSE_URL": "http://u:canary℀@x.invalid", **KEYS}
    with pytest.raises(SetupError) as caught:
        find_destination(environment)
    assert "canary" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({}, "neither LANGFUSE_URL nor OTEL_EXPORTER_OTLP_ENDPOINT is set"),
        ({"OTEL_SDK_DISABLED": "true"}, "neither LANGFUSE_URL"),
        (
            {"OTEL_SDK_DISABLED": "TRUE", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://h:4318"},
            "OTEL_SDK_DISABLED=true switches OTLP off",
        ),
        (
            {"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://h/t"},
            "OTEL_TRACES_EXPORTER=none switches OTLP off",
        ),
        (
            {"LANGFUSE_TRACING_ENABLED": "False", "LANGFUSE_HOST": "http://h:3000"},
            "LANGFUSE_TRACING_ENABLED=false switches Langfuse off",
        ),
        (
            {
                "LANGFUSE_TRACING_ENABLED": "false",
                "LANGFUSE_URL": "http://h:3000",
                "OTEL_EXPORTER_OTLP_ENDPOINT": "http://h:4318",
                "OTEL_SDK_DISABLED": "true",
            },
            "LANGFUSE_TRACING_ENABLED=false switches Langfuse off; OTEL_SDK_DISABLED=true",
        ),
    ],
)
def test_what_is_off_says_what_switched_it_off(environment: dict[str, str], told: str) -> None:
    """A variable that is set is never told as one that is not."""
    assert find_destination(environment) is None
    assert told in why_off(environment)
