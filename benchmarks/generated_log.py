"""A log of many rows, made quickly, whose texts do not compress to nothing."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from lakehouse.core.chat import Usage
from lakehouse.core.clock import timestamp
from lakehouse.core.finding import Finding
from lakehouse.core.row import LoggedError, Row
from lakehouse.core.row_codec import encode_line
from support.rows import make_attempt, make_row

_FIRST = datetime(2026, 1, 1, tzinfo=UTC)
_DAYS = 30
_KINDS = tuple(f"kind_{number}" for number in range(12))
_MODELS = tuple(f"model-{number}" for number in range(6))
_SYLLABLES = (
    *("ka", "lo", "mi", "ter", "van", "sol", "bri", "dun", "fe", "gra", "hol", "ist", "jor", "nel"),
    *("pos", "qui", "rad", "ust", "wim", "zen"),
)
LIST_SHARE = 0.3  # of the sessions that were rejected at least once
NEEDLE = "xylophone"


class GeneratedLog:
    """Rows over thirty days; the same for the same seed. One in 50,000 holds `NEEDLE`."""

    def __init__(self, rows: int, *, seed: int = 1) -> None:
        self.rows = rows
        self._random = random.Random(seed)
        words = {
            "".join(self._random.choices(_SYLLABLES, k=self._random.randint(1, 4)))
            for _ in range(6_000)
        }
        self._words = sorted(words)
        self._weights = [1 / (place + 10) for place in range(len(self._words))]
        self._tokens: list[str] = []

    def lines(self) -> Iterator[bytes]:
        for number in range(self.rows):
            yield encode_line(self._row(number))

    def write(self, root: Path, *, segment_rows: int = 30_000) -> list[Path]:
        """Write segments of writers that are gone; a segment is about as large as a writer's."""
        active = root / "active"
        active.mkdir(parents=True, mode=0o700)
        root.chmod(0o700)
        made = self.lines()
        paths = []
        for number in range(-(-self.rows // segment_rows)):
            paths.append(active / f"generated-{number}.jsonl")
            with paths[-1].open("wb") as file:
                for _ in range(min(segment_rows, self.rows - number * segment_rows)):
                    file.write(b"\n" + next(made) + b"\n")
        return paths

    def _text(self, words: int) -> str:
        while len(self._tokens) < words:
            self._tokens += self._random.choices(self._words, self._weights, k=50_000)
        taken, self._tokens = self._tokens[-words:], self._tokens[:-words]
        return " ".join(taken)

    def _row(self, number: int) -> Row:
        chance = self._random
        moment = _FIRST + timedelta(days=_DAYS) * number / self.rows
        rejected = chance.random() < LIST_SHARE
        failed = not rejected and chance.random() < 0.02
        value = chance.choice(self._words[:2_000])
        output = msgspec.json.encode({"value": value, "note": self._text(30)}).decode()
        finding = Finding(
            code=chance.choice(("ungrounded", "schema", "rule")),
            path=f"/items/{chance.randint(0, 9)}/{chance.choice(('airport', 'city'))}",
            message="not in the table",
            got=msgspec.Raw(msgspec.json.encode(value)),
            nearest=msgspec.Raw(msgspec.json.encode([value[:3], value[:2]])),
        )
        good = make_attempt(
            1 if rejected else 0, output=output, artifact=msgspec.Raw(output.encode())
        )
        bad = make_attempt(0, outcome="rejected", findings=(finding,), output=output)
        attempts = () if failed else (bad, good) if rejected else (good,)
        accepted = bool(attempts) and chance.random() < 0.95
        prompt = self._text(50) + (f" {NEEDLE}" if number % 50_000 == 7 else "")
        return make_row(
            timestamp=timestamp(moment),
            kind=chance.choice(_KINDS),
            model_alias=chance.choice(_MODELS),
            prompt=prompt,
            attempts=attempts,
            iterations=len(attempts),
            verdict="infra_error" if failed else "accepted" if accepted else "max_iter_exhausted",
            accepted_iteration=len(attempts) - 1 if accepted else None,
            error=LoggedError("timeout", "too slow") if failed else None,
            usage=Usage(chance.randint(50, 500), chance.randint(10, 200)),
            duration_ms=int(chance.lognormvariate(6, 1)),
            metadata={
                "door": "openai",
                "client": f"client-{chance.randint(0, 4)}",
                "api_key": f"key-{number % 7}",
            },
        )
