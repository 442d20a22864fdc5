"""Hold what `lakehouse demo` printed against what lies in its log, by plain checks.

    lakehouse demo | tee demo.txt && python tools/check_demo.py demo.txt demo-data

Reads the log's lines and the table's file directly; uses nothing of what judged the answers.
"""

import json
import re
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

TABLE_ACCEPTED_SHARE_MIN = 1 / 2
NOTICES_MIN = 20
_THREE_COUNTS = r"\W+(\d+)" * 3 + r"\W*"


def rows(directory: Path) -> list[dict[str, Any]]:
    found = {}
    for file in (directory / "lakehouse-data" / "sessions" / "active").glob("*.jsonl"):
        for line in file.read_bytes().split(b"\n"):
            if line.startswith(b'{"schema":"session.iterate.v1"'):
                row = json.loads(line)
                found[row["row_id"]] = row
    return list(found.values())


def answers() -> dict[str, Any]:
    """Every notice's checked answer by id; null where there is no right one."""
    notices = json.loads(files("lakehouse.demo").joinpath("notices.json").read_bytes())
    return {notice["id"]: notice["answer"] for notice in notices}


def counted(logged: list[dict[str, Any]]) -> dict[str, list[int]]:
    """The table of steps as the log has it: label → first answer, after feedback, table."""
    known = answers()

    def first_shot(row: dict[str, Any]) -> bool:
        return bool(row["accepted_iteration"] == 0)

    def accepted(row: dict[str, Any]) -> bool:
        return bool(row["verdict"] == "accepted")

    steps = (("feedback", first_shot), ("feedback", accepted), ("table", accepted))
    table: dict[str, list[int]] = {}
    for number, (wave, accepts) in enumerate(steps):
        sessions = [row for row in logged if row["metadata"]["wave"] == wave]
        taken = [row for row in sessions if accepts(row)]
        expected = [known[row["metadata"]["notice"]] for row in taken]
        pairs = [
            (row["artifact"], answer or {}) for row, answer in zip(taken, expected, strict=True)
        ]
        counts = {
            "notices": len(sessions),
            "accepted": len(taken),
            "accepted, airport and city right": sum(
                all(artifact[member] == answer.get(member) for member in ("airport", "city"))
                for artifact, answer in pairs
            ),
            "accepted, and as a person wrote it": sum(
                artifact == answer for artifact, answer in pairs
            ),
            "accepted, although there is no event": expected.count(None),
            "rejected": len(sessions) - len(taken),
            "model calls": sum(row["iterations"] if number else 1 for row in sessions),
        }
        for label, count in counts.items():
            table.setdefault(label, []).append(count)
    return table


def main() -> None:
    printed = Path(sys.argv[1]).read_text("utf-8")
    directory = Path(sys.argv[2])
    logged = rows(directory)
    airports = pq.read_table(directory / "airports.parquet", columns=["iata", "city"]).to_pylist()
    cities = {(row["iata"], row["city"]) for row in airports}

    lines = printed.splitlines()
    table = counted(logged)
    for label, expected in table.items():
        (shown,) = (
            [int(number) for number in found.groups()]
            for line in lines
            if (found := re.fullmatch(rf"\W*{re.escape(label)}{_THREE_COUNTS}", line))
        )
        assert shown == expected, f"{label}: printed {shown}, logged {expected}"
    assert table["notices"][0] == table["notices"][2] >= NOTICES_MIN
    assert table["accepted, although there is no event"] == [0, 0, 0]
    share = table["accepted"][2] / table["notices"][2]
    assert share >= TABLE_ACCEPTED_SHARE_MIN, f"{share:.0%} accepted with the table"
    (outage,) = (row for row in logged if row["metadata"]["wave"] == "outage")
    assert outage["verdict"] == "infra_error", outage["verdict"]
    assert all(re.fullmatch(r"[0-9a-f]{32}", row["session_id"]) for row in logged)
    for row in logged:
        offered = any("narrowed" in attempt for attempt in row["attempts"])
        assert not offered or row["metadata"]["wave"] == "table", row["row_id"]

    accepted = [row for row in logged if row["verdict"] == "accepted"]
    for row in accepted:
        artifact = row["artifact"]
        assert (artifact["airport"], artifact["city"]) in cities, artifact
        assert artifact["quote"], artifact
        assert artifact["quote"] in row["prompt"], artifact
    print(f"demo checked: {len(logged)} sessions, accepted {table['accepted']}")


if __name__ == "__main__":
    main()
