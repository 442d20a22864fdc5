"""The Helm chart: what it renders, against Kubernetes' own schemas and against the image.

Helm itself is not needed here: tests/deploy/rendered is what it made of this very chart.
`make chart` builds Helm, lints, renders, and tries values that must be refused.
"""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import kubernetes_validate
import pytest
import yaml  # type: ignore[import-untyped]

import lakehouse as package
from lakehouse.cli.daemon_line import daemon_line
from lakehouse.config.load import load_config
from support.chart import CHART, TARGET, WRONG, digest
from support.containerfile import stages

VERSIONS = ("1.29", "1.37")  # the oldest that the chart takes, and the newest there is
VALUES = sorted(path.name for path in (CHART / "ci").glob("*.yaml"))
SCHEMA = json.loads((CHART / "values.schema.json").read_text("utf-8"))


def loaded(path: Path) -> list[dict[str, Any]]:
    return [one for one in yaml.safe_load_all(path.read_text("utf-8")) if one]


def values_of(name: str) -> dict[str, Any]:
    """Merge a file of values over the defaults, one level deep, as these files need it."""
    (merged,) = loaded(CHART / "values.yaml")
    (given,) = loaded(CHART / "ci" / name)
    for key, value in given.items():
        merged[key] = merged[key] | value if isinstance(value, dict) else value
    return merged


def of_kind(name: str, kind: str) -> list[dict[str, Any]]:
    return [one for one in loaded(TARGET / name) if one["kind"] == kind]


@pytest.fixture(params=VALUES)
def pods(request: pytest.FixtureRequest) -> dict[str, Any]:
    """What a replica is, by each file of values."""
    (stateful,) = of_kind(request.param, "StatefulSet")
    found: dict[str, Any] = stateful["spec"]
    return found


@pytest.mark.parametrize("name", VALUES)
def test_what_is_held_here_was_rendered_from_this_chart(name: str) -> None:
    first = (TARGET / name).read_text("utf-8").partition("\n")[0]
    assert first.endswith(digest()), "make chart"


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", VALUES)
def test_kubernetes_takes_every_object(name: str, version: str) -> None:
    found = [one for one in loaded(TARGET / name) if one["kind"] != "ServiceMonitor"]
    assert len(found) >= 6
    for one in found:
        kubernetes_validate.validate(one, version, strict=True)
    broken = found[0] | {"spce": {}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, version, strict=True)


@pytest.mark.parametrize("name", VALUES)
def test_the_values_that_are_rendered_are_taken(name: str) -> None:
    jsonschema.validate(values_of(name), SCHEMA)


