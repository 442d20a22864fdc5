"""Hold what `lakehouse demo` printed against what lies in its log, by plain checks.

    lakehouse demo | tee demo.txt && python tools/check_demo.py demo.txt demo-data

Reads the log's lines and the table's file directly; uses nothing of what judged the answers.
"""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

AUTO_ACCEPTED_SHARE_MIN = 1 / 3
SESSIONS_MIN = 20


def rows(directory: Path) -> list[dict[str, Any]]:
    found = {}
    for file in (directory / "lakehouse-data" / "sessions" / "active").glob("*.jsonl"):
        for line in file.read_bytes().split(b"\n"):
            if line.startswith(b'{"schema":"session.iterate.v1"'):
                row = json.loads(line)
                found[row["row_id"]] = row
    return list(found.values())


def group(row: dict[str, Any]) -> str:
    return "outage" if row["model_alias"] == "away" else row["settings"]["constrain"]


def counted(logged: list[dict[str, Any]]) -> dict[str, list[int]]:
    """The verdict table as the log has it: label → auto, off, outage, all."""
    labels: dict[str, Callable[[dict[str, Any]], bool]] = {
        "accepted at iteration 0": lambda row: row["accepted_iteration"] == 0,
        "accepted after feedback": lambda row: (row["accepted_iteration"] or 0) > 0,
        "max_iter_exhausted": lambda row: row["verdict"] == "max_iter_exhausted",
        "infra_error": lambda row: row["verdict"] == "infra_error",
        "sessions": lambda _: True,
    }
    table = {}
    for label, holds in labels.items():
        counts = [
            sum(1 for row in logged if group(row) == name and holds(row))
            for name in ("auto", "off", "outage")
        ]
        table[label] = [*counts, sum(counts)]
    return table


def main() -> None:
    printed = Path(sys.argv[1]).read_text("utf-8")
    directory = Path(sys.argv[2])
    logged = rows(directory)
    airports = pq.read_table(directory / "airports.parquet", columns=["iata", "city"]).to_pylist()
    cities = {(row["iata"], row["city"]) for row in airports}

    for label, expected in counted(logged).items():
        line = next(line for line in printed.splitlines() if label in line)
        shown = [int(number) for number in re.findall(r"\b\d+\b", line.split(label)[1])]
        assert shown == expected, f"{label}: printed {shown}, logged {expected}"
    assert len(logged) >= SESSIONS_MIN
    assert all(re.fullmatch(r"[0-9a-f]{32}", row["session_id"]) for row in logged)

    accepted = [row for row in logged if row["verdict"] == "accepted"]
    for row in accepted:
        artifact = row["artifact"]
        assert (artifact["airport"], artifact["city"]) in cities, artifact
        assert artifact["quote"], artifact
        assert artifact["quote"] in row["prompt"], artifact
    auto = [row for row in logged if group(row) == "auto"]
    share = sum(row["verdict"] == "accepted" for row in auto) / len(auto)
    assert share >= AUTO_ACCEPTED_SHARE_MIN, f"{share:.0%} of the auto part accepted"
    assert "of which accepted: 0" in printed
    print(f"demo checked: {len(logged)} sessions, {len(accepted)} accepted, auto {share:.0%}")


if __name__ == "__main__":
    main()
