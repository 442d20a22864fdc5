"""Candidates: finding what a text names of a table, and narrowing a schema to it.

Usage: python benchmarks/bench_candidates.py [--names 1000000] [--output benchmarks/runs]

The large table is built in a process of its own, whose resident memory is read before and after.
No text is searched twice in a turn. A figure is the median CPU time of its turns.
"""

import argparse
import gc
import random
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import TypeVar

import msgspec
import pyarrow as pa

from lakehouse.core.chat import SchemaLimits
from lakehouse.core.kind import GroundingRule
from lakehouse.grounding.arrow import index_arrow
from lakehouse.grounding.candidates import find_candidates
from lakehouse.grounding.index import ColumnIndex
from lakehouse.validation.narrowing import Candidates, SchemaNarrowing
from rig import heading, process, write_result

TURNS = 7
TEXTS = 500
LONG_CHARS = 1_000
SHORT_CHARS = 120
SHORT_ROWS = 28_000
_SYLLABLES = """
al an ar ba bel ber bo bra bur ca cha cor da del dor el en er fa fen gar gor ha han hol in is jor
ka kel kir la len lin lo mar mel min mo nor ny ol or pa per por ra rin ro sa sel sen sha ta tel
ther tor ul va vel vin wa wes win yor za
"""
_WORDS = """
the a of to and in that it was for on are with as at be this from have by not but what all were
when we there can an your which their said if do will each about how up out them then she many
some so these would other into has more her two like him see time could no make than first been
its who now people my made over did down only way find use may water long little very after words
called just where most know get through back much before go good new
"""
SYLLABLES = _SYLLABLES.split()
WORDS = _WORDS.split()
FREE = {"type": "string"}
SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["airport", "city", "reason", "quote"],
    "properties": {
        "airport": FREE,
        "city": {"type": ["string", "null"]},
        "reason": {"type": "string", "maxLength": 200},
        "quote": FREE,
    },
}
LIMITS = SchemaLimits(values_max=1_000, characters_max=15_000, bytes_max=64 << 10)
Given = TypeVar("Given")


class Large(msgspec.Struct):
    """What the process with the large table measured."""

    index_s: float
    index_mib: float
    spellings_s: float
    spellings_mib: float
    spellings_peak_mib: float
    long_us: dict[str, float]


def median_us(call: Callable[[Given], object], given: Sequence[Given]) -> float:
    """Give the median microseconds of CPU of one call; each turn goes through all that is given."""
    found = []
    for _ in range(TURNS):
        started_s = time.process_time()
        for one in given:
            call(one)
        found.append((time.process_time() - started_s) / len(given) * 1e6)
    return statistics.median(found)


def word(chance: random.Random) -> str:
    return "".join(chance.choices(SYLLABLES, k=chance.choice((2, 3, 3, 4)))).capitalize()


def names(count: int) -> list[str]:
    """Make distinct names of one to three words, always the same."""
    chance = random.Random(1)
    found: dict[str, None] = {}
    while len(found) < count:
        found[" ".join(word(chance) for _ in range(chance.choice((1, 1, 2, 2, 3))))] = None
    return list(found)


def misspelled(name: str, chance: random.Random) -> str:
    at = chance.randrange(1, len(name))
    return name[:at] + chance.choice("aeiounst") + name[at + chance.randrange(2) :]


