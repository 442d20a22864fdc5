"""Kinds that are Python models, over HTTP: one contract, both deployments."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.stack import SCRIPTED, call, running_stack

CONFIG = (
    SCRIPTED
    + """
[kinds.order]
python = "order_models:Order"
"""
)
MODEL = """
import time
from decimal import Decimal
from pydantic import BaseModel, Field, model_validator

class Order(BaseModel):
    total: Decimal = Field(gt=0, decimal_places=2)
    note: str = ""

    @model_validator(mode="after")
    def check(self):
        if self.note == "bug":
            raise KeyError("a bug of mine")
        if self.total == 13:
            raise ValueError("13 is not allowed")
        return self
"""
SCRIPT = {
    "matches": {
        "bug": ['{"total": 1, "note": "bug"}'],
        ".": ['{"total": "-1"}', '{"total": 13}', '{"total": "1.10"}'],
    }
}


@pytest.fixture(scope="module", params=["in_process", "apart"])
def gateway(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[int]:
    directory: Path = tmp_path_factory.mktemp(request.param)
    (directory / "script.json").write_text(json.dumps(SCRIPT))
    (directory / "order_models.py").write_text(MODEL)
    with pytest.MonkeyPatch.context() as patch:
        path = os.environ.get("PYTHONPATH", "")
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(directory), path))))
        with running_stack(directory, CONFIG, apart=request.param == "apart") as processes:
            yield processes["gateway"].port


def test_the_model_is_told_what_a_validator_says_and_may_try_again(gateway: int) -> None:
    body = {"kind": "order", "prompt": "How much?", "max_iterations": 3}
    reply = call(gateway, "POST", "/v1/iterate", body).json()
    assert (reply["verdict"], reply["iterations"]) == ("accepted", 3)
    assert reply["artifact"] == {"total": "1.10"}
    first, second, _ = reply["attempts"]
    assert [(one["code"], one["path"]) for one in first["findings"]] == [("rule", "/total")]
    assert [one["message"] for one in second["findings"]] == ["Value error, 13 is not allowed"]
    assert "greater than 0" in second["told"]


def test_a_bug_of_a_validator_is_an_infra_error_with_its_text(gateway: int) -> None:
    answer = call(gateway, "POST", "/v1/iterate", {"kind": "order", "prompt": "bug"})
    reply = answer.json()
    assert (answer.status, reply["verdict"], reply["iterations"]) == (503, "infra_error", 0)
    assert reply["error"]["code"] == "rule_broken"
    assert "KeyError: 'a bug of mine'" in reply["error"]["message"]


def test_validate_and_feedback_ask_the_validators_too(gateway: int) -> None:
    given = call(gateway, "POST", "/v1/validate", {"kind": "order", "output": '{"total": 13}'})
    assert given.json()["verdict"] == "rejected"
    body = {"kind": "order", "prompt": "How much?", "max_iterations": 3}
    reply = call(gateway, "POST", "/v1/iterate", body).json()
    corrected = {"session_id": reply["session_id"], "label": "corrected"}
    bad = call(gateway, "POST", "/v1/feedback", corrected | {"artifact": {"total": 13}})
    assert bad.status == 400
    assert "13 is not allowed" in bad.json()["detail"]
    good = call(gateway, "POST", "/v1/feedback", corrected | {"artifact": {"total": 14}})
    assert good.status == 200
