"""Runs the example notebook in a kernel of its own, and writes it with what its cells showed.

    python tools/build_notebook.py [OUTPUT]

Without OUTPUT it writes the example itself. It fails if a cell fails.
"""

import os
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[1] / "examples" / "notebook.ipynb"
CELL_S = 120  # far more than a cell takes: the machine may be busy


def main() -> None:
    output = Path(sys.argv[1]) if len(sys.argv) > 1 else NOTEBOOK
    notebook = nbformat.read(NOTEBOOK, as_version=4)  # type: ignore[no-untyped-call]  # theirs
    with tempfile.TemporaryDirectory() as directory:
        # Nothing of the person who runs it: no settings, and no files left behind.
        for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR"):
            os.environ[name] = str(Path(directory) / name.lower())
        work = Path(directory) / "work"
        work.mkdir()
        NotebookClient(
            notebook,
            timeout=CELL_S,
            kernel_name="python3",
            record_timing=False,
            resources={"metadata": {"path": str(work)}},
        ).execute()
    notebook.metadata["language_info"] = {"name": "python"}  # not the version that ran it
    nbformat.write(notebook, output)  # type: ignore[no-untyped-call]  # theirs


if __name__ == "__main__":
    main()
