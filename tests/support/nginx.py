"""Programs of Debian's packages that tests need, and nginx while a test runs."""

import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.waiting import wait_until

_CONFIG = """
daemon off;
master_process off;
pid {directory}/nginx.pid;
error_log stderr;
events {{ worker_connections 64; }}
http {{
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
{http}
}}
"""


def program(name: str, package: str) -> str:
    """Find a program, also among those of the system; or fail the test with what to install."""
    found = shutil.which(name, path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    if found is None:
        pytest.fail(f"{name} is not here: apt-get install {package}")
    return found


@contextmanager
def nginx(directory: Path, http: str, listens: Callable[[], bool]) -> Iterator[None]:
    """Run nginx in a directory, with directives of `http`; the block begins when it listens."""
    (directory / "nginx.conf").write_text(_CONFIG.format(directory=directory, http=http))
    output = directory / "output.txt"
    with output.open("wb") as told:
        process = subprocess.Popen(
            [
                *(program("nginx", "nginx-light"), "-e", "stderr"),
                *("-p", str(directory), "-c", str(directory / "nginx.conf")),
            ],
            stdout=told,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_until(lambda: process.poll() is not None or listens(), "nginx")
        assert process.poll() is None, output.read_text()
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
