"""The compose file and what it mounts: by their formats' own rules, and by what there is here.

No engine runs compose files on the machines of the tests; `make container` runs the image itself.
"""

import json
import re
from pathlib import Path
from typing import Any

import compose_spec
import pytest
import yaml  # type: ignore[import-untyped]

from lakehouse.cli.daemon_line import daemon_line
from lakehouse.config.load import load_config
from support.commands import lakehouse
from support.containerfile import ROOT, stages
from support.endpoint import completion, endpoint
from support.metrics import samples
from support.stack import SCRIPTED, call, running_stack

HERE = ROOT / "deploy" / "compose"
COMPOSE = HERE / "compose.yaml"
GATEWAYS = ("gateway", "gateway-2")
COMPACTORS = ("compactor", "compactor-2")
VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")
ENTRY = "tester:" + "0" * 64


def filled(text: str, values: dict[str, str]) -> str:
    """Put variables in as compose does; one with `:?` must be given."""

    def value(found: re.Match[str]) -> str:
        name, form, rest = found.groups()
        return values.get(name) or (rest if form == "-" else "") or pytest.fail(f"no {name}")

    return VARIABLE.sub(value, text)


@pytest.fixture
def values() -> dict[str, str]:
    """What a user writes into .env, by the example."""
    names = re.findall(r"^(\w+)=", (HERE / "env.example").read_text("utf-8"), re.MULTILINE)
    given = dict.fromkeys(names, "given") | {"LAKEHOUSE_API_KEYS": ENTRY}
    return given | {"MODEL_BASE_URL": "http://models.example.com/v1"}


