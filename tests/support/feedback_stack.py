"""A stack whose kind has a schema, grounding and Python checks, and its forms for feedback."""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from lakehouse.core.row_codec import decode_feedback
from lakehouse.sessionlog.shared_file import whole_lines
from support.stack import SCRIPTED, Answer, call, running_stack

CONFIG = (
    SCRIPTED
    + """
[tables.airports]
path = "airports.csv"

[kinds.event]
python = "event_models:Event"
grounding = [{ path = "/airport", column = "airports.iata" }]
"""
)
MODEL = """
from decimal import Decimal
from typing import Annotated
from pydantic import BaseModel, Field, model_validator

class Event(BaseModel):
    airport: Annotated[str, Field(pattern="^[A-Z]{3}$")]
    delay_h: Decimal = Field(ge=0)

    @model_validator(mode="after")
    def check(self):
        if self.delay_h == 13:
            raise ValueError("13 hours are not allowed")
        return self
"""
SCRIPT = {
    "matches": {
        "wrong": ['{"airport": "LHR", "delay_h": 1.10}'],
        ".": ['{"airport": "OSL", "delay_h": 1.10}'],
    }
}


class Stack:
    def __init__(self, directory: Path, port: int) -> None:
        self.directory = directory
        self.port = port
        self.url = f"http://127.0.0.1:{port}"

    def get(self, path: str) -> Answer:
        return call(self.port, "GET", path)

    def session(self, prompt: str) -> str:
        body = {"kind": "event", "prompt": prompt}
        row_id: str = call(self.port, "POST", "/v1/iterate", body).json()["row_id"]
        return row_id

    def send(self, path: str, **fields: str) -> Answer:
        """Send a form with the token of its page, as a browser does."""
        page = self.get("/ui/feedback")
        token = page.headers["set-cookie"].split("=", 1)[1].split(";")[0]
        headers = {
            "Cookie": f"lakehouse_form={token}",
            "Content-Type": "application/x-www-form-urlencoded",
            "Origin": self.url,
            "Sec-Fetch-Site": "same-origin",
        }
        data = urlencode({"form_token": token, **fields}).encode()
        return call(self.port, "POST", path, data, headers)

    def label(self, row_id: str, label: str, **fields: str) -> None:
        """Save a label with the artifact as the form has it."""
        held = json.loads(self.get(f"/ui/feedback/{row_id}.json").body)["entered"]["text"]
        sent = {"label": label, "artifact": held, **fields}
        assert self.send(f"/ui/feedback/{row_id}", **sent).status == 303

    def labels(self, row_id: str) -> list[str]:
        found = map(decode_feedback, whole_lines(self.directory / "log" / "feedback.jsonl"))
        return [one.label for one in found if one.row_id == row_id]


@contextlib.contextmanager
def feedback_stack(directory: Path, *, apart: bool) -> Iterator[Stack]:
    """Run the stack; its kind is `event`, and a prompt with `wrong` gets the wrong airport."""
    (directory / "script.json").write_text(json.dumps(SCRIPT))
    (directory / "event_models.py").write_text(MODEL)
    (directory / "airports.csv").write_text("iata\nOSL\nLHR\n")
    with pytest.MonkeyPatch.context() as patch:
        path = os.environ.get("PYTHONPATH", "")
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(directory), path))))
        with running_stack(directory, CONFIG, apart=apart) as processes:
            yield Stack(directory, processes["gateway"].port)
