"""The request that repeats a session: exactly what was asked, but for what is changed."""

import msgspec
import pytest

from lakehouse.core.context import call_context
from lakehouse.core.errors import Refusal
from lakehouse.core.ids import is_id, new_id
from lakehouse.core.kind import CandidatesMode, Kind
from lakehouse.core.row import RowMessage, Settings
from lakehouse.engine.task import plan
from lakehouse.replay.candidate import (
    Candidate,
    replay_context,
    replay_request,
    replay_row_id,
)
from lakehouse.replay.selection import KindInForce
from support.rows import NULL, make_row
from support.sessions import catalog

KIND = Kind(
    name="airport_event",
    schema=msgspec.Raw(b"{}"),
    system="the kind's",
    grounding=(),
    rules=(),
    max_iterations=3,
    model="small",
    digest="sha256:" + "1" * 64,
)
SETTINGS = Settings(
    constrain="off", temperature=msgspec.Raw(b"0.70"), max_tokens=99, seed=7, deadline_ms=5_000
)


UNCHANGED = Candidate()


def request_of(row, candidate=UNCHANGED, *, kind=KIND, in_force=None):
    return replay_request(row, candidate, kinds={"airport_event": kind}, in_force=in_force or {})


def test_a_session_is_repeated_with_its_own_inputs():
    row = make_row(settings=SETTINGS, conversation_id="c", metadata={"a": "b"}, system="its own")

    request = request_of(row)

    assert (request.kind, request.model) == ("airport_event", "small")
    assert (request.prompt, request.messages, request.system) == (row.prompt, None, "its own")
    assert (request.constrain, bytes(request.temperature)) == ("off", b"0.70")
    assert (request.max_tokens, request.seed, request.deadline_ms) == (99, 7, 5_000)
    assert (request.conversation_id, request.metadata) == ("c", {"a": "b"})


@pytest.mark.parametrize(
    ("logged", "asked", "sent"),
    [
        (msgspec.UNSET, None, None),
        ("hint", None, "hint"),
        ("off", "decode", "decode"),
        (msgspec.UNSET, "auto", "auto"),
        ("by_letter", None, None),
        ("by_letter", "off", "off"),
    ],
)
def test_what_a_session_asked_of_candidates_is_kept_unless_the_candidate_says_it(
    logged: str | msgspec.UnsetType, asked: CandidatesMode | None, sent: str | None
):
    """A mode of a later version means nothing here: then the kind decides."""
    row = make_row(settings=msgspec.structs.replace(SETTINGS, candidates=logged))
    assert request_of(row, Candidate(candidates=asked)).candidates == sent


@pytest.mark.parametrize(
    ("top_p", "stop", "sent"),
    [
        (msgspec.UNSET, msgspec.UNSET, (None, None)),
        (msgspec.Raw(b"0.90"), ("END", "\n\n"), (0.9, ("END", "\n\n"))),
        (msgspec.Raw(b"0"), (), (0.0, ())),
    ],
)
def test_what_a_session_set_for_top_p_and_stop_is_sent_again(
    top_p: msgspec.Raw | msgspec.UnsetType,
    stop: tuple[str, ...] | msgspec.UnsetType,
    sent: tuple[float | None, tuple[str, ...] | None],
):
    """Set to nothing differs from not set: then the kind and the model decide."""
    row = make_row(settings=msgspec.structs.replace(SETTINGS, top_p=top_p, stop=stop))
    request = request_of(row)
    assert (request.top_p, request.stop) == sent


def test_a_replays_own_row_repeats_top_p_and_stop_byte_for_byte():
    row = make_row(
        settings=msgspec.structs.replace(SETTINGS, top_p=msgspec.Raw(b"0.9"), stop=("a",))
    )
    task = plan(request_of(row), call_context((), ()), catalog(airport_event=KIND))
    assert msgspec.json.encode(task.settings) == msgspec.json.encode(row.settings)


def test_a_conversation_is_repeated_turn_by_turn():
    turns = (RowMessage("user", "one"), RowMessage("assistant", "two"), RowMessage("user", "three"))
    request = request_of(make_row(messages=turns, prompt="three"))
    assert request.prompt is None
    assert [(turn.role, turn.content) for turn in request.messages] == [
        ("user", "one"),
        ("assistant", "two"),
        ("user", "three"),
    ]


