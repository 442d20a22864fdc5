"""Sessions that ask alike share what is made of their settings, and nothing of their own."""

from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.core.chat import Message, ModelName, Sampling
from lakehouse.core.context import call_context
from lakehouse.core.errors import Refusal
from lakehouse.core.kind import CandidatesMode, Kind
from lakehouse.core.limits import TASK_KEPT_CHARS_MAX, TASKS_KEPT_MAX
from lakehouse.core.session import Constrain, IterateRequest
from lakehouse.engine.task import Catalog, SessionTask, plan
from support.sessions import CITY_SCHEMA, catalog

KIND = Kind(
    name="city",
    schema=CITY_SCHEMA,
    system="Be brief.",
    grounding=(),
    rules=(),
    max_iterations=2,
    model="small",
    digest="sha256:" + "5" * 64,
    sampling=Sampling(top_p=0.2),
)
CONTEXT = call_context((), ())
OWN = ("context", "prompt", "opening", "row_messages", "sources", "conversation_id", "metadata")
SETTINGS: dict[str, st.SearchStrategy[Any]] = {
    "kind": st.sampled_from(["city", "town", None]),
    "schema": st.sampled_from([b"null", b'{"type":"object"}', b'{"type": "object"}']).map(
        msgspec.Raw
    ),
    "model": st.sampled_from([None, "small", "large"]),
    "max_iterations": st.sampled_from([None, 1, 3]),
    "constrain": st.sampled_from(get_args(Constrain)),
    "temperature": st.sampled_from([b"null", b"0", b"0.0", b"0.70"]).map(msgspec.Raw),
    "max_tokens": st.sampled_from([None, 1, 3]),
    "seed": st.sampled_from([None, 1, 3]),
    "deadline_ms": st.sampled_from([None, 1, 3]),
    "candidates": st.sampled_from([None, *get_args(CandidatesMode)]),
    "top_p": st.sampled_from([None, 0.0, 1.0]),
    "assert_formats": st.booleans(),
    "system": st.sampled_from([None, "", "Be long."]),
    "stop": st.sampled_from([None, (), ("END",)]),
    "output_schema": st.sampled_from([b"null", b'{"required":["x"]}']).map(msgspec.Raw),
}


def known() -> Catalog:
    town = msgspec.structs.replace(KIND, name="town", system=None, max_iterations=5)
    models = {name: ModelName(name, f"{name}-1b", "scripted") for name in ("small", "large")}
    return msgspec.structs.replace(catalog(city=KIND, town=town), models=models)


KNOWN = known()


def planned(offered: Catalog, **fields: Any) -> SessionTask:
    return plan(IterateRequest(**{"kind": "city", "prompt": "x"} | fields), CONTEXT, offered)


def told(offered: Catalog, fields: dict[str, Any]) -> dict[str, object] | str:
    """Return what the task of a request says, its schema as bytes; or why it was refused."""
    try:
        task = planned(offered, **fields)
    except Refusal as refusal:
        return refusal.public
    members = msgspec.structs.asdict(task)
    return members | {"schema": bytes(task.schema.decoding), "formats": task.schema.formats}


@given(st.lists(st.fixed_dictionaries(SETTINGS), min_size=1, max_size=4))
def test_a_kept_task_is_what_a_new_one_would_be(asked: list[dict[str, Any]]) -> None:
    """Whatever other requests set before; all examples share the tasks that are kept."""
    for fields in asked:
        assert told(KNOWN, fields) == told(known(), fields)


def test_requests_that_ask_alike_share_a_task_but_for_what_is_their_own() -> None:
    offered = known()
    first = planned(offered, metadata={"a": "b"}, conversation_id="c")
    other = planned(offered, prompt=None, messages=(Message("user", "y"),))
    assert len(offered.kept_tasks) == 1
    assert first.settings is other.settings
    assert first.schema is other.schema
    assert (first.prompt, first.metadata, first.conversation_id) == ("x", {"a": "b"}, "c")
    assert (other.prompt, other.metadata, other.conversation_id) == ("y", {}, None)
    assert first.opening == (Message("system", "Be brief."), Message("user", "x"))
    assert other.opening == (Message("system", "Be brief."), Message("user", "y"))


def test_nothing_of_a_request_is_kept_but_its_settings() -> None:
    offered = known()
    planned(offered, prompt="a secret", metadata={"a": "secret"}, conversation_id="secret")
    [kept] = offered.kept_tasks.values()
    assert "secret" not in repr({name: getattr(kept, name) for name in OWN})


@pytest.mark.parametrize(
    "fields",
    [
        {"system": "x" * TASK_KEPT_CHARS_MAX + "x"},
        {"stop": ("END",)},
        {"output_schema": CITY_SCHEMA},
        {"kind": None, "schema": CITY_SCHEMA},
    ],
)
def test_a_task_of_a_callers_schema_or_long_text_is_not_kept(fields: dict[str, Any]) -> None:
    """A compiled schema may take 16 MiB, and the cache of schemas would not know of it."""
    offered = known()
    planned(offered, **fields)
    assert offered.kept_tasks == {}


def test_only_so_many_tasks_are_kept() -> None:
    offered = known()
    for seed in range(TASKS_KEPT_MAX + 10):
        assert planned(offered, seed=seed).settings.seed == seed
    assert len(offered.kept_tasks) == TASKS_KEPT_MAX
    assert planned(offered, seed=3).settings.seed == 3


@pytest.mark.parametrize(
    "fields", [{"kind": "toun"}, {"model": "none"}, {"max_iterations": 0}, {"top_p": 2.0}]
)
def test_what_is_refused_is_refused_again(fields: dict[str, Any]) -> None:
    offered = known()
    planned(offered)
    for _ in range(2):
        with pytest.raises(Refusal):
            planned(offered, **fields)
    assert len(offered.kept_tasks) == 1
