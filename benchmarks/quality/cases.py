"""Texts with known answers, the kinds that they are asked of, and the arms that are compared.

Two sets: sentences of the E2E NLG Challenge's devset, reversed (`e2e_dev.jsonl` and
`e2e_places.csv`, CC BY-SA 4.0, not in this repository), and the notices of `notices.json`, written
for this project with their answers first, before any model saw them.
"""

import hashlib
import json
import random
import shutil
import sys
import tomllib
from collections.abc import Mapping, Sequence
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

SEED: Final = 20261201
TUNING_TEXTS: Final = 200
NOTICES: Final = Path(__file__).parent / "notices.json"

Answer = dict[str, Any]


class Arm(msgspec.Struct, frozen=True):
    """One way to ask: each has what the one before it has, and one thing more.

    `candidates` is None where no table grounds the answer. With `sentences` those of the text are
    offered too, for a member that must be a quote.
    """

    constrain: Literal["auto", "off"]
    attempts: int
    candidates: Literal["off", "hint", "decode"] | None = None
    sentences: bool = False


ARMS: Final[Mapping[str, Arm]] = {
    "free": Arm("off", 1),
    "schema": Arm("auto", 1),
    "reprompt": Arm("auto", 3),
    "grounding": Arm("auto", 3, "off"),
    "hint": Arm("auto", 3, "hint"),
    "decode": Arm("auto", 3, "decode"),
    "sentences": Arm("auto", 3, "decode", sentences=True),
}
BASELINE: Final = "grounding"


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One text. `answer` is None where there is no right one.

    `unsaid`: the data set's answer has a `near` that the sentence does not contain. `checks_allow`:
    there is no right answer, and yet the kind's own checks accept one. Cases of one `cluster` are
    alike, and are resampled together.
    """

    id: str
    text: str
    answer: Answer | None
    cluster: str
    unsaid: bool = False
    checks_allow: bool = False


class Notice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One notice. `set`: `demo` are the demo's; `replaced` stand for five that the demo lost.

    `passes` is an answer that is wrong, and that the kind's checks accept all the same.
    """

    id: str
    set: Literal["demo", "replaced", "new"]
    text: str
    answer: Answer | None
    note: str
    passes: Answer | None = None


class CaseSet(msgspec.Struct, frozen=True):
    """Texts and the kind that they are asked of. `grounded` are the members that tables judge."""

    name: str
    cases: tuple[Case, ...]
    grounded: tuple[str, ...]
    tables: Mapping[str, Any]
    kind: Mapping[str, Any]

    def sections(self, arms: Sequence[str], model: Mapping[str, Any]) -> dict[str, Any]:
        """Give a configuration with a kind for each arm, and the one that judges answers."""
        return {
            "session": {"deadline_ms": 600_000},
            "models": {"measured": model},
            "tables": dict(self.tables),
            "kinds": {name: self._kind_of(ARMS[name]) for name in {*arms, BASELINE}},
        }

    def arms(self, wanted: Sequence[str]) -> list[str]:
        """Leave out the arm that offers sentences where no member is a quote."""
        quotes = any("column" not in rule for rule in self.kind["grounding"])
        return [arm for arm in wanted if quotes or not ARMS[arm].sentences]

    def _kind_of(self, arm: Arm) -> dict[str, Any]:
        kind = {**self.kind, "max_iterations": arm.attempts, "model": "measured", "max_tokens": 300}
        own = {"candidates", "candidates_required"} if arm.candidates == "off" else {"candidates"}
        rules = [
            {name: value for name, value in rule.items() if name not in own}
            for rule in kind.pop("grounding")
        ]
        if arm.candidates is None:
            return kind
        tabled = {
            at for rule in rules if "column" in rule for at in (rule["path"], *rule.get("with", {}))
        }
        for rule in rules:
            if arm.sentences and rule["path"] not in tabled:
                rule["candidates"] = "decode"
        return {**kind, "candidates": arm.candidates, "grounding": rules}


def load_notices() -> tuple[Notice, ...]:
    return msgspec.json.decode(NOTICES.read_bytes(), type=tuple[Notice, ...])


