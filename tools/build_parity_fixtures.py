"""Writes spec/v1/parity/*/extended from what people wrote in spec/v1/parity/sources.

python tools/build_parity_fixtures.py          # rewrites the files
python tools/build_parity_fixtures.py --check  # exit 1 if a file differs

The README.md of the sources says what they mean. No runtime has a part in this: texts are put
together as they stand, and a `crc` is CRC-32.
"""

import base64
import json
import re
import sys
import tomllib
import zlib
from pathlib import Path
from typing import Any

PARITY = Path(__file__).parents[1] / "spec" / "v1" / "parity"
SOURCES = PARITY / "sources"
BASE = tomllib.loads((SOURCES / "base.toml").read_text("utf-8"))
MEMBERS = {"about", "why", "came", "edit", "crc", "damage", "bytes", "goes"}
MORE = {  # members of a body and its reply that the base lacks; a row may have any
    "body": {"output", "source", "grounding", "tables"},
    "reply": set(),
    "findings": {"got", "expected", "nearest"},
}
NAME = re.compile(r"\$[A-Z][A-Z0-9_]*")
PLAIN = {"output", "source", "code", "path", "message"}  # of a body or reply: texts, not JSON


def only(given: dict[str, Any], known: set[str]) -> None:
    """Refuse a member that nobody would read."""
    if unknown := given.keys() - known:
        raise ValueError(
            f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(sorted(known))}"
        )


class Source:
    """One file of cases; `texts` are those that its cases name with `$`."""

    def __init__(self, path: Path) -> None:
        self.cases: dict[str, Any] = tomllib.loads(path.read_text("utf-8"))
        self.texts: dict[str, Any] = self.cases.pop("texts", {})
        self.suite = path.parent.name

    def text(self, value: Any, n: int = 0) -> str:
        """Make a text; `n` counts the repetition around it, from 0."""
        match value:
            case str():
                return self.text(self.texts[value[1:]]) if NAME.fullmatch(value) else value
            case {"join": list(parts), **rest} if not rest:
                return "".join(self.text(part, n) for part in parts)
            case {"row": changes, **rest} if rest.keys() <= {"edit", "crc", "damage"}:
                return self.came({"came": changes, **value})
            case {"repeat": part, "times": times, **rest} if rest.keys() <= {"between"}:
                repeated = (self.text(part, each) for each in range(int(self.text(times, n))))
                return self.text(rest.get("between", "")).join(repeated)
            case {"n": int(factor), "modulo": int(modulo), **rest} if not rest:
                return str(n * factor % modulo)
            case {"n": int(factor), **rest} if not rest:
                return str(n * factor)
            case int():
                return str(value)
        raise ValueError(f"not a text: {value!r}")

    def value(self, name: str, value: Any) -> str:
        """Make the JSON of a member."""
        if isinstance(value, list):
            return "[" + ",".join(self.value(name, each) for each in value) + "]"
        if isinstance(value, dict) and "join" not in value and name in BASE[self.suite]:
            return self.changed(name, value)
        if self.suite == "validator" and name in PLAIN:
            return json.dumps(self.text(value), ensure_ascii=False)
        return self.text(value)

    def changed(self, base: str, changes: dict[str, Any]) -> str:
        """Make an object from its base; a marker stands behind its value, what is new else last."""
        members = {**BASE[self.suite][base], **changes}
        if self.suite == "validator":
            only(changes, BASE[self.suite][base].keys() | MORE[base])
        places = {name: place for place, name in enumerate(members)}
        order = sorted(
            members, key=lambda name: places.get(name.removesuffix("_truncated"), places[name])
        )
        return "{" + ",".join(f'"{n}":{self.value(n, members[n])}' for n in order) + "}"

    def edited(self, text: str, edits: list[list[Any]]) -> str:
        """Replace texts, each of which must be there once."""
        for old, new in ((self.text(old), self.text(new)) for old, new in edits):
            if text.count(old) != 1:
                raise ValueError(f"{old!r} is there {text.count(old)} times, not once")
            text = text.replace(old, new)
        return text

    def came(self, case: dict[str, Any]) -> str:
        """Make what comes: a text as it stands, or a row or body with its changes."""
        came, edits, crc = case["came"], case.get("edit", []), case.get("crc", "")
        text = isinstance(came, str) or "join" in came
        if text or self.suite == "validator":
            if {"crc", "damage"} & case.keys():
                raise ValueError("crc and damage are for rows that are made from the base")
            made = self.text(came) if text else self.changed("body", came)
            return self.edited(made, edits)
        body = self.edited(self.changed("row", came)[:-1], edits)
        crc = crc or f'"{zlib.crc32(body.encode("utf-8")):08x}"'
        ending = "" if crc == "none" else f',"crc":{crc}'
        return self.edited(f"{body}{ending}}}", case.get("damage", []))

    def goes(self, case: dict[str, Any], came: str) -> str:
        """Make what must go: the same, or a row or reply with its changes."""
        goes = case["goes"]
        if goes == "same":
            return came
        if not isinstance(goes, dict):
            raise TypeError(f"goes is no table and none of 'refused', 'same': {goes!r}")
        if self.suite == "session_log":
            return self.came({"came": goes})
        if "nothing" in goes:
            goes = {"findings": [{"code": goes["nothing"]}]}
        elif "artifact" not in goes:
            goes = {"artifact": case["came"]["output"], **goes}
        return self.changed(
            "reply", {"verdict": '"rejected"' if goes.get("findings") else '"accepted"', **goes}
        )

    def fixture(self, name: str) -> str:
        """Make the file of one case."""
        case = self.cases[name]
        only(case, MEMBERS)
        members = {"name": name, "suite": self.suite, "about": case["about"]}
        members["why"] = self.text(case["why"])
        came = self.came(case)
        if "bytes" in case:
            ((mark, digits),) = case["bytes"].items()
            # Each byte travels as a character of its own that no text can hold.
            raw = bytes.fromhex(digits).decode("ascii", "surrogateescape")
            data = self.edited(came, [[mark, raw]]).encode("utf-8", "surrogateescape")
            members["input_base64"] = base64.b64encode(data).decode("ascii")
        else:
            members["input"] = came
        if case["goes"] == "refused":
            members["outcome"] = "errored"
        else:
            members["expected"] = self.goes(case, came)
        return json.dumps(members, ensure_ascii=False, indent=2) + "\n"


