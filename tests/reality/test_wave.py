"""The reality wave: real daemons, nine sessions and a tenth, and what `stats` says of them.

Six answers are right at once, two prompts only ever get prose, one model takes 8 s to load (and
is waited for), and one request goes to a dead port: an outage leaves the rate alone.
"""

import json
import threading
from pathlib import Path
from typing import Any

from lakehouse.core.ids import is_id
from support.forked_commands import run_command
from support.stack import Answer, call, free_port, running_stack

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
COLD_START_MS = 8_000


def config(dead_port: int) -> str:
    return f"""
[log]
path = "log"
[models.qwen]
provider = "scripted"
model = "qwen2.5"
script = "warm.json"
[models.cold]
provider = "scripted"
model = "qwen2.5-cold"
script = "cold.json"
preload = false
[models.dead]
provider = "openai"
base_url = "http://127.0.0.1:{dead_port}/v1"
model = "gone"
[kinds.city]
schema = "city.schema.json"
"""


def test_the_wave(tmp_path: Path):
    """Seven of nine at the first shot, 77.8 %; every row carries a session id."""
    (tmp_path / "city.schema.json").write_text(json.dumps(SCHEMA))
    good = '{"city": "Zürich"}'
    (tmp_path / "warm.json").write_text(
        json.dumps({"matches": {"poem": ["Roses are red.", "Violets too."], ".": [good]}})
    )
    (tmp_path / "cold.json").write_text(json.dumps({"load_ms": COLD_START_MS, "steps": [good]}))
    requests: list[dict[str, Any]] = [
        *({"prompt": f"Notice {n}: fog in Zürich."} for n in range(6)),
        {"prompt": "Write a poem."},
        {"prompt": "Another poem."},
        {"prompt": "Notice 9: fog in Zürich.", "model": "cold", "deadline_ms": 5_000},
        {"prompt": "Notice 10: fog in Zürich.", "model": "dead"},
    ]
    answers: dict[int, Answer] = {}

    with running_stack(tmp_path, config(free_port()), apart=True) as processes:
        port = processes["gateway"].port

        def one(number: int) -> None:
            answers[number] = call(port, "POST", "/v1/iterate", {"kind": "city"} | requests[number])

        threads = [threading.Thread(target=one, args=(n,)) for n in range(len(requests))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        stats = _lakehouse(tmp_path, "stats", "--json")
        rows = _lakehouse(
            tmp_path, "query", "--json", "SELECT session_id, verdict, duration_ms FROM sessions"
        )

    assert [answers[n].status for n in range(10)] == [200] * 6 + [422] * 2 + [200, 502]
    assert answers[8].json()["duration_ms"] >= COLD_START_MS  # the cold start was real
    assert [f["code"] for f in answers[6].json()["findings"]] == ["no_json"]
    assert answers[9].json()["error"]["code"] == "connect"
    assert len(rows) == 10
    assert all(is_id(row["session_id"]) for row in rows)
    assert (stats["sessions"], stats["accepted"], stats["first_shot"]) == (10, 7, 7)
    assert (stats["max_iter_exhausted"], stats["infra_error"]) == (2, 1)
    assert round(stats["first_shot_rate"], 3) == 0.778


def _lakehouse(directory: Path, *arguments: str):
    done = run_command(
        arguments,
        cwd=directory,
        timeout=60,
    )
    done.check_returncode()
    return json.loads(done.stdout)