def notices(directory: Path) -> CaseSet:
    """Ask the demo's own kind, as `lakehouse init` writes it, for the notices."""
    demo = files("lakehouse.demo")
    for name in ("airports.parquet", "init/airport_event.schema.json"):
        with as_file(demo.joinpath(name)) as source:
            shutil.copy(source, directory)
    shipped = tomllib.loads(demo.joinpath("init/lakehouse.toml").read_text("utf-8"))
    cases = tuple(
        Case(
            id=notice.id,
            text=notice.text,
            answer=notice.answer,
            cluster=notice.id,
            checks_allow=notice.passes is not None,
        )
        for notice in load_notices()
    )
    kind = shipped["kinds"]["airport_event"]
    return CaseSet("notices", cases, ("airport", "city"), shipped["tables"], kind)


_MEMBERS: Final = {
    "name": "The name of the place",
    "food": "The kind of food it serves",
    "priceRange": "What it costs",
    "rating": "What its customers say",
    "area": "The part of the city",
    "familyFriendly": "Whether children are welcome",
    "near": "The place that it is near to",
}
_SYSTEM: Final = """\
You copy facts about a place into JSON. Write null for what the sentence does not say.
{{"name": <name of the place>, "food": <{food}>, "priceRange": <{priceRange}>, \
"rating": <{rating}>, "area": <{area}>, "familyFriendly": <{familyFriendly}>, \
"near": <name of the place beside it>}}"""


def sentences(data: Path, directory: Path, *, texts: int, tuning: bool) -> CaseSet:
    """Choose sentences of the data set by the seed: 200 for tuning, others to measure.

    A text stands once; the few that stand with two different answers are left out.

    Raises:
        SystemExit: The data set has no text beside those for tuning.
    """
    shutil.copy(data / "e2e_places.csv", directory)
    known: dict[str, list[tuple[int, Answer]]] = {}
    lines = (data / "e2e_dev.jsonl").read_text("utf-8").splitlines()
    for number, line in enumerate(lines, 1):
        entry = json.loads(line)
        answer = {member: entry["gold"].get(member) for member in _MEMBERS}
        known.setdefault(entry["text"], []).append((number, answer))
    cases = []
    for text, found in known.items():
        number, answer = found[0]
        if any(other != answer for _, other in found):
            continue
        near, gold = answer["near"], json.dumps(answer, sort_keys=True).encode()
        cases.append(
            Case(
                id=f"e2e-{number}",
                text=text,
                answer=answer,
                cluster=hashlib.sha256(gold).hexdigest()[:12],
                unsaid=near is not None and near.casefold() not in text.casefold(),
            )
        )
    random.Random(SEED).shuffle(cases)
    chosen = cases[:TUNING_TEXTS] if tuning else cases[TUNING_TEXTS:]
    values = {
        member: sorted({answer[member] for found in known.values() for _, answer in found} - {None})
        for member in _MEMBERS
    }
    if not chosen:
        sys.exit(f"{data} holds only {len(cases)} texts, and {TUNING_TEXTS} are for tuning.")
    schema = _schema(values)
    (directory / "place.schema.json").write_text(json.dumps(schema, ensure_ascii=False), "utf-8")
    return CaseSet(
        "e2e-tuning" if tuning else "e2e",
        tuple(chosen[:texts]),
        ("name", "near"),
        {"places": {"path": "e2e_places.csv"}},
        {
            "schema": "place.schema.json",
            "system": _SYSTEM.format_map({name: ", ".join(of) for name, of in values.items()}),
            "grounding": [
                {"path": "/name", "column": "places.name", "with": {"/near": "places.near"}},
                {"path": "/near", "column": "places.near", "candidates_required": True},
            ],
        },
    )


def _schema(values: Mapping[str, list[str]]) -> dict[str, Any]:
    """Write the kind's schema: names are text, all else is one of the data set's values or null."""
    properties: dict[str, Any] = {}
    for member, description in _MEMBERS.items():
        of = {
            "name": {"type": "string", "minLength": 1, "maxLength": 60},
            "near": {"type": ["string", "null"], "minLength": 1, "maxLength": 60},
        }.get(member, {"enum": [*values[member], None]})
        properties[member] = {"description": description, **of}
    return {
        "type": "object",
        "properties": properties,
        "required": list(_MEMBERS),
        "additionalProperties": False,
    }