@pytest.mark.parametrize(("what", "wrong"), WRONG, ids=[what for what, _ in WRONG])
def test_values_that_would_not_work_are_refused(what: str, wrong: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(values_of("smallest.yaml") | wrong, SCHEMA)


def test_every_value_has_a_rule_and_the_reverse() -> None:
    (defaults,) = loaded(CHART / "values.yaml")
    assert set(defaults) == set(SCHEMA["properties"]) - {"global"}


def test_the_chart_is_of_this_version() -> None:
    (chart,) = loaded(CHART / "Chart.yaml")
    assert chart["version"] == chart["appVersion"] == package.__version__


def test_a_replica_has_the_rights_of_the_image_and_no_more(pods: dict[str, Any]) -> None:
    pod = pods["template"]["spec"]
    user, group = stages()[-1].one("USER").rest.split(":")
    security = pod["securityContext"]
    assert (security["runAsUser"], security["runAsGroup"]) == (int(user), int(group))
    assert security["runAsNonRoot"] is True
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    for container in pod["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


def test_a_replica_keeps_its_log_where_the_image_writes_it(pods: dict[str, Any]) -> None:
    image = stages()[-1]
    (claim,) = pods["volumeClaimTemplates"]
    assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]
    for container in pods["template"]["spec"]["containers"]:
        mounts = {mount["name"]: mount for mount in container["volumeMounts"]}
        assert mounts[claim["metadata"]["name"]]["mountPath"] == image.one("VOLUME").rest
        config = Path(image.pairs("ENV")["LAKEHOUSE_CONFIG"])
        assert mounts["config"]["mountPath"] == str(config.parent)
        assert mounts["config"]["readOnly"] is True
        assert mounts["tmp"]["mountPath"] == "/tmp"


def test_the_log_is_not_made_writable_for_its_group_at_every_start(pods: dict[str, Any]) -> None:
    """A directory below the volume is ours alone; Kubernetes makes the volume itself 2775."""
    image = stages()[-1]
    security = pods["template"]["spec"]["securityContext"]
    assert security["fsGroup"] == 10001
    assert security["fsGroupChangePolicy"] == "OnRootMismatch"
    assert Path(image.pairs("ENV")["LAKEHOUSE_LOG__PATH"]).parent == Path(image.one("VOLUME").rest)


def test_probes_ask_what_the_daemon_serves(pods: dict[str, Any]) -> None:
    daemon = pods["template"]["spec"]["containers"][0]
    asked = {name: daemon[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness")}
    assert {one["path"] for one in asked.values()} == {"/livez"}
    assert daemon["readinessProbe"]["httpGet"]["path"] == "/readyz"
    (port,) = daemon["ports"]
    assert port["name"] == "http"
    assert str(port["containerPort"]) == stages()[-1].one("EXPOSE").rest


def test_a_replica_is_started_by_a_line_that_is_read(pods: dict[str, Any]) -> None:
    line = daemon_line(pods["template"]["spec"]["containers"][0]["args"])
    assert line is not None
    assert line.role == "up"
    assert line.workers in {"1", "auto"}


def test_a_replica_has_the_time_to_drain(pods: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "lakehouse.toml"
    file.write_text("")
    pod = pods["template"]["spec"]
    waits_s = int(pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][1])
    drain_ms = load_config(file, {}).session.drain_ms
    assert (pod["terminationGracePeriodSeconds"] - waits_s) * 1000 > drain_ms


@pytest.mark.parametrize("name", VALUES)
def test_every_service_leads_to_the_replicas(name: str) -> None:
    (stateful,) = of_kind(name, "StatefulSet")
    labels = stateful["spec"]["template"]["metadata"]["labels"]
    services = {one["metadata"]["name"]: one for one in of_kind(name, "Service")}
    assert stateful["spec"]["serviceName"] in services
    for service in services.values():
        assert service["spec"]["selector"].items() <= labels.items()
        assert [port["targetPort"] for port in service["spec"]["ports"]] == ["http"]
    for kind in ("PodDisruptionBudget", "NetworkPolicy"):
        (one,) = of_kind(name, kind)
        selector = one["spec"].get("selector") or one["spec"]["podSelector"]
        assert selector["matchLabels"].items() <= labels.items()


def test_the_configuration_that_is_mounted_can_be_read(tmp_path: Path) -> None:
    (config,) = of_kind("everything.yaml", "ConfigMap")
    for name, text in config["data"].items():
        (tmp_path / name).write_text(text)
    (stateful,) = of_kind("everything.yaml", "StatefulSet")
    (keys,) = of_kind("everything.yaml", "Secret")
    for container in stateful["spec"]["template"]["spec"]["containers"]:
        told = container["env"][0]["valueFrom"]["secretKeyRef"]
        assert told == {"name": keys["metadata"]["name"], "key": "LAKEHOUSE_API_KEYS"}
    found = load_config(tmp_path / "lakehouse.toml", {})
    assert found.gateway.api_keys_env == told["key"]
    assert list(found.kinds) == ["ticket"]
    given = tomllib.loads(config["data"]["lakehouse.toml"])
    assert given == tomllib.loads(values_of("everything.yaml")["config"])


def test_prometheus_reaches_each_replica_once() -> None:
    (monitor,) = of_kind("everything.yaml", "ServiceMonitor")
    wanted = monitor["spec"]["selector"]["matchLabels"].items()
    found = [
        one
        for one in of_kind("everything.yaml", "Service")
        if wanted <= one["metadata"]["labels"].items()
    ]
    assert [one["spec"]["clusterIP"] for one in found] == ["None"]
    (endpoint,) = monitor["spec"]["endpoints"]
    assert (endpoint["path"], endpoint["port"]) == ("/metrics", "http")


def test_the_compactor_is_only_there_when_asked_for() -> None:
    names = {
        name: [
            one["name"]
            for one in of_kind(name, "StatefulSet")[0]["spec"]["template"]["spec"]["containers"]
        ]
        for name in VALUES
    }
    assert names == {"everything.yaml": ["lakehouse", "compactor"], "smallest.yaml": ["lakehouse"]}
    (stateful,) = of_kind("everything.yaml", "StatefulSet")
    command = stateful["spec"]["template"]["spec"]["containers"][1]["command"]
    assert re.search(r"lakehouse log compact\b", command[-1])
