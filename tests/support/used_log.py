"""A stack whose log has what people look for, and what the log itself says of it.

Ana asked with her key, before the kind got a rule; then others did, without keys. One session has
metadata, one a label, and all were replayed with another model, which answers some better and some
worse.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lakehouse.gateway.auth import new_key
from lakehouse.sessionlog.reading.views import open_views
from support import city_stack
from support.forked_commands import run_command
from support.stack import call
from support.visited_stacks import PROMPTS, running_cities

OTHER = """
[models.other]
provider = "scripted"
model = "tiny-2"
script = "other.json"
"""
RULE = """
[[kinds.event.rules]]
sql = "SELECT length($code) = 3"
message = "A code has three letters"
"""
ANSWERS = {
    "matches": {
        "once more": ["No.", "No.", "No."],
        "prose": ['{"code": "OSL"}'],
        "malformed": [{"error": "upstream_malformed"}],
        ".": [city_stack.GOOD],
    }
}
OWN = "FROM sessions WHERE daemon <> 'replay'"
TO_LABEL = 6


class UsedLog:
    """Where the stack is, and its log as the views for SQL have it: not the pages' index."""

    def __init__(self, port: int, log: Path, langfuse: str) -> None:
        self.port = port
        self.address = f"http://127.0.0.1:{port}"
        self.log = log
        self.langfuse = langfuse

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with open_views(self.log) as connection:
            return connection.execute(sql).fetchall()

    def one(self, sql: str) -> Any:
        """Return the one value of the one row."""
        [[value]] = self.rows(sql)
        return value


@contextmanager
def running_used_log(directory: Path) -> Iterator[UsedLog]:
    directory.mkdir()
    (directory / "other.json").write_text(json.dumps(ANSWERS))
    key = new_key("ana")
    with running_cities(
        directory, OTHER + '[gateway]\napi_keys_env = "KEYS"\n', environment={"KEYS": key.entry}
    ) as port:
        for prompt in ("slow: delayed", "counted: delayed", *PROMPTS):
            _ask(port, prompt, {"Authorization": f"Bearer {key.secret}"})
    langfuse = "http://127.0.0.1:9"  # nothing takes traces there: only links lead there
    traces = {"LANGFUSE_URL": langfuse, "LANGFUSE_PUBLIC_KEY": "pk", "LANGFUSE_SECRET_KEY": "sk"}
    with running_cities(directory, OTHER + RULE, environment=traces) as port:
        _ask(port, "first shot: delayed, of team blue", metadata={"team": "blue"})
        labelled = _ask(port, "first shot: delayed, and labelled")
        for prompt in PROMPTS:
            _ask(port, prompt)
        for number in range(TO_LABEL):
            _ask(port, f"first shot: delayed, to label, {number}")
        right = {"session_id": labelled["session_id"], "label": "right"}
        assert call(port, "POST", "/v1/feedback", right).status < 300
        ran = run_command(
            ["--config", "lakehouse.toml", "replay", "--kind", "event", "--model", "other"],
            cwd=directory,
            timeout=120,
        )
        assert ran.returncode in {0, 1}, ran.stderr
        yield UsedLog(port, directory / "log", langfuse)


def _ask(
    port: int, prompt: str, headers: dict[str, str] | None = None, **more: object
) -> dict[str, Any]:
    answer = city_stack.iterate(port, headers, kind="event", prompt=prompt, **more)
    assert answer.status in {200, 422, 502}, answer.body
    given: dict[str, Any] = answer.json()
    return given
