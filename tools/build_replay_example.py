"""Makes the log of docs/how-to/gate-a-change.md: SmolLM2 without the schema, 72 notices.

The 25 notices of the demo, and 47 more of the same sort about airports of the demo's table, each
one session in which the model decodes freely. Takes some minutes on two cores. Then, in DIR:

    lakehouse replay --set constrain=auto --set max_tokens=128 --concurrency 2 \
        --gate 'accepted >= baseline - 0.02' --html report.html

and, for the picture of the page:

    python tools/build_replay_example.py --picture docs/how-to/gate-a-change.png DIR/report.html

Usage: python tools/build_replay_example.py DIR
"""

import argparse
import asyncio
import hashlib
import os
import re
import subprocess
from pathlib import Path

import msgspec
import pyarrow.parquet as pq

from lakehouse.cli.init import write_project
from lakehouse.config.load import load_config
from lakehouse.core.context import call_context
from lakehouse.core.session import IterateRequest
from lakehouse.demo.notices import load_notices
from lakehouse.stack import Stack

MORE = 47
AT_ONCE = 2
TEXTS = (
    "{iata} {city}: departures delayed up to {number} minutes, ground crew is short of staff.",
    "{iata} {city}: arrivals delayed {number} minutes on average, low ceiling.",
    "{iata} {city}: runway closed until {hour}:30 for snow clearing.",
    "{iata} {city}: apron closed after a fuel spill, work resumes at {hour}:15.",
    "{iata} {city}: {number} evening flights cancelled, controllers on strike.",
    "Flight LK{number} to {iata} {city} cancelled, no aircraft available.",
    "Flight LK{number} diverted to {iata} {city} with a hydraulic fault.",
    "Fog at {iata} {city}, all departures cancelled before {hour}:00.",
)


def texts(airports: Path) -> list[str]:
    """The demo's notices, then those of our own: the same ones every time."""
    table = pq.read_table(airports, columns=["iata", "city", "name"]).to_pylist()
    named = [
        row
        for row in table
        if row["iata"] and "International" in (row["name"] or "")
        if re.fullmatch(r"[A-Z][A-Za-z ]{2,11}", row["city"] or "")
    ]
    drawn = sorted(named, key=lambda row: hashlib.sha256(row["iata"].encode()).digest())[:MORE]
    made = [
        TEXTS[number % len(TEXTS)].format(
            iata=row["iata"], city=row["city"], number=15 + 5 * number % 70, hour=6 + number % 15
        )
        for number, row in enumerate(drawn)
    ]
    return [notice.text for notice in load_notices()] + made


async def log_sessions(directory: Path) -> None:
    config = load_config(directory / "lakehouse.toml", {})
    stack = Stack(config, os.environ, "up")
    await stack.start()
    left = iter(texts(directory / "airports.parquet"))

    async def work() -> None:
        for text in left:
            request = IterateRequest(
                kind="airport_event",
                prompt=text,
                constrain="off",
                temperature=msgspec.Raw(b"0"),
                seed=1,
                max_tokens=96,
            )
            reply = await stack.validator.iterate(request, call_context((), ()))
            print(reply.verdict, reply.iterations, text, flush=True)

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    await stack.close()


def take_picture(page: Path, picture: Path) -> None:
    """Draw the first screen of a report with Debian's chromium, which needs no network for it."""
    subprocess.run(
        [
            "chromium",
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--window-size=1000,930",
            "--force-device-scale-factor=0.75",
            f"--screenshot={picture.resolve()}",
            page.resolve().as_uri(),
        ],
        check=True,
        stderr=subprocess.DEVNULL,
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("place", type=Path, help="the directory to make, or the report to draw")
    parser.add_argument("--picture", type=Path)
    arguments = parser.parse_args()
    if arguments.picture:
        take_picture(arguments.place, arguments.picture)
        return
    arguments.place.mkdir(parents=True)
    write_project(arguments.place)
    asyncio.run(log_sessions(arguments.place))


if __name__ == "__main__":
    main()
