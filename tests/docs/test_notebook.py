"""The example notebook shows what its cells show when they run, in a real kernel and offline."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "examples" / "notebook.ipynb"
TOOL = ROOT / "tools" / "build_notebook.py"
pytestmark = pytest.mark.timeout(400)


def cells(notebook: Path) -> list[dict[str, Any]]:
    return [cell for cell in json.loads(notebook.read_text("utf-8"))["cells"] if "outputs" in cell]


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The notebook, after its cells have run; a cell that fails makes the tool fail."""
    output = tmp_path_factory.mktemp("notebook") / "executed.ipynb"
    done = subprocess.run(
        [sys.executable, str(TOOL), str(output)],
        env={name: value for name, value in os.environ.items() if not name.startswith("LAKEHOUSE")},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return output


def test_every_cell_shows_what_the_notebook_says(executed: Path):
    """`python tools/build_notebook.py` writes it anew."""
    ran, said = cells(executed), cells(NOTEBOOK)
    assert [cell["execution_count"] for cell in ran] == list(range(1, len(said) + 1))
    for now, then in zip(ran, said, strict=True):
        assert (now["id"], now["outputs"]) == (then["id"], then["outputs"])
    assert executed.read_bytes() == NOTEBOOK.read_bytes()


def test_every_cell_shows_something_and_none_an_error():
    """A reader sees it without running it."""
    for cell in cells(NOTEBOOK):
        assert cell["outputs"], cell["id"]
        kinds = {output["output_type"] for output in cell["outputs"]}
        assert kinds <= {"execute_result", "stream"}, cell["id"]
        assert all(output.get("name", "stdout") == "stdout" for output in cell["outputs"])


def test_it_uses_both_clients_in_the_kernel_s_running_loop():
    """The kernel runs every cell in its own event loop: `await` stands outside of functions."""
    source = {cell["id"]: "".join(cell["source"]) for cell in cells(NOTEBOOK)}
    assert "lakehouse.open(" in source["type"]
    assert "\nasync with lakehouse.open_async(" in source["async"]
