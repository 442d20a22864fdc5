"""The settings of models and kinds for real endpoints: what is taken, what each mistake says."""

from pathlib import Path
from typing import Any

import pytest

from lakehouse.config.catalog import catalog
from lakehouse.config.load import load_config
from lakehouse.config.settings import Config
from lakehouse.core.chat import Sampling
from lakehouse.core.context import session_context
from lakehouse.core.errors import SetupError
from lakehouse.core.session import IterateRequest
from lakehouse.engine.task import plan
from lakehouse.providers.access import access_of
from lakehouse.providers.model_clients import ModelClients
from lakehouse.stack import Stack

OPENAI = '[models.m]\nprovider = "openai"\nmodel = "m"\nbase_url = "https://h/v1"\n'
OLLAMA = '[models.m]\nprovider = "ollama"\nmodel = "m"\nbase_url = "http://h:1"\n'
LLAMA = '[models.m]\nprovider = "llama_cpp"\nmodel = "m.gguf"\n'
SCRIPTED = '[models.m]\nprovider = "scripted"\nmodel = "m"\nscript = "s.json"\n'
KIND = '[kinds.k]\nschema = "k.json"\n'


def load(tmp_path: Path, text: str) -> Config:
    file = tmp_path / "lakehouse.toml"
    file.write_text(text)
    (tmp_path / "k.json").write_text('{"type": "object"}')
    return load_config(file, {})


def model_of(tmp_path: Path, text: str) -> Any:
    """Load the settings of `m`, whose type depends on its provider."""
    return load(tmp_path, text).models["m"]


def refused(tmp_path: Path, text: str) -> str:
    with pytest.raises(SetupError) as caught:
        load(tmp_path, text)
    return caught.value.public