@pytest.fixture
def spec(values: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(filled(COMPOSE.read_text("utf-8"), values))
    return found


def test_it_is_a_compose_file(spec: dict[str, Any]) -> None:
    read = compose_spec.PyCompose.from_json(json.dumps(spec))
    assert {*GATEWAYS, *COMPACTORS, "store", "prometheus", "grafana"} <= set(read.service_names())
    broken = spec | {"services": {"gateway": {"image": "lakehouse", "imag": "lakehouse"}}}
    with pytest.raises(ValueError, match="imag"):
        compose_spec.PyCompose.from_json(json.dumps(broken))


def test_every_variable_is_in_the_example_and_the_reverse(values: dict[str, str]) -> None:
    text = COMPOSE.read_text("utf-8")
    asked = {name for name, form, _ in VARIABLE.findall(text) if form == "?"}
    secrets = set(re.findall(r"environment: (\w+)", text))
    assert asked | secrets == set(values)


def test_what_is_mounted_is_there_and_every_volume_is_named(spec: dict[str, Any]) -> None:
    mounts = [one for service in spec["services"].values() for one in service.get("volumes", ())]
    for mount in mounts:
        source, target = mount.split(":")[:2]
        assert target.startswith("/")
        assert (HERE / source).is_dir() if source.startswith(".") else source in spec["volumes"]
    assert {mount.split(":")[0] for mount in mounts} >= set(spec["volumes"])


@pytest.mark.parametrize("name", [*GATEWAYS, *COMPACTORS])
def test_a_stack_has_the_rights_that_the_image_needs(spec: dict[str, Any], name: str) -> None:
    service, image = spec["services"][name], stages()[-1]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["tmpfs"] == ["/tmp"]
    targets = [mount.split(":")[1] for mount in service["volumes"]]
    assert targets == [
        str(Path(image.pairs("ENV")["LAKEHOUSE_CONFIG"]).parent),
        image.one("VOLUME").rest,
    ]


def test_a_stack_has_the_time_to_drain_and_a_log_of_its_own(
    spec: dict[str, Any], values: dict[str, str]
) -> None:
    services = spec["services"]
    config = load_config(HERE / "lakehouse" / "lakehouse.toml", environment_of(spec))
    for gateway, compactor in zip(GATEWAYS, COMPACTORS, strict=True):
        grace_s = int(services[gateway]["stop_grace_period"].removesuffix("s"))
        assert grace_s * 1000 > config.session.drain_ms
        assert services[gateway]["volumes"] == services[compactor]["volumes"]
    assert services["gateway"]["volumes"] != services["gateway-2"]["volumes"]


def environment_of(spec: dict[str, Any]) -> dict[str, str]:
    """What a gateway's process finds: the image's variables, and the service's."""
    own: dict[str, str] = spec["services"]["gateway"]["environment"]
    return stages()[-1].pairs("ENV") | own


def test_the_doctor_finds_no_problem_in_the_configuration(
    spec: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a stack starts with it, but for the log's place; its model answers here."""
    with endpoint(lambda _: completion("{}")) as model:
        environment = environment_of(spec) | {
            "LAKEHOUSE_CONFIG": str(HERE / "lakehouse" / "lakehouse.toml"),
            "LAKEHOUSE_LOG__PATH": str(tmp_path / "sessions"),
            "LAKEHOUSE_MODELS__MAIN__BASE_URL": model.base_url,
        }
        for name in ("PATH", "HOME"):
            environment.pop(name)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        told = lakehouse(tmp_path, "doctor", "--json")
    states = {check["name"]: check["state"] for check in json.loads(told.stdout)["checks"]}
    assert states["keys"] == "ok"
    assert states["table products"] == "ok"
    assert "problem" not in states.values()


def test_a_gateway_with_workers_is_started_by_a_line_that_is_read(spec: dict[str, Any]) -> None:
    line = daemon_line(spec["services"]["gateway"]["command"])
    assert line is not None
    assert (line.role, line.workers) == ("up", "2")


def test_what_a_compactor_runs_is_a_command(spec: dict[str, Any], tmp_path: Path) -> None:
    (command,) = {tuple(spec["services"][name]["entrypoint"]) for name in COMPACTORS}
    (called,) = re.findall(r"lakehouse ((?:\w+ ?)+);", command[-1])
    assert lakehouse(tmp_path, *called.split(), "--help").stdout


def test_alerts_ask_for_metrics_and_labels_that_there_are(tmp_path: Path) -> None:
    rules = yaml.safe_load((HERE / "prometheus" / "alerts.yml").read_text("utf-8"))
    (tmp_path / "script.json").write_text('{"matches": {".": ["{}"]}}')
    there: dict[str, set[str]] = {}
    with running_stack(tmp_path, SCRIPTED, apart=False) as processes:
        port = processes["gateway"].port
        assert call(port, "POST", "/v1/iterate", {"schema": {}, "prompt": "one"}).status == 200
        for sample in samples(port):
            there.setdefault(sample.name, set()).update(sample.labels)
    asked = set()
    for rule in (rule for group in rules["groups"] for rule in group["rules"]):
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        for name, labels in re.findall(r"(lakehouse_\w+)(?:\{(.*?)\})?", rule["expr"]):
            asked.add(name)
            assert set(re.findall(r"(\w+)[=!]", labels)) <= there[name]
    assert len(asked) >= 4


def test_prometheus_scrapes_every_stack_with_its_key(spec: dict[str, Any]) -> None:
    config = yaml.safe_load((HERE / "prometheus" / "prometheus.yml").read_text("utf-8"))
    (job,) = config["scrape_configs"]
    port = stages()[-1].one("EXPOSE").rest
    (static,) = job["static_configs"]
    assert static["targets"] == [f"{name}:{port}" for name in GATEWAYS]
    (secret,) = spec["services"]["prometheus"]["secrets"]
    assert job["authorization"]["credentials_file"] == f"/run/secrets/{secret}"
    assert all((HERE / "prometheus" / name).exists() for name in config["rule_files"])


def test_grafana_finds_its_source_and_our_dashboard(spec: dict[str, Any]) -> None:
    (source,) = yaml.safe_load((HERE / "grafana/datasources/prometheus.yaml").read_text())[
        "datasources"
    ]
    assert source["url"] == "http://prometheus:9090"
    (provider,) = yaml.safe_load((HERE / "grafana/dashboards/lakehouse.yaml").read_text())[
        "providers"
    ]
    mounts = dict(mount.split(":")[:2][::-1] for mount in spec["services"]["grafana"]["volumes"])
    dashboards = HERE / mounts[provider["options"]["path"]]
    assert [json.loads(file.read_text())["uid"] for file in dashboards.iterdir()] == ["lakehouse"]
