"""The Containerfile says what the pages promise of the image, and names only what there is.

Its steps are carried out by `make container`.
"""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import lakehouse
from lakehouse.config.load import load_config
from support.containerfile import IGNORE, ROOT, Stage, stages

PIN = re.compile(
    r"^([a-z0-9.-]+)==(\S+)( ;.*)? \\\n((?: {4}--hash=sha256:[0-9a-f]{64}(?: \\)?\n)*)",
    re.MULTILINE,
)
LEFT_OUT = {"arize-phoenix", "ray", "xllamacpp"}


@pytest.fixture
def build() -> Stage:
    return stages()[0]


@pytest.fixture
def image() -> Stage:
    return stages()[-1]


def pins(name: str) -> dict[tuple[str, str], str]:
    """Every pin of a file: its name and where it holds → its version; each has its hashes."""
    text = (ROOT / "requirements" / name).read_text("utf-8")
    found = PIN.findall(text)
    assert len(found) == len(re.findall(r"^[a-z]", text, re.MULTILINE))
    assert [pin for pin, _, _, hashes in found if not hashes] == []
    return {(pin, where): version for pin, version, where, _ in found}


def test_an_image_is_built_in_two_stages_of_one_base(build: Stage, image: Stage) -> None:
    assert [stage.name for stage in stages()] == ["build", ""]
    assert build.base == image.base == "${BASE}"
    assert not any("pip" in one.rest for one in image.all("RUN"))


def test_everything_from_an_index_is_held_to_its_hash(build: Stage) -> None:
    steps = " && ".join(one.rest for one in build.all("RUN")).split(" && ")
    calls = [step.split() for step in steps if "/pip " in step]
    assert len(calls) == 4
    own = [call for call in calls if "--require-hashes" not in call]
    # Lakehouse itself: made of the source, with the pinned tools, and installed from that file.
    assert [("--no-build-isolation" in call, "--no-index" in call) for call in own] == [
        (True, False),
        (False, True),
    ]
    assert all("--no-deps" in call for call in own)


@pytest.mark.parametrize("name", ["run.txt", "build.txt"])
def test_the_image_runs_the_versions_that_the_tests_run(name: str) -> None:
    def versions(file: str) -> set[tuple[str, str]]:
        return {(pin, version) for (pin, _), version in pins(file).items()}

    assert versions(name) - versions("dev.txt") == set()


def test_the_image_has_what_the_package_asks_for_and_the_object_store() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    asked = [*project["dependencies"], *project["optional-dependencies"]["delta"]]
    pinned = {name for name, _ in pins("run.txt")}
    assert {canonicalize_name(Requirement(one).name) for one in asked} <= pinned
    assert not pinned & LEFT_OUT


def test_what_is_copied_is_there_and_is_sent_to_the_build(build: Stage, image: Stage) -> None:
    sent = {line[1:] for line in IGNORE.read_text("utf-8").splitlines() if line.startswith("!")}
    copied = [path for one in build.all("COPY") for path in one.arguments[:-1]]
    assert len(copied) > 5
    assert sorted(copied) == sorted(sent)
    assert [path for path in copied if not (ROOT / path).exists()] == []
    assert [one.rest for one in image.all("COPY")] == ["--from=build /opt/lakehouse /opt/lakehouse"]


def test_the_image_is_no_root_and_says_how_it_is_stopped_and_looked_after(image: Stage) -> None:
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", image.one("USER").rest)
    assert image.one("STOPSIGNAL").rest == "SIGTERM"
    assert image.one("ENTRYPOINT").arguments == ["lakehouse"]
    assert image.one("CMD").arguments == ["up"]
    port = image.one("EXPOSE").rest
    health = image.one("HEALTHCHECK").rest
    assert health.partition(" CMD ")[2].startswith('["/opt/lakehouse/bin/python"')
    assert f"http://127.0.0.1:{port}/livez" in health


def test_the_labels_are_those_of_the_package(image: Stage) -> None:
    labels = image.pairs("LABEL")
    assert {name.removeprefix("org.opencontainers.image.") for name in labels} == {
        "title",
        "description",
        "licenses",
        "version",
        "revision",
    }
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert labels["org.opencontainers.image.licenses"] == project["license"]
    assert f"VERSION={lakehouse.__version__}" in [one.rest for one in image.all("ARG")]


def test_its_environment_is_read_and_its_files_are_in_the_volume(
    image: Stage, tmp_path: Path
) -> None:
    environment = image.pairs("ENV")
    volume = image.one("VOLUME").rest
    file = tmp_path / "lakehouse.toml"
    file.write_text('[gateway]\napi_keys_env = "LAKEHOUSE_API_KEYS"\n')
    config = load_config(file, environment)
    assert config.gateway.listen == f"0.0.0.0:{image.one('EXPOSE').rest}"
    assert config.path(config.log.path).is_relative_to(volume)
    assert Path(environment["XDG_CACHE_HOME"]).is_relative_to(volume)
    assert Path(environment["HOME"]).is_relative_to(volume)