@pytest.mark.parametrize(
    "url",
    [
        "https://h/v1",
        "https://h/v1/",
        "https://generativelanguage.example/v1beta/openai",
        "https://ark.example/api/v3",
        "https://x.openai.azure.example/openai/deployments/gpt",
        "http://h:8000/",
        "http://[::1]:8000/v1",
    ],
)
def test_any_address_of_an_api_is_taken(tmp_path: Path, url: str) -> None:
    """APIs stand where they stand; the root must be meant."""
    text = OPENAI.replace("https://h/v1", url)
    assert model_of(tmp_path, text).base_url == url


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://h", "no path"),
        ("https://h/v1/chat/completions", "leave /chat/completions out"),
        ("https://h/v1?api-version=1", "`query ="),
        ("https://user:canary@h/v1", "without credentials"),
        ("h/v1", "http://"),
        ("https:///v1", "host"),
    ],
)
def test_an_address_that_would_not_work_says_what_to_write(
    tmp_path: Path, url: str, expected: str
) -> None:
    """The field, and the form that is right."""
    told = refused(tmp_path, OPENAI.replace("https://h/v1", url))
    assert "models.m.base_url" in told
    assert expected in told


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (OPENAI + "temperature = 3", ["models.m.temperature", "3", "0 to 2"]),
        (OPENAI + "temperature = nan", ["models.m.temperature", "nan"]),
        (OPENAI + "top_p = 1.5", ["models.m.top_p", "0 to 1"]),
        (OPENAI + "max_tokens = 0", ["models.m.max_tokens", "1 to 1048576"]),
        (OPENAI + "seed = -1", ["models.m.seed"]),
        (OPENAI + "stop = []", ["models.m.stop", "1 to 16"]),
        (OPENAI + 'stop = [""]', ["models.m.stop", "none empty"]),
        (OPENAI + 'stop = "x"', ["models.m.stop", "list of texts"]),
        (OPENAI + "tempratur = 1", ["models.m.tempratur", "unknown field of provider 'openai'",
                                    "did you mean 'temperature'", "response_format"]),
        (LLAMA + "context_token = 1", ["of provider 'llama_cpp'", "did you mean 'context_tokens'"]),
        (SCRIPTED.replace('"scripted"', '"scriptd"'), ["models.m.provider: is 'scriptd'",
                                                       "did you mean 'scripted'", "`ollama`"]),
        (SCRIPTED.replace("provider", "provder"), ["models.m.provder", "did you mean 'provider'"]),
        (SCRIPTED.replace('"scripted"', "7"), ["models.m.provider: is 7; allowed: `llama_cpp`"]),
        (OPENAI + "enum_values_max = 0", ["models.m.enum_values_max", "is 0", "1 to 10000"]),
        (LLAMA + "enum_values_max = 10001", ["models.m.enum_values_max", "1 to 10000"]),
        (OLLAMA + 'enum_values_max = "5"', ["models.m.enum_values_max", "integer"]),
        (SCRIPTED + "enum_value_max = 5", ["did you mean 'enum_values_max'"]),
        (OPENAI + 'max_tokens_field = "n"', ["max_tokens_field", "`max_completion_tokens`"]),
        (OPENAI + 'response_format = "xml"', ["response_format", "`json_object`"]),
        (OPENAI + 'think = "low"', ["models.m.think", "'ollama'", "reasoning_effort"]),
        (OPENAI + "context_tokens = 9", ["models.m.context_tokens", "'ollama'"]),
        (OPENAI + 'keep_alive = "1m"', ["models.m.keep_alive", "'ollama'"]),
        (OPENAI + "extra_body = { temperature = 1 }", ["extra_body.temperature", "temperature"]),
        (OPENAI + "extra_body = { max_completion_tokens = 1 }", ["max_tokens_field"]),
        (OPENAI + "extra_body = { messages = [] }", ["extra_body.messages", "leave it out"]),
        (OPENAI + 'headers = { "X Y" = "1" }', ["models.m.headers", "X Y"]),
        (OPENAI + 'headers = { "Host" = "h" }', ["headers.Host", "leave it out"]),
        (OPENAI + 'headers = { "api-key" = "canary" }', ["headers.api-key", "$A_VARIABLE"]),
        (OPENAI + 'api_key_env = "K"\nheaders = { Authorization = "$B" }', ["api_key_env"]),
        (OPENAI + 'headers = "x"', ["models.m.headers", "table of texts"]),
        (OPENAI + "query = { v = 1 }", ["models.m.query"]),
        (OPENAI + 'proxy = "socks5://p:1"', ["models.m.proxy", "socks5", "http://host:port"]),
        (OPENAI + 'proxy = "http://u:canary@p:1"', ["models.m.proxy", "$MODEL_PROXY"]),
        (OLLAMA + 'think = "hard"', ["models.m.think", "true or false", "`high`"]),
        (OLLAMA + 'max_tokens_field = "max_tokens"', ["max_tokens_field", "num_predict"]),
        (OLLAMA + "extra_body = { options = { num_ctx = 9 } }", ["options.num_ctx",
                                                                  "context_tokens"]),
        (OLLAMA + "extra_body = { options = 9 }", ["extra_body.options", "table"]),
        (OLLAMA + 'extra_body = { format = "json" }', ["response_format"]),
        (LLAMA + 'headers = { a = "b" }', ["models.m.headers", "'llama_cpp'", "'openai'"]),
        (LLAMA + 'proxy = "p:1"', ["models.m.proxy", "takes none"]),
        (LLAMA + 'response_format = "none"', ["models.m.response_format"]),
        (SCRIPTED + "extra_body = { a = 1 }", ["models.m.extra_body", "'scripted'"]),
        (SCRIPTED + 'ca_file = "x.pem"', ["models.m.ca_file"]),
        (SCRIPTED + KIND + "temperature = 9", ["kinds.k.temperature", "0 to 2"]),
        (SCRIPTED + KIND + "max_tokens = -1", ["kinds.k.max_tokens"]),
        (SCRIPTED + KIND + 'stop = ["", "x"]', ["kinds.k.stop"]),
    ],
)  # fmt: skip
def test_a_setting_that_cannot_be_is_named_with_what_is_allowed(
    tmp_path: Path, text: str, parts: list[str]
) -> None:
    """Nothing is ignored: a setting that a provider does not know is refused."""
    told = refused(tmp_path, text)
    for part in parts:
        assert part in told, told
    assert "canary" not in told


def test_every_setting_is_read(tmp_path: Path) -> None:
    """One of each."""
    model = model_of(
        tmp_path,
        OPENAI
        + 'temperature = 0\ntop_p = 0.9\nmax_tokens = 99\nseed = 7\nstop = ["###"]\n'
        + 'max_tokens_field = "max_completion_tokens"\nresponse_format = "json_object"\n'
        + 'extra_body = { top_k = 5, nested = { a = [1] } }\nproxy = "$P"\n'
        + 'headers = { "api-key" = "$KEY", "X-Title" = "mine" }\nquery = { "api-version" = "1" }\n',
    )
    assert model.sampling() == Sampling(
        temperature=0, top_p=0.9, max_tokens=99, seed=7, stop=("###",)
    )
    assert model.extra_body == {"top_k": 5, "nested": {"a": [1]}}
    assert model_of(tmp_path, OLLAMA + 'think = "high"').think == "high"
    assert model_of(tmp_path, OLLAMA + "think = true").think is True


