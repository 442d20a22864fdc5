"""The code map of ARCHITECTURE shows the floors that the import contract holds."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_code_map_has_every_package_on_its_floor() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
    [layers] = [one["layers"] for one in contracts["contracts"] if one["name"] == "Layers"]
    held = {package: floor for floor, line in enumerate(layers, 1) for package in line.split(" | ")}
    text = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    shown = re.findall(r"^\| (\d+) \| `(\w+)` \|", text, re.MULTILINE)
    assert {package: int(floor) for floor, package in shown} == held