def texts(known: Sequence[str], chars: int, *, named: int, wrong: int) -> Iterator[str]:
    """Write texts without end, each with so many names, and so many misspelled ones."""
    chance = random.Random(2)
    while True:
        words = chance.choices(WORDS, k=chars // 5)
        words[::12] = [one.capitalize() for one in words[::12]]
        places = chance.sample(range(len(words) // 2), named + wrong)
        for nth, at in enumerate(places):
            name = chance.choice(known)
            words[at] = name if nth < named else misspelled(name, chance)
        yield " ".join(words).ljust(chars, ".")[:chars]


def resident_mib() -> float:
    gc.collect()
    pa.default_memory_pool().release_unused()
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


def timed_s(call: Callable[[], Given]) -> tuple[Given, float]:
    started_s = time.process_time()
    return call(), time.process_time() - started_s


def large(count: int) -> Large:
    """Measure the large table in this process."""
    cells = pa.array(names(count))
    before_mib = resident_mib()
    column, index_s = timed_s(lambda: index_arrow(cells))
    indexed_mib = resident_mib()
    _, spellings_s = timed_s(column.prepare_spellings)
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    prepared_mib = resident_mib()
    known = cells.to_pylist()
    rule = GroundingRule(path="/city", column="t.city")
    kinds = {
        "no name": (0, 0),
        "5 names": (5, 0),
        "5 names, 2 misspelled": (3, 2),
        "15 names, 5 misspelled": (10, 5),
    }
    return Large(
        index_s,
        indexed_mib - before_mib,
        spellings_s,
        prepared_mib - indexed_mib,
        peak_mib - indexed_mib,
        {
            title: median_us(
                lambda text: find_candidates([rule], [text], {"t.city": column}),
                list(islice(texts(known, LONG_CHARS, named=named, wrong=wrong), TEXTS)),
            )
            for title, (named, wrong) in kinds.items()
        },
    )


def ready(cells: Sequence[str]) -> ColumnIndex:
    column = index_arrow(pa.array(cells))
    column.prepare_spellings()
    return column


def short_us() -> float:
    """Measure a text of 120 characters that names a code and its city."""
    chance = random.Random(3)
    codes = ["".join(chance.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZ", k=4)) for _ in range(SHORT_ROWS)]
    cities = list(islice(cycle(names(SHORT_ROWS // 3)), SHORT_ROWS))
    columns = {"t.code": ready(codes), "t.city": ready(cities)}
    rule = GroundingRule(path="/code", column="t.code", with_={"/city": "t.city"})
    given = []
    for at in chance.sample(range(SHORT_ROWS), TEXTS):
        words = " ".join(chance.choices(WORDS, k=30))
        given.append(f"The flight to {cities[at]} ({codes[at]}) {words}"[: SHORT_CHARS - 1] + ".")
    return median_us(lambda text: find_candidates([rule], [text], columns), given)


def narrowing_us() -> dict[str, float]:
    """Measure narrowing to one place, to rows of two, and to a quote beside them."""
    chance = random.Random(4)
    narrowing = SchemaNarrowing(msgspec.json.encode(SCHEMA))

    def single(count: int) -> Candidates:
        return Candidates((("/airport", "t.code"),), tuple((word(chance),) for _ in range(count)))

    def pairs(count: int) -> Candidates:
        places = (("/airport", "t.code"), ("/city", "t.city"))
        return Candidates(places, tuple((word(chance), word(chance)) for _ in range(count)))

    def quote(count: int) -> Candidates:
        sentences = (" ".join(chance.choices(WORDS, k=12)) for _ in range(count))
        return Candidates((("/quote", "quote"),), tuple((one,) for one in sentences))

    asked: dict[str, Callable[[], list[Candidates]]] = {
        "1 value": lambda: [single(1)],
        "3 values": lambda: [single(3)],
        "3 values, 3 sentences": lambda: [single(3), quote(3)],
        "1 row of two places": lambda: [pairs(1)],
        "3 rows": lambda: [pairs(3)],
        "3 rows, 5 sentences": lambda: [pairs(3), quote(5)],
        "10 rows": lambda: [pairs(10)],
    }
    return {
        title: median_us(
            lambda each: narrowing.narrow(each, LIMITS), [make() for _ in range(TEXTS)]
        )
        for title, make in asked.items()
    }


def report(count: int) -> list[str]:
    with process(__file__, "--names", str(count), "--large") as (_, line):
        found = msgspec.json.decode(line, type=Large)
    ratio = (found.index_mib + found.spellings_mib) / max(found.index_mib, 0.1)
    peak = found.spellings_peak_mib
    return [
        f"| {count:,} distinct names | CPU s | resident MiB | peak MiB |",
        "| --- | --- | --- | --- |",
        f"| index | {found.index_s:.1f} | {found.index_mib:.0f} | |",
        f"| spellings | {found.spellings_s:.1f} | {found.spellings_mib:.0f} | {peak:.0f} |",
        "",
        f"With spellings the index takes {ratio:.2f} times the memory.",
        "",
        f"| a text of {LONG_CHARS:,} characters | µs of CPU |",
        "| --- | --- |",
        *(f"| {title} | {us:.0f} |" for title, us in found.long_us.items()),
        "",
        f"| a text of {SHORT_CHARS} characters, {SHORT_ROWS:,} rows | µs of CPU |",
        "| --- | --- |",
        f"| a code, its city by `with` | {short_us():.0f} |",
        "",
        "| narrowing to | µs of CPU |",
        "| --- | --- |",
        *(f"| {title} | {us:.0f} |" for title, us in narrowing_us().items()),
    ]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--names", type=int, default=1_000_000)
    parser.add_argument("--large", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "runs")
    options = parser.parse_args()
    if options.large:
        sys.stdout.write(msgspec.json.encode(large(options.names)).decode() + "\n")
        return
    command = f"python benchmarks/bench_candidates.py --names {options.names}"
    lines = heading("Finding candidates, narrowing schemas", command, "memory only")
    lines += report(options.names)
    write_result(options.output, "candidates", "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
