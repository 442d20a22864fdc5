"""The image: built from the Containerfile by a builder, and run as the pages say.

No registry of images is asked. The base is a bare Debian made here, under the name that the
Containerfile has for it; the rest is what a user of it gets: buildah's steps, podman and runc, a
read-only root, no capabilities. Layers stay in .container for the next run.
"""

import http.client
import json
import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from lakehouse.gateway.auth import new_key
from support.commands import SCHEMA
from support.containerfile import CONTAINERFILE, ROOT, stages
from support.waiting import wait_until

STORE = ROOT / ".container"
BASE = "docker.io/library/debian:bookworm-slim"
IMAGE = "localhost/lakehouse"
COMPRESSED_MB_MAX = 250
# The runtime's own defaults are higher than some machines let it set them.
LIMITS = ("--ulimit=nofile=4096:4096", "--ulimit=nproc=512:512")
# What Debian's slim images leave out.
SLIM = [f"--dpkgopt=path-exclude=/usr/share/{part}/*" for part in ("doc", "info", "locale", "man")]
CONFIG = """
[gateway]
api_keys_env = "LAKEHOUSE_API_KEYS"
[models.small]
provider = "scripted"
model = "tiny"
script = "script.json"
[tables.cities]
path = "cities.csv"
[kinds.city]
schema = "city.json"
[[kinds.city.grounding]]
path = "/city"
column = "cities.name"
"""
pytestmark = [
    pytest.mark.timeout(2400),
    pytest.mark.skipif(
        not all(map(shutil.which, ("buildah", "mmdebstrap", "podman", "runc"))),
        reason="needs buildah, mmdebstrap, podman and runc",
    ),
]


class Container(NamedTuple):
    """One that runs: its name, its port on this machine, and a key of its gateway."""

    name: str
    port: int
    key: str

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        headers = {"authorization": f"Bearer {self.key}", "content-type": "application/json"}
        try:
            connection.request(method, path, json.dumps(body) if body else None, headers)
            reply = connection.getresponse()
            return reply.status, reply.read()
        finally:
            connection.close()

    def does(self, *command: str) -> "subprocess.CompletedProcess[str]":
        return podman("exec", self.name, *command, check=False)