def files() -> dict[Path, str]:
    """Give every file of the extended fixtures, by its path under spec/v1/parity."""
    found: dict[Path, str] = {}
    for path in sorted(SOURCES.glob("*/*.toml")):
        name = "TOML"
        try:
            source = Source(path)
            for name in source.cases:
                target = Path(source.suite) / "extended" / f"{name}.json"
                if target in found:
                    raise ValueError("there is a case of this name already")
                found[target] = source.fixture(name)
        except (KeyError, TypeError, ValueError) as error:
            sys.exit(f"{path.relative_to(PARITY)}: {name}: {error!r}")
    return found


def main() -> None:
    """Write them, and remove those that nobody wrote; or only look what that would change."""
    written = files()
    paths = PARITY.glob("*/extended/*.json")
    there = {path.relative_to(PARITY): path.read_text("utf-8") for path in paths}
    changed = sorted(path for path in written | there if written.get(path) != there.get(path))
    if "--check" in sys.argv[1:]:
        print("\n".join(f"differs from spec/v1/parity/sources: {path}" for path in changed))
        sys.exit(bool(changed))
    for path in changed:
        (PARITY / path).parent.mkdir(parents=True, exist_ok=True)
        (PARITY / path).unlink(missing_ok=True)
        if path in written:
            (PARITY / path).write_text(written[path], "utf-8")
    print(f"{len(written)} fixtures, {len(changed)} of them changed")


if __name__ == "__main__":
    main()
