"""What grounded decoding buys: seven ways to ask, each with one thing more, on the same texts.

    python benchmarks/quality/bench_candidates.py [--data DIRECTORY] [--set e2e|notices] [--arm …]
        [--texts 500] [--tuning] [--url URL --model NAME [--api-key-env NAME]] [--output DIRECTORY]

`free` decodes without the schema, one attempt; `schema` under it; `reprompt` has three attempts;
`grounding` has the kind's tables; `hint` names the values that the text holds in the prompt;
`decode` leaves the model only those; `sentences` also has it choose its quote from the sentences of
the text (notices only). SQL rules apply in every arm. Temperature 0, two sessions at once. The
texts are described in quality/cases.py; the data set's need `--data`, the notices do not.

Outcomes are appended to a file beside the result as they come. What is in there already, of the
same code, model, kind and text, is not asked again: a run that was stopped goes on. Without
`--output`, that is in `benchmarks/runs/<date>-<machine>`.
"""

import argparse
import asyncio
import datetime as dt
import hashlib
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

sys.path.insert(0, str(Path(__file__).parent.parent))

import lakehouse
from lakehouse.config.load import config_of_values
from lakehouse.core.context import call_context
from lakehouse.core.ports import ValidateRequest
from lakehouse.core.session import IterateRequest, SessionReply
from lakehouse.sessionlog.writing.memory import MemoryLog
from lakehouse.stack import Stack
from quality.cases import ARMS, BASELINE, SEED, Answer, Case, CaseSet, notices, sentences
from quality.scores import Judged, Outcome, judged, report, tables
from rig import HERE, heading

AT_ONCE = 2
EMBEDDED = {"provider": "llama_cpp", "model": "smollm2-135m-instruct", "slots": AT_ONCE}


class Stopped(Exception):
    """The benchmark cannot go on; the text says why."""


class Results:
    """The outcomes of one model and one set of texts, in a file that only grows."""

    def __init__(self, path: Path, model: str) -> None:
        """Read what is there.

        Raises:
            SystemExit: It is of another model, or of other code.
        """
        self.known: dict[tuple[str, str], Outcome] = {}
        self._path = path
        head = {"model": model, "seed": SEED, "code": _code_digest()}
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(head) + "\n", "utf-8")
        first, *rest = path.read_text("utf-8").splitlines()
        if json.loads(first) != head:
            sys.exit(f"{path} is of {first}, not of {json.dumps(head)}. Give another --output.")
        for line in rest:
            outcome = msgspec.json.decode(line, type=Outcome)
            self.known[outcome.arm, outcome.id] = outcome

    def has(self, arm: str, case: Case, kind: str) -> bool:
        known = self.known.get((arm, case.id))
        return known is not None and known.kind == kind

    def add(self, outcome: Outcome) -> None:
        self.known[outcome.arm, outcome.id] = outcome
        with self._path.open("ab") as file:
            file.write(msgspec.json.encode(outcome) + b"\n")


def _code_digest() -> str:
    """Digest the package's modules: outcomes of two versions must not stand in one table."""
    found = hashlib.sha256()
    root = Path(lakehouse.__file__).parent
    for path in sorted(root.rglob("*.py")):
        found.update(f"{path.relative_to(root)}\n".encode() + path.read_bytes())
    return found.hexdigest()[:12]


def outcome_of(arm: str, case: Case, kind: str, reply: SessionReply) -> Outcome:
    """Keep of a reply what the counts need."""
    wrong: Answer = {}
    accepted = reply.verdict == "accepted"
    if accepted:
        artifact, answer = msgspec.json.decode(reply.artifact), case.answer or {}
        wrong = {
            member: value
            for member, value in artifact.items()
            if member not in answer or value != answer[member]
        }
        wrong.update({member: None for member in answer if member not in artifact})
    narrowed = reply.attempts[0].narrowed
    return Outcome(
        arm=arm,
        id=case.id,
        kind=kind,
        accepted=accepted,
        calls=reply.iterations,
        tokens=(reply.usage.prompt_tokens or 0) + (reply.usage.completion_tokens or 0),
        duration_ms=reply.duration_ms,
        wrong=wrong,
        offered={}
        if narrowed is msgspec.UNSET
        else {one.path: f"{one.mode} {one.candidates}" for one in narrowed},
    )


async def check_answers(stack: Stack, cases: CaseSet) -> None:
    """Hold every known answer against the kind's own checks; they must accept all of them.

    Raises:
        Stopped: They reject one: then what they reject of a model would mean nothing.
    """
    for case in cases.cases:
        if case.answer is None:
            continue
        reply = await stack.validator.validate(
            ValidateRequest(kind=BASELINE, output=json.dumps(case.answer), source=case.text)
        )
        if reply.verdict != "accepted":
            findings = "; ".join(finding.message for finding in reply.findings)
            raise Stopped(f"The known answer of {case.id} is rejected: {findings}.")