def test_an_inline_schema_is_repeated_with_its_bytes():
    schema = msgspec.Raw(b'{"minimum":1.10}')
    request = request_of(make_row(kind=None, inline_schema=schema, system="s"))
    assert (request.kind, bytes(request.schema), request.system) == (None, bytes(schema), "s")


def test_a_callers_schema_beside_a_kind_is_repeated_with_its_bytes():
    schema = msgspec.Raw(b'{"minimum":1.10}')
    request = request_of(make_row(inline_schema=schema))
    assert (request.kind, request.schema) == ("airport_event", NULL)
    assert bytes(request.output_schema) == bytes(schema)
    assert request_of(make_row()).output_schema == NULL


def test_what_the_kind_said_is_taken_from_the_kind_as_it_is_now():
    """The digest tells that the kind is the same: its own text is the kind's to give."""
    request = request_of(make_row(system="the kind's", max_iterations=3))
    assert (request.system, request.max_iterations) == (None, None)


def test_what_the_request_put_in_its_place_is_kept():
    request = request_of(make_row(system="its own", max_iterations=5))
    assert (request.system, request.max_iterations) == ("its own", 5)


def test_of_a_changed_kind_most_sessions_tell_what_was_the_kinds():
    """Those that had the usual text get the new one, the others keep their own."""
    changed = msgspec.structs.replace(KIND, digest="sha256:" + "2" * 64)
    in_force = {KIND.digest: KindInForce("usual", 3)}

    usual = request_of(make_row(system="usual"), kind=changed, in_force=in_force)
    own = request_of(make_row(system="its own"), kind=changed, in_force=in_force)
    unknown = request_of(make_row(system="usual"), kind=changed)

    assert (usual.system, own.system, unknown.system) == (None, "its own", "usual")


def test_the_candidate_changes_what_it_names_and_nothing_else():
    row = make_row(settings=SETTINGS)
    candidate = Candidate(
        model="big",
        kind="other",
        system="new",
        max_iterations=1,
        constrain="auto",
        temperature=0,
        max_tokens=5,
        seed=0,
        deadline_ms=9,
    )

    request = request_of(row, candidate)

    assert (request.model, request.kind, request.system) == ("big", "other", "new")
    assert (request.max_iterations, request.constrain) == (1, "auto")
    assert (request.max_tokens, request.seed, request.deadline_ms) == (5, 0, 9)
    assert float(bytes(request.temperature)) == 0
    assert request.prompt == row.prompt


@pytest.mark.parametrize(
    ("candidate", "code", "names"),
    [
        (Candidate(model="big"), "unknown_model", "big"),
        (Candidate(kind="other"), "unknown_kind", "other"),
        (Candidate(temperature=5.0), "invalid_request", "temperature"),
        (Candidate(max_iterations=11), "invalid_request", "max_iterations"),
    ],
)
def test_a_candidate_that_cannot_be_is_refused_before_anything_begins(candidate, code, names):
    with pytest.raises(Refusal, match=names) as refused:
        candidate.check(catalog())
    assert refused.value.code == code


def test_a_candidate_says_what_it_changes():
    assert Candidate().words() == "nothing"
    assert Candidate(candidates="off").words() == "candidates off"
    words = Candidate(model="big", system="a long text", temperature=0.0).words()
    assert words == "model big, system replaced, temperature 0.0"


def test_a_replay_has_the_sessions_ids_and_a_row_id_of_its_own():
    """The same for the same attempt in any process; all ids of a run begin alike."""
    run_id, row = new_id(), make_row(trace_id_replaced=True)
    ids = {replay_row_id(run_id, row.row_id, attempt) for attempt in (0, 0, 1, 2)}
    context = replay_context(row, min(ids))

    assert len(ids) == 3
    assert all(is_id(one) and one[12] == "7" and one[16] in "89ab" for one in ids)
    assert {one[:16] for one in ids} == {run_id[:16]}
    assert (context.session_id, context.trace_id) == (row.session_id, row.trace_id)
    assert context.row_id == min(ids)
    assert context.trace_id_replaced


def test_an_unset_temperature_stays_unset():
    assert request_of(make_row()).temperature == NULL