def run(*command: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done


def stored(tool: str, *arguments: str) -> list[str]:
    return [tool, "--root", f"{STORE}/store", "--runroot", f"{STORE}/run", *arguments]


def podman(*arguments: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
    runtime = ("--runtime", "runc", "--cgroup-manager", "cgroupfs")
    return run(*stored("podman", *runtime, *arguments), check=check)


def told_by(name: str) -> str:
    told = podman("logs", name)
    return told.stdout + told.stderr


def write_project(directory: Path, config: str) -> None:
    """Write a configuration that the image's user can read."""
    (directory / "lakehouse.toml").write_text(config)
    (directory / "city.json").write_text(json.dumps(SCHEMA))
    (directory / "cities.csv").write_text("name\nOslo\nBergen\n")
    (directory / "script.json").write_text('{"matches": {".": ["{\\"city\\": \\"Oslo\\"}"]}}')
    directory.chmod(0o755)


def trusted() -> list[str]:
    """Give pip in the build the authorities that pip of this machine trusts, if it was told any."""
    if "PIP_CERT" not in os.environ:
        return []
    shutil.copy(os.environ["PIP_CERT"], STORE / "authorities.pem")
    (STORE / "pip.conf").write_text("[global]\ncert = /run/authorities.pem\n")
    return [
        f"--volume={STORE}/authorities.pem:/run/authorities.pem:ro",
        f"--volume={STORE}/pip.conf:/etc/pip.conf:ro",
    ]


@pytest.fixture(scope="module")
def image() -> str:
    """Make the base, if it is not there from an earlier run, and build the image on it."""
    STORE.mkdir(exist_ok=True)
    if podman("image", "exists", BASE, check=False).returncode:
        base = STORE / "debian.tar"
        run("mmdebstrap", "--variant=apt", *SLIM, "bookworm", str(base))
        podman("import", "--quiet", str(base), BASE)
        base.unlink()
    build = ("bud", "--isolation=chroot", "--pull-never", "--layers", "--format=docker")
    where = (*trusted(), f"--file={CONTAINERFILE}", f"--tag={IMAGE}", str(ROOT))
    run(*stored("buildah", *build, *where))
    return IMAGE


@pytest.fixture(scope="module")
def container(image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    """Run it with a read-only root, a volume for the log, and nothing but /tmp to write to."""
    project = tmp_path_factory.mktemp("project")
    write_project(project, CONFIG)
    key = new_key("tester")
    name = f"lakehouse-{uuid.uuid4().hex[:8]}"
    podman(
        *("run", "--detach", "--name", name, "--read-only", "--read-only-tmpfs=false"),
        *("--tmpfs=/tmp", "--cap-drop=all", "--security-opt=no-new-privileges", *LIMITS),
        *("--network=host", "--no-healthcheck", f"--volume={project}:/etc/lakehouse:ro"),
        *(f"--volume={name}:/var/lib/lakehouse", f"--env=LAKEHOUSE_API_KEYS={key.entry}", image),
        *("up", "--workers", "2"),
    )
    try:
        running = Container(name, 4110, key.secret)
        wait_until(lambda: "is listening" in told_by(name), lambda: told_by(name))
        yield running
    finally:
        podman("rm", "--force", "--volumes", name)
        podman("volume", "rm", "--force", name)


def test_what_a_registry_would_store_is_small(image: str, tmp_path: Path) -> None:
    run(*stored("buildah", "push", "--quiet", image, f"oci:{tmp_path}/image"))
    blobs = tmp_path / "image" / "blobs" / "sha256"
    megabytes = sum(blob.stat().st_size for blob in blobs.iterdir()) / 1e6
    size = json.loads(podman("image", "inspect", image).stdout)[0]["Size"] / 1e6
    print(f"compressed {megabytes:.0f} MB, unpacked {size:.0f} MB")
    assert megabytes <= COMPRESSED_MB_MAX


def test_the_image_has_the_names_that_the_file_gives_it(image: str) -> None:
    found = json.loads(podman("image", "inspect", image).stdout)[0]
    made = found["Config"]
    told = stages()[-1]
    assert made["User"] == told.one("USER").rest
    assert made["StopSignal"] == "SIGTERM"
    assert "org.opencontainers.image.version" in made["Labels"]
    assert "urllib.request" in found["Healthcheck"]["Test"][-1]


def test_without_keys_it_does_not_serve_other_machines(image: str, tmp_path: Path) -> None:
    write_project(tmp_path, CONFIG.replace("api_keys_env", "# api_keys_env"))
    mount = f"--volume={tmp_path}:/etc/lakehouse:ro"
    ended = podman("run", "--rm", "--no-healthcheck", *LIMITS, mount, image, check=False)
    assert ended.returncode != 0
    assert "other machines" in ended.stderr


def test_a_session_is_answered_logged_and_read_back(container: Container) -> None:
    assert json.loads(container.ask("GET", "/readyz")[1])["workers"]["wanted"] == 2
    status, body = container.ask("POST", "/v1/iterate", {"kind": "city", "prompt": "Oslo"})
    assert (status, json.loads(body)["verdict"]) == (200, "accepted")
    told = container.does("lakehouse", "query", "--json", "SELECT count(*) AS n FROM sessions")
    assert json.loads(told.stdout)[0]["n"] >= 1
    sealed = container.does("lakehouse", "log", "seal")
    assert sealed.returncode == 0, sealed.stderr
    assert container.ask("GET", "/ui/sessions")[0] == 200


def test_the_doctor_finds_nothing_in_it(container: Container) -> None:
    told = container.does("lakehouse", "doctor", "--json")
    states = {check["name"]: check["state"] for check in json.loads(told.stdout)["checks"]}
    states.pop("log file system")  # the volume's, which is this machine's
    assert set(states.values()) == {"ok"}


def test_it_is_ready_for_production_but_for_its_model(container: Container) -> None:
    told = container.does("lakehouse", "doctor", "production", "--production", "--json")
    checks = {check["name"]: check["state"] for check in json.loads(told.stdout)["checks"]}
    problems = [name for name, state in checks.items() if state == "problem"]
    assert problems == ["production model small"]
    assert checks["production log disk"] == "ok"
    assert "production user" not in checks
    assert "production log rights" not in checks


def test_the_health_check_sees_the_daemon(container: Container) -> None:
    (test,) = (one.rest.partition(" CMD ")[2] for one in stages()[-1].all("HEALTHCHECK"))
    assert container.does(*json.loads(test)).returncode == 0
    wrong = [part.replace("4110", "4109") for part in json.loads(test)]
    assert container.does(*wrong).returncode != 0


def test_it_has_no_right_that_it_does_not_need(container: Container) -> None:
    status = container.does("cat", "/proc/1/status").stdout
    assert "Uid:\t10001\t10001" in status
    assert "CapEff:\t0000000000000000" in status
    for place in ("/etc/x", "/opt/lakehouse/x", "/usr/x", "/var/x"):
        assert "Read-only" in container.does("sh", "-c", f"echo > {place}").stderr
    assert container.does("sh", "-c", "ls /opt/lakehouse/bin/pip").returncode != 0


def test_a_stop_ends_it_in_order(container: Container) -> None:
    podman("stop", "--time", "40", container.name)
    state = json.loads(podman("inspect", container.name).stdout)[0]["State"]
    assert state["ExitCode"] == 0
