"""Writes the bill of materials of a release: CycloneDX 1.6, as JSON.

    python tools/build_sbom.py dist/lakehouse-stack.cdx.json

It lists what the package needs at run time, as requirements/run.txt pins it, and the files of
others that the browser's pages carry. Versions and hashes are those of the pins; licences and what
needs what are those of the installed packages, whose versions must be the pinned ones. No address
of an index is in it. With the same SOURCE_DATE_EPOCH, the same pins give the same bytes.
"""

import os
import re
import sys
import tomllib
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Final

import msgspec
from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import License
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT: Final = Path(__file__).parents[1]
PINS: Final = ROOT / "requirements" / "run.txt"
VENDOR: Final = ROOT / "src" / "lakehouse" / "ui" / "static" / "vendor"
NAME: Final = "lakehouse-stack"
VERSION: Final = SchemaVersion.V1_6
_NAMESPACE: Final = uuid.UUID("7a9d5e0c-5c1f-4b0e-9d55-5a6b0c8f5a10")
_VERSION_LINE: Final = re.compile(r'^__version__ = "(?P<version>[^"]+)"$', re.MULTILINE)
_HASH: Final = re.compile(r"--hash=sha256:(?P<digest>[0-9a-f]{64})")
_SPDX: Final[Mapping[str, str]] = {
    "ISC License": "ISC",
    "MIT License": "MIT",
    "Python Software Foundation License": "PSF-2.0",
}
"""Words of packages that can mean one licence only. `BSD License` and its like stay as they are."""


class Pin(msgspec.Struct, frozen=True):
    """One line of the pinned requirements. `digests` are those of all its files."""

    name: str
    version: str
    marker: str | None
    digests: tuple[str, ...]


def main() -> None:
    epoch_s = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))
    Path(sys.argv[1]).write_text(bill(epoch_s=epoch_s), "utf-8")


def package_version() -> str:
    """Read the version of this checkout, without importing it."""
    found = _VERSION_LINE.search((ROOT / "src" / "lakehouse" / "__init__.py").read_text("utf-8"))
    assert found is not None, "hatchling reads the same line"
    return found["version"]


def bill(*, epoch_s: int) -> str:
    """Make the document; `epoch_s` is when it says it was made.

    Raises:
        SystemExit: A pinned package that belongs on this machine is not installed as pinned.
    """
    pins = read_pins(PINS.read_text("utf-8"))
    own = _own()
    components = {str(canonicalize_name(pin.name)): _component(pin) for pin in pins if _here(pin)}
    bom = Bom(
        components=[*components.values(), *(_absent(pin) for pin in pins if not _here(pin))],
        metadata=BomMetaData(component=own, timestamp=datetime.fromtimestamp(epoch_s, UTC)),
    )
    vendored = list(_vendored())
    bom.components.update(vendored)
    for name, component in components.items():
        bom.register_dependency(component, _needed(installed(name), components))
    bom.register_dependency(own, [*_needed(installed(NAME), components), *vendored])
    bom.serial_number = uuid.uuid5(_NAMESPACE, f"{package_version()} {epoch_s} {pins}")
    return make_outputter(bom, OutputFormat.JSON, VERSION).output_as_string(indent=2) + "\n"


def read_pins(text: str) -> list[Pin]:
    """Read requirements as uv writes them: one with its marker, then its hashes, line by line."""
    pins = []
    for entry in re.sub(r"\\\n", " ", text).splitlines():
        line = entry.partition(" --hash")[0].partition("#")[0].strip()
        if not line:
            continue
        requirement = Requirement(line)
        [pin] = requirement.specifier
        assert pin.operator == "==", f"{line} is not pinned"
        marker = str(requirement.marker) if requirement.marker else None
        digests = tuple(found["digest"] for found in _HASH.finditer(entry))
        assert digests, f"{line} has no hash"
        pins.append(Pin(requirement.name, pin.version, marker, digests))
    return pins


def installed(name: str) -> Distribution:
    """Find the package in this environment."""
    try:
        return distribution(name)
    except PackageNotFoundError:
        sys.exit(f"{name} is not installed; run `make setup`.")


def _here(pin: Pin) -> bool:
    return pin.marker is None or Marker(pin.marker).evaluate()


def _own() -> Component:
    return Component(
        name=NAME,
        version=package_version(),
        type=ComponentType.APPLICATION,
        bom_ref=NAME,
        licenses=[_licence("Apache-2.0 AND 0BSD")],
        purl=PackageURL("pypi", None, NAME, package_version()),
    )


def _component(pin: Pin) -> Component:
    found = installed(pin.name)
    if found.version != pin.version:
        sys.exit(f"{pin.name} {found.version} is installed, {pin.version} is pinned.")
    return _pinned(pin, [_licence(licence_of(found))])


def _absent(pin: Pin) -> Component:
    """Make the component of what only other platforms install: its licence is not known here."""
    assert pin.marker is not None, "all others belong everywhere"
    return _pinned(pin, [])


def _pinned(pin: Pin, licences: list[License]) -> Component:
    marker = [Property(name="lakehouse:marker", value=pin.marker)] if pin.marker else []
    return Component(
        name=pin.name,
        version=pin.version,
        bom_ref=f"{pin.name}@{pin.version}",
        licenses=licences,
        purl=PackageURL("pypi", None, pin.name, pin.version),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest) for digest in pin.digests],
        properties=marker,
    )


def licence_of(found: Distribution) -> str:
    """Return a package's licence, as SPDX where it says so; in its own words otherwise."""
    metadata = found.metadata.json
    said = str(metadata.get("license_expression") or metadata.get("license") or "").strip()
    if not said or "\n" in said:  # some have the whole text there
        classifiers = metadata.get("classifier") or []
        licences = (one for one in classifiers if one.startswith("License ::"))
        said = next(licences, "").rpartition(" :: ")[2]
    if not said:
        sys.exit(f"{found.name} does not say its licence.")
    return _SPDX.get(said, said)


def _licence(said: str) -> License:
    return LicenseFactory().make_from_string(said)


def _vendored() -> Iterator[Component]:
    for file in tomllib.loads((VENDOR / "VENDOR.toml").read_text("utf-8"))["file"]:
        yield Component(
            name=file["name"],
            version=file["version"],
            bom_ref=f"{file['name']}@{file['version']}",
            licenses=[_licence(file["licence"])],
            purl=PackageURL(
                "npm", None, file["name"], file["version"], None, file["upstream_file"]
            ),
            hashes=[HashType(alg=HashAlgorithm.SHA_256, content=file["sha256"])],
            properties=[Property(name="lakehouse:file", value=f"ui/static/vendor/{file['path']}")],
        )


def _needed(found: Distribution, components: Mapping[str, Component]) -> list[Component]:
    """List what a package needs of what is pinned; what an extra of it adds, too."""
    names = {canonicalize_name(Requirement(line).name) for line in found.requires or ()}
    return [components[name] for name in sorted(names & components.keys())]


if __name__ == "__main__":
    main()
