"""64 threads and 64 tasks of one process at once: each call has its row, and memory stays flat."""

import json
import subprocess
import sys
from pathlib import Path

from support.python_client import configured, rows_in

CALLS = 50_000
GROWTH_KIB_MAX = 24 << 10  # over 40,000 calls: 0.6 KiB a call would be a leak of any row
PROGRAM = Path(__file__).with_name("busy_python_client.py")


def test_threads_and_tasks_at_once_lose_no_row_and_keep_no_memory(tmp_path):
    config = configured(tmp_path)

    ended = subprocess.run(
        [sys.executable, str(PROGRAM), str(config), str(CALLS)],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )

    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout)
    assert told["good"] == CALLS
    assert told["late"] - told["early"] < GROWTH_KIB_MAX, told
    prompts = {row["prompt"] for row in rows_in(tmp_path)}
    assert len(prompts) == CALLS
    kinds = {prompt.partition(" ")[0] for prompt in prompts}
    assert kinds == {"thread", "task"}