async def run_arm(stack: Stack, arm: str, cases: CaseSet, results: Results) -> None:
    """Send the texts that have no outcome yet.

    Raises:
        Stopped: A session had no answer to judge.
    """
    kind = stack.catalog.kinds[arm].digest.removeprefix("sha256:")[:12]
    missing = [case for case in cases.cases if not results.has(arm, case, kind)]
    left, done = iter(missing), len(cases.cases) - len(missing)
    begun, before = time.monotonic(), done
    failures: list[str] = []
    if done == len(cases.cases):
        print(f"{cases.name} {arm}: is there already", file=sys.stderr)

    async def work() -> None:
        nonlocal done
        for case in left:
            request = IterateRequest(
                kind=arm,
                prompt=case.text,
                constrain=ARMS[arm].constrain,
                temperature=msgspec.Raw(b"0"),
                seed=1,
            )
            reply = await stack.validator.iterate(request, call_context((), ()))
            if reply.error is not None:
                failures.append(f"{arm}, {case.id}: {reply.error.message} {reply.error.hint}")
            if failures:
                return
            results.add(outcome_of(arm, case, kind, reply))
            done += 1
            if done % 10 == 0 or done == len(cases.cases):
                pace_s = (time.monotonic() - begun) / (done - before)
                print(
                    f"{cases.name} {arm}: {done} of {len(cases.cases)}, {pace_s:.2f} s a text",
                    file=sys.stderr,
                )

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    if failures:
        raise Stopped(failures[0])


async def measure(
    cases: CaseSet, arms: Sequence[str], model: dict[str, Any], directory: Path, results: Results
) -> dict[str, list[Judged]]:
    """Run the arms one after the other, in this process, and judge what came."""
    config = config_of_values(cases.sections(arms, model), base=directory)
    stack = Stack(config, os.environ, "replay", sink=MemoryLog())
    await stack.start()
    try:
        await check_answers(stack, cases)
        for arm in arms:
            await run_arm(stack, arm, cases, results)
    finally:
        await stack.close()
    return {
        arm: [judged(case, results.known[arm, case.id], cases.grounded) for case in cases.cases]
        for arm in arms
    }


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="holds e2e_dev.jsonl and e2e_places.csv")
    parser.add_argument("--set", choices=("e2e", "notices"), help="only these texts")
    parser.add_argument("--texts", type=int, default=500, help="at most so many of each set")
    parser.add_argument("--tuning", action="store_true", help="the sentences to tune on instead")
    parser.add_argument("--arm", action="append", choices=ARMS, help="only these, each given once")
    parser.add_argument("--url", help="an OpenAI-compatible API to measure, often ending in /v1")
    parser.add_argument("--model", help="the name of its model")
    parser.add_argument("--api-key-env", help="the variable that holds its key")
    day = f"{dt.datetime.now(dt.UTC):%Y-%m-%d}-{os.cpu_count()}core"
    parser.add_argument("--output", type=Path, default=HERE / "runs" / day)
    options = parser.parse_args()
    if (options.url is None) != (options.model is None):
        parser.error("--url and --model go together")
    if options.data is None and (options.set == "e2e" or options.tuning):
        parser.error("the sentences need --data")
    if options.set == "notices" and options.tuning:
        parser.error("the notices are not for tuning")
    if options.texts < 1:
        parser.error("--texts is at least 1")
    return options


def chosen_sets(options: argparse.Namespace, directory: Path) -> list[CaseSet]:
    found = []
    if options.data is not None and options.set != "notices":
        found.append(sentences(options.data, directory, texts=options.texts, tuning=options.tuning))
    if options.set != "e2e" and not options.tuning:
        every = notices(directory)
        found.append(msgspec.structs.replace(every, cases=every.cases[: options.texts]))
    return found


def main() -> None:
    """Measure and write the results."""
    options = parse()
    arms = [arm for arm in ARMS if options.arm is None or arm in options.arm]
    model: dict[str, Any] = EMBEDDED
    if options.url is not None:
        model = {
            "provider": "openai",
            "base_url": options.url,
            "model": options.model,
            "slots": AT_ONCE,
        }
        if options.api_key_env is not None:
            model["api_key_env"] = options.api_key_env
    command = " ".join(
        [
            "python benchmarks/quality/bench_candidates.py",
            *(["--data DIRECTORY"] if options.data else []),
            *([f"--set {options.set}"] if options.set else []),
            f"--texts {options.texts}",
            *(["--tuning"] if options.tuning else []),
            *([f"--url URL --model {options.model}"] if options.url else []),
            *(f"--arm {arm}" for arm in options.arm or []),
        ]
    )
    with tempfile.TemporaryDirectory() as place:
        for cases in chosen_sets(options, Path(place)):
            slug = re.sub(r"[^A-Za-z0-9.-]+", "-", options.model) if options.url else "embedded"
            name = f"candidates-{cases.name}-{slug}"
            results = Results(options.output / f"{name}.jsonl", model["model"])
            wanted = cases.arms(arms)
            try:
                rows = asyncio.run(measure(cases, wanted, model, Path(place), results))
            except Stopped as stopped:
                sys.exit(f"{stopped} Run it again to go on.")
            found = report(cases, rows)
            lines = tables(cases, found)
            head = heading(f"Grounded decoding, {cases.name}", command, model["model"])
            (options.output / f"{name}.md").write_text("\n".join([*head, *lines, ""]), "utf-8")
            about = {"about": [line for line in head if line], "model": model["model"]}
            (options.output / f"{name}.json").write_text(
                json.dumps({**about, "seed": SEED, **found}, indent=1) + "\n", "utf-8"
            )
            print("\n".join(lines))


if __name__ == "__main__":
    main()
