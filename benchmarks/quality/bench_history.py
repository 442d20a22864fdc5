"""What a model should see of its own rejected answers: each `history`, on texts with known answers.

    python benchmarks/quality/bench_history.py --data DIRECTORY [--texts 150] [--skip 0] [--arm …]

DIRECTORY holds e2e_dev.jsonl and e2e_places.csv (the E2E NLG Challenge's devset reversed, CC BY-SA
4.0; one JSON object `{text, gold}` a line, and a CSV of its name,near pairs). Every text goes
through one kind in each arm, with the embedded model at temperature 0, three attempts at most.
Attempt 0 is the same in all arms, so what differs is what a re-prompt repairs.
"""

import argparse
import asyncio
import json
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

sys.path.insert(0, str(Path(__file__).parent.parent))

from lakehouse.config.load import load_config
from lakehouse.core.context import call_context
from lakehouse.core.rates import wilson_interval
from lakehouse.core.session import IterateRequest, SessionReply
from lakehouse.sessionlog.writing.memory import MemoryLog
from lakehouse.stack import Stack
from rig import heading, write_result

SEED = 20261129
SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "description": "The place that the text is about."},
        "near": {"type": "string", "description": "The place that it is near to."},
    },
    "required": ["name", "near"],
    "additionalProperties": False,
}
OBJECT = "Your answer was rejected. Answer again with the whole JSON object, corrected."
ARMS: Mapping[str, Mapping[str, str]] = {
    "findings": {"history": "findings"},
    "answer_and_findings": {"history": "answer_and_findings"},
    "full": {"history": "full"},
    "findings, no sentence": {"reprompt": ""},
    "answer_and_findings, no sentence": {"history": "answer_and_findings", "reprompt": ""},
    "full, no sentence": {"history": "full", "reprompt": ""},
    "findings, another sentence": {"reprompt": OBJECT},
}
CONFIG = """
[models.small]
provider = "llama_cpp"
model = "smollm2-135m-instruct"
[tables.places]
path = "e2e_places.csv"
"""
KIND = """
[kinds.arm{number}]
schema = "place.schema.json"
system = "Extract the name of the place, and the place it is near, as JSON."
{settings}
[[kinds.arm{number}.grounding]]
path = "/name"
column = "places.name"
with = {{ "/near" = "places.near" }}
"""


class Score:
    """The counts of one arm."""

    def __init__(self) -> None:
        self.sessions = self.first = self.accepted = self.right = self.calls = self.tokens = 0

    def add(self, reply: SessionReply, gold: Mapping[str, str]) -> None:
        self.sessions += 1
        self.calls += reply.iterations
        self.tokens += (reply.usage.prompt_tokens or 0) + (reply.usage.completion_tokens or 0)
        if reply.verdict != "accepted":
            return
        self.accepted += 1
        self.first += reply.accepted_iteration == 0
        artifact = msgspec.json.decode(reply.artifact)
        self.right += all(artifact[member] == gold[member] for member in ("name", "near"))


async def run(
    directory: Path, texts: list[dict[str, Any]], arms: list[str], sessions_at_once: int
) -> dict[str, Score]:
    """Send every text through every arm, the arms in turn, in this process."""
    config = load_config(directory / "lakehouse.toml", {})
    stack = Stack(config, os.environ, "replay", sink=MemoryLog())
    await stack.start()
    scores = {arm: Score() for arm in arms}
    free = asyncio.Semaphore(sessions_at_once)

    async def one(arm: str, number: int, text: dict[str, Any]) -> None:
        request = IterateRequest(
            kind=f"arm{number}", prompt=text["text"], temperature=msgspec.Raw(b"0"), seed=1
        )
        async with free:
            reply = await stack.validator.iterate(request, call_context((), ()))
        assert reply.verdict != "infra_error", reply.error
        scores[arm].add(reply, text["gold"])

    try:
        numbers = {arm: number for number, arm in enumerate(ARMS)}
        await asyncio.gather(*(one(arm, numbers[arm], text) for text in texts for arm in arms))
    finally:
        await stack.close()
    return scores


def table(scores: Mapping[str, Score]) -> list[str]:
    """Lay the arms side by side, with 95 % Wilson intervals."""
    lines = [
        "| history | sessions | at once | accepted | accepted and right | calls | tokens |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for arm, score in scores.items():
        low, high = wilson_interval(score.accepted / score.sessions, score.sessions)
        lines.append(
            f"| {arm} | {score.sessions} | {score.first} | {score.accepted} "
            f"({low:.0%} to {high:.0%}) | {score.right} | {score.calls / score.sessions:.2f} | "
            f"{score.tokens / score.sessions:.0f} |"
        )
    return lines


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--texts", type=int, default=150)
    parser.add_argument("--skip", type=int, default=0, help="texts to leave out before those")
    parser.add_argument("--arm", action="append", choices=ARMS, help="only these, each given once")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent.parent / "runs")
    options = parser.parse_args()
    lines = (options.data / "e2e_dev.jsonl").read_text("utf-8").splitlines()
    texts = [text for text in map(json.loads, lines) if "near" in text["gold"]]
    random.Random(SEED).shuffle(texts)
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place)
        shutil.copy(options.data / "e2e_places.csv", directory)
        (directory / "place.schema.json").write_text(json.dumps(SCHEMA))
        kinds = [
            KIND.format(
                number=number,
                settings="\n".join(f"{name} = {json.dumps(v)}" for name, v in settings.items()),
            )
            for number, settings in enumerate(ARMS.values())
        ]
        (directory / "lakehouse.toml").write_text(CONFIG + "".join(kinds))
        chosen = texts[options.skip : options.skip + options.texts]
        arms = options.arm or list(ARMS)
        scores = asyncio.run(run(directory, chosen, arms, 2))
    command = "python benchmarks/quality/bench_history.py --data DIRECTORY " + " ".join(
        [f"--texts {options.texts} --skip {options.skip}", *(f"--arm '{arm}'" for arm in arms)]
    )
    report = heading("What a re-prompt shows of the rejected answer", command, "embedded model")
    name = f"history-{options.skip}-{options.skip + options.texts}"
    write_result(options.output, name, "\n".join([*report, *table(scores), ""]))
    print("\n".join(table(scores)))


if __name__ == "__main__":
    main()
