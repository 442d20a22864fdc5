"""The bugs that the fault suite plants fit the code as it is."""

import os
import subprocess
import sys

from faults.mutations import names


def test_every_bug_can_be_planted():
    """A bug that replaces what is not there any more would be caught by nothing, minutes later."""
    program = (
        "import sys\n"
        "from faults.mutations import apply_mutation\n"
        "apply_mutation(sys.argv[1])\n"
        "print('planted')\n"
    )
    for name in names():
        done = subprocess.run(
            [sys.executable, "-c", program, name],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stdout.endswith("planted\n"), f"{name}: {done.stderr}"
