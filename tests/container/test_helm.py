"""The chart, by Helm itself: linted, rendered, and refused values. `make chart` builds Helm."""

import json
from pathlib import Path

import pytest

from support.chart import CHART, HELM, TARGET, WRONG, helm, rendered

VALUES = sorted((CHART / "ci").glob("*.yaml"))
pytestmark = pytest.mark.skipif(HELM is None, reason="needs Helm: make chart")


@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)
def test_the_chart_is_linted_and_renders_what_the_tests_hold(values: Path) -> None:
    done = helm("lint", "--strict", str(CHART), "--values", str(values))
    assert done.returncode == 0, done.stdout
    assert (TARGET / values.name).read_text("utf-8") == rendered(values)


@pytest.mark.parametrize(("what", "wrong"), WRONG, ids=[what for what, _ in WRONG])
def test_helm_refuses_values_that_would_not_work(
    tmp_path: Path, what: str, wrong: dict[str, object]
) -> None:
    file = tmp_path / "wrong.json"
    file.write_text(json.dumps(wrong))
    smallest = str(CHART / "ci" / "smallest.yaml")
    done = helm("lint", "--strict", str(CHART), "--values", smallest, "--values", str(file))
    assert done.returncode != 0
    assert "specifications of the schema" in done.stdout + done.stderr
