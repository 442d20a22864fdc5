"""The embedded model in a daemon: it ends with it, and is in the way of no signal."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support.waiting import wait_until
from support.weights import pulled_weights


@pytest.mark.model
def test_an_engine_does_not_outlive_a_killed_daemon() -> None:
    """It ends with its stdin, in the middle of an answer too."""
    process = start("signal")
    assert process.stdout is not None
    assert [process.stdout.readline() for _ in range(2)] == ["ports 0\n", "up\n"]
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    # The thread that started it is the parent on Linux: look through all of them.
    for task in Path(f"/proc/{process.pid}/task").iterdir():
        children += (task / "children").read_text().split()
    assert len(set(children)) == 1
    process.kill()
    process.communicate(timeout=60)
    engine = Path(f"/proc/{children[0]}/exe")
    wait_until(lambda: not engine.exists(), "the end of the engine")


PROGRAM = """
import asyncio, contextlib, os, signal, sys
from pathlib import Path
from lakehouse.core.chat import ChatRequest, Message
from lakehouse.providers.llama_cpp import LlamaCppProvider, LlamaCppSettings

async def main(ending):
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    provider = LlamaCppProvider(
        "small", LlamaCppSettings(model="smollm2-135m-instruct", slots=1)
    )
    if ending == "loading":
        task = asyncio.create_task(provider.load())
        await asyncio.sleep(0.05)
        return
    await provider.load()
    tables = [Path("/proc/self/net", name) for name in ("tcp", "tcp6")]
    found = [table.read_text().splitlines() for table in tables if table.exists()]
    lines = [line.split() for text in found for line in text]
    listening = {f"socket:[{line[9]}]" for line in lines if line[3] == "0A"}
    own = set()
    for process in ("self", *(str(engine.process_id) for engine in provider._live)):
        for descriptor in Path("/proc", process, "fd").iterdir():
            with contextlib.suppress(OSError):
                own.add(os.readlink(descriptor))
    print("ports", len(listening & own))
    request = ChatRequest(
        model="small", messages=(Message("user", "Count to a thousand."),), max_tokens=2000
    )
    task = asyncio.create_task(provider.complete(request, trace={}, deadline_ms=3_000))
    await asyncio.sleep(0.2)
    if ending == "signal":
        print("up", flush=True)
        await stop.wait()
        print("stopping", flush=True)
        await provider.close()
        await asyncio.gather(task, return_exceptions=True)
    if ending == "closed":
        await asyncio.gather(task, return_exceptions=True)
        await provider.close()

asyncio.run(main(sys.argv[1]))
print("end")
"""


def start(ending: str) -> subprocess.Popen[str]:
    pulled_weights()
    source = str(Path(__file__).parents[3] / "src")
    return subprocess.Popen(
        [sys.executable, "-X", "dev", "-c", PROGRAM, ending],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": source},
    )


@pytest.mark.model
@pytest.mark.parametrize("ending", ["closed", "abandoned", "loading"])
def test_the_process_ends_clean_and_quiet(ending: str) -> None:
    """Closed properly, left in the middle of an answer, or of a load: exit 0, nothing printed."""
    process = start(ending)
    output, errors = process.communicate(timeout=60)
    assert errors == ""
    assert process.returncode == 0
    assert output == ("end\n" if ending == "loading" else "ports 0\nend\n")


@pytest.mark.model
def test_signals_still_reach_the_daemon() -> None:
    """The engine must not take SIGTERM for itself: the daemon drains and writes rows on it."""
    process = start("signal")
    assert process.stdout is not None
    assert [process.stdout.readline() for _ in range(2)] == ["ports 0\n", "up\n"]
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, output, errors) == (0, "stopping\nend\n", "")