def test_values_of_the_environment_are_filled_in_and_kept_secret(tmp_path: Path) -> None:
    """In the middle of a text too; nothing of it is printed, and all of it is to be cut out."""
    text = OPENAI + 'headers = { Authorization = "Token $TOKEN", "X-A" = "${A}b" }\n'
    model = model_of(tmp_path, text + 'query = { sig = "$SIG" }')
    environment = {"TOKEN": "canary-1", "A": "canary-2", "SIG": "canary-3"}
    access = access_of("m", model, environment, source="file")
    assert access.headers == {"Authorization": "Token canary-1", "X-A": "canary-2b"}
    assert access.query == {"sig": "canary-3"}
    assert set(access.secrets) == set(environment.values())
    assert "canary" not in repr(access)
    assert set(model.secret_variables()) == set(environment)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [({}, ["$TOKEN", "headers.X", "not set"]), ({"TOKEN": "a\nb"}, ["'X'", "character"])],
)
def test_a_variable_that_is_missing_or_unfit_stops_the_start(
    tmp_path: Path, environment: dict[str, str], expected: list[str]
) -> None:
    """Named, and its value not repeated."""
    model = model_of(tmp_path, OPENAI + 'headers = { X = "$TOKEN" }')
    with pytest.raises(SetupError) as caught:
        access_of("m", model, environment, source="lakehouse.toml")
    for part in expected:
        assert part in caught.value.public


def test_the_digest_of_a_configuration_holds_names_and_no_secret(tmp_path: Path) -> None:
    """The same file in two environments is one configuration; another header is another."""
    text = OPENAI + 'headers = { X = "$TOKEN" }\n'
    first = load(tmp_path, text).digest
    assert load(tmp_path, text).digest == first
    assert load(tmp_path, text.replace("$TOKEN", "$OTHER")).digest != first


@pytest.mark.parametrize(
    ("content", "expected"), [(None, "No such file"), ("nonsense", "contains no PEM certificate")]
)
def test_authorities_that_cannot_be_read_stop_the_start(
    tmp_path: Path, content: str | None, expected: str
) -> None:
    """The file is relative to the configuration, and named."""
    if content is not None:
        (tmp_path / "ca.pem").write_text(content)
    config = load(tmp_path, OPENAI + 'ca_file = "ca.pem"\n[log]\npath = "log"\n')
    with pytest.raises(SetupError) as caught:
        Stack(config, {}, "chatd")
    assert "models.m.ca_file" in caught.value.public
    assert expected in caught.value.public
    assert str(tmp_path) in caught.value.public


def test_a_proxy_of_the_environment_that_cannot_be_used_stops_the_start() -> None:
    """The variable is named, its password is not."""
    clients = ModelClients({"HTTPS_PROXY": "socks5://user:canary@p:1"})
    with pytest.raises(SetupError) as caught:
        clients.client("models.m", proxy=None, ca_file=None)
    assert "$HTTPS_PROXY" in caught.value.public
    assert "canary" not in caught.value.public


def task(config: Config, **members: Any) -> Any:
    request = IterateRequest(kind="k", prompt="?", **members)
    return plan(request, session_context(), catalog(config))


MODEL_SAMPLING = 'temperature = 0.1\ntop_p = 0.2\nmax_tokens = 3\nseed = 4\nstop = ["m"]\n'


def test_a_request_goes_over_a_kind_and_a_kind_over_a_model(tmp_path: Path) -> None:
    """Member by member; what is in force stands in the row's settings."""
    kind = KIND + 'temperature = 0.5\nmax_tokens = 6\nstop = ["k"]\n'
    config = load(tmp_path, SCRIPTED + MODEL_SAMPLING + kind)
    planned = task(config, max_tokens=9)
    assert planned.sampling == Sampling(
        temperature=0.5, top_p=0.2, max_tokens=9, seed=4, stop=("k",)
    )
    settings = planned.settings
    assert bytes(settings.temperature) == b"0.5"
    assert (settings.max_tokens, settings.seed) == (9, 4)


def test_a_zero_is_a_setting(tmp_path: Path) -> None:
    """Temperature 0 and seed 0 are said, not left out."""
    config = load(tmp_path, SCRIPTED + "temperature = 0.7\nseed = 3\n" + KIND + "temperature = 0\n")
    planned = task(config, seed=0)
    assert (planned.sampling.temperature, planned.sampling.seed) == (0, 0)
    assert float(bytes(planned.settings.temperature)) == 0


def test_the_sampling_of_a_kind_is_part_of_its_digest_where_it_is_set(tmp_path: Path) -> None:
    """Older digests stay: nothing set, nothing added; the model's own does not count."""
    plain = catalog(load(tmp_path, SCRIPTED + KIND)).kinds["k"].digest
    assert catalog(load(tmp_path, SCRIPTED + MODEL_SAMPLING + KIND)).kinds["k"].digest == plain
    found = {
        catalog(load(tmp_path, SCRIPTED + KIND + line)).kinds["k"].digest
        for line in (
            "temperature = 0",
            "temperature = 0.1",
            "seed = 0",
            'stop = ["x"]',
            "top_p = 1",
        )
    }
    assert len(found) == 5
    assert plain not in found
