"""CPU that grounding and candidates add to `POST /v1/iterate`: first shots, durable, 16 in flight.

Usage: python benchmarks/bench_grounding.py [--sessions N] [--rounds R] [--others N] [--output DIR]

The demo's table of 28,000 airports. Every prompt is different, of some 110 characters, and names
two airports: Zurich, and one of `--others`. An offer is kept for later texts that name the same
values: with 200 others nearly each is, with 7,000 hardly any. The cases take turns, so that the
machine's mood is the same for all; the last column is the median of what each round took more than
the case above it.
"""

import argparse
import json
import random
import shutil
import statistics
import tempfile
from importlib.resources import as_file, files
from pathlib import Path

import pyarrow.parquet as pq
import uvloop

from load import IN_FLIGHT, load
from project import SCHEMA, request_of
from rig import HERE, fdatasync_ms, file_system, heading, port_of, process, write_result
from rounds import Round, cells, one_round

PROMPTS = 2_000
RULE = '[[kinds.{kind}.grounding]]\npath = "/airport"\ncolumn = "airports.iata"\n{more}\n'
PAIR = 'with = { "/city" = "airports.city" }'
# Kind, what it is in the table, and its grounding.
CASES = (
    ("plain", "no grounding rule", ""),
    ("judged", "one rule, candidates off", RULE.format(kind="judged", more='candidates = "off"')),
    ("offered", "one rule, candidates auto", RULE.format(kind="offered", more="")),
    ("pair_judged", "one rule with a city, off",
     RULE.format(kind="pair_judged", more=f'{PAIR}\ncandidates = "off"')),
    ("pair_offered", "one rule with a city, auto", RULE.format(kind="pair_offered", more=PAIR)),
)  # fmt: skip


def prompts(directory: Path, others: int) -> list[str]:
    """Write notices about Zurich, each with one of so many other airports in it."""
    rows = pq.read_table(directory / "airports.parquet", columns=["iata", "city"]).to_pylist()
    airports = [row for row in rows if row["iata"] and row["city"]]
    chance = random.Random(20261129)
    airports = chance.sample(airports, min(others, len(airports)))
    texts = []
    for number in range(PROMPTS):
        other = chance.choice(airports)
        texts.append(
            f"ZRH Zurich: flight LX{number} from {other['iata']} {other['city']} is delayed by 40 "
            "minutes, fog in the approach sector."
        )
    return texts


def run(sessions: int, rounds: int, others: int) -> str:
    with (
        tempfile.TemporaryDirectory(dir=HERE) as name,
        process(str(HERE / "mock_model.py")) as (_, line),
    ):
        directory = Path(name)
        with as_file(files("lakehouse.demo").joinpath("airports.parquet")) as table:
            shutil.copy(table, directory)
        (directory / "event.schema.json").write_text(json.dumps(SCHEMA))
        kinds = "".join(
            f'[kinds.{kind}]\nschema = "event.schema.json"\n{grounding}'
            for kind, _, grounding in CASES
        )
        (directory / "lakehouse.toml").write_text(
            f'[log]\npath = "log"\n[gateway]\nlisten = "127.0.0.1:0"\n'
            f'[models.mock]\nprovider = "openai"\nbase_url = "http://127.0.0.1:{line.strip()}/v1"\n'
            f'model = "mock"\nslots = 64\n[tables.airports]\npath = "airports.parquet"\n{kinds}'
        )
        sync_ms = fdatasync_ms(directory)
        texts = prompts(directory, others)
        requests = {kind: [request_of(text, kind) for text in texts] for kind, _, _ in CASES}
        found: dict[str, list[Round]] = {kind: [] for kind, _, _ in CASES}
        with process("-m", "lakehouse", "up", cwd=directory) as (daemon, greeting):
            port = port_of(greeting)
            for kind in found:  # warm up
                uvloop.run(load(port, requests[kind], max(sessions // 5, IN_FLIGHT)))
            for _ in range(rounds):
                for kind, one in found.items():
                    one.append(one_round(port, daemon.pid, requests[kind], sessions))
        where = f"{file_system(directory)}, {IN_FLIGHT} in flight, one fdatasync {sync_ms:.3f} ms"
    command = (
        f"python benchmarks/bench_grounding.py --sessions {sessions} --rounds {rounds} "
        f"--others {others}"
    )
    columns = [
        "| case | CPU per session, ms: min / median / max | sessions/s | p50 ms | p99 ms | + µs |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    lines = []
    above: list[Round] = []
    for kind, case, _ in CASES:
        pairs = zip(found[kind], above or found[kind], strict=True)
        more = statistics.median(one.cpu_ms - other.cpu_ms for one, other in pairs)
        lines.append(f"| {case} | {cells(found[kind])} | {more * 1000:+.0f} |")
        above = found[kind]
    return "\n".join([*heading("Grounding", command, where), *columns, *lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=4000, help="per round and case")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--others", type=int, default=200, help="airports that prompts name")
    parser.add_argument("--output", type=Path, default=HERE / "runs")
    options = parser.parse_args()
    text = run(options.sessions, options.rounds, options.others)
    write_result(options.output, f"grounding-{options.others}", text)
    print(text)


if __name__ == "__main__":
    main()
