"""The pages of kinds: those of the log and of the stack, their digests, and the last change."""

import shlex

import msgspec
import pytest

from lakehouse.core.rates import newcombe_interval
from support.rows import make_row
from support.ui_pages import pages_over, write_log
from support.ui_stack import stack_of

OLD, NEW = "sha256:" + "a" * 64, "sha256:" + "b" * 64


def _row(number, digest, *, accepted, **changes):
    day = 1 if digest == OLD else 2
    given = {
        "kind": "visit",
        "kind_digest": digest,
        "timestamp": f"2026-01-0{day}T00:00:{number:02}.000000Z",
        "verdict": "accepted" if accepted else "max_iter_exhausted",
        "accepted_iteration": 0 if accepted else None,
    }
    return make_row(**(given | changes))


ROWS = [
    *(_row(n, OLD, accepted=n < 10) for n in range(40)),
    *(_row(n, NEW, accepted=n < 36) for n in range(40)),
    make_row(kind="gone"),
    make_row(kind=None),
]


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    return write_log(tmp_path_factory.mktemp("log"), ROWS)


@pytest.fixture
def client(log):
    with pages_over(log) as client:
        yield client


@pytest.fixture
def with_stack(log, tmp_path):
    stack = stack_of(tmp_path)
    with pages_over(
        log, change=lambda given: msgspec.structs.replace(given, served=lambda: stack)
    ) as client:
        yield client


def test_kinds_of_the_log_are_told_with_rates_and_intervals(client):
    page = client.get("/ui/kinds.json").json()
    assert [one["name"] for one in page["kinds"]] == ["gone", "visit", None]
    visit = page["kinds"][1]["stats"]
    assert (visit["accepted"], visit["accepted_rate"]) == (46, 46 / 80)
    text = client.get("/ui/kinds").text
    assert "57.5 %" in text
    assert "no kind: a schema of the caller" in text


def test_configured_kinds_are_among_them_also_without_sessions(with_stack):
    kinds = with_stack.get("/ui/kinds.json?since=2026-01-03").json()["kinds"]
    assert [(one["name"], one["stats"], one["model"]) for one in kinds] == [
        ("visit", None, "small"),
    ]  # fmt: skip
    assert "not any more" in with_stack.get("/ui/kinds").text


def test_the_last_change_is_told_in_one_sentence_with_its_interval(client):
    page = client.get("/ui/kind.json?kind=visit").json()
    assert [one["digest"] for one in page["digests"]] == [NEW, OLD]
    assert page["digests"][0]["first"] == "2026-01-02T00:00:00.000000Z"
    assert page["digests"][1]["last"] == "2026-01-01T00:00:39.000000Z"
    change = page["change"]
    assert change["difference"]["value"] == pytest.approx(0.65)
    bounds = change["difference"]["low"], change["difference"]["high"]
    assert bounds == pytest.approx(newcombe_interval((10, 40), (36, 40)))
    assert change["sentence"].startswith("The last change raised the rate of accepted sessions: ")
    assert "25.0 % of 40 before, 90.0 % of 40 since; +65.0 points" in change["sentence"]
    assert page["replay_command"] == (
        f"lakehouse replay --kind visit --where \"kind_digest = '{OLD}'\""
    )
    text = client.get("/ui/kind?kind=visit").text
    assert f"/ui/sessions?kind=visit&amp;kind_digest={NEW}" in text.replace("%3A", ":")


def test_of_many_digests_the_newest_are_told_however_few_their_sessions_are(tmp_path):
    old = [
        _row(n, f"sha256:{digest:064x}", accepted=True, timestamp=f"2026-01-{digest:02}T00:00:00Z")
        for digest in range(1, 26)
        for n in range(2)
    ]
    new = _row(0, NEW, accepted=True, timestamp="2026-02-01T00:00:00Z")
    with pages_over(write_log(tmp_path / "log", [*old, new])) as client:
        page = client.get("/ui/kind.json?kind=visit").json()
        text = client.get("/ui/kind?kind=visit").text
    digests = [one["digest"] for one in page["digests"]]
    assert digests == [NEW, *(f"sha256:{digest:064x}" for digest in range(25, 6, -1))]
    assert page["more"]
    assert (page["change"]["after"], page["change"]["before"]) == (NEW, digests[1])
    assert "These are the newest 20; a filter by time shows earlier ones" in text
    with pages_over(write_log(tmp_path / "few", old[:40])) as client:
        assert not client.get("/ui/kind.json?kind=visit").json()["more"]


@pytest.mark.parametrize(
    ("accepted", "told"),
    [((30, 10), "lowered the rate"), ((20, 21), "Whether the last change moved the rate")],
)
def test_a_change_for_the_worse_and_one_that_may_be_chance(tmp_path, accepted, told):
    rows = [
        _row(n, digest, accepted=n < many)
        for digest, many in zip((OLD, NEW), accepted, strict=True)
        for n in range(40)
    ]
    with pages_over(write_log(tmp_path / "log", rows)) as client:
        assert told in client.get("/ui/kind?kind=visit").text


def test_states_without_a_judged_session_are_not_compared(tmp_path):
    rows = [_row(1, OLD, accepted=True), _row(2, NEW, accepted=False, verdict="infra_error")]
    with pages_over(write_log(tmp_path / "log", rows)) as client:
        assert client.get("/ui/kind.json?kind=visit").json()["change"] is None
        assert "cannot be compared" in client.get("/ui/kind?kind=visit").text


def test_a_configured_kind_is_told_as_the_command_line_tells_it(with_stack):
    text = with_stack.get("/ui/kind?kind=visit").text
    for part in (
        "Say where &amp; when.",
        "places.city",
        "SELECT length($city) &lt; 40",
        "&#34;required&#34;: [",
        "[kinds.visit]",
    ):
        assert part in text, part
    configured = with_stack.get("/ui/kind.json?kind=visit").json()["configured"]
    assert configured["schema"]["required"] == ["city"]
    assert "not in the configuration now" in with_stack.get("/ui/kind?kind=gone").text


def test_a_kind_must_be_named_and_one_without_sessions_says_what_to_do_next(client, tmp_path):
    refused = client.get("/ui/kind")
    assert refused.status_code == 400
    assert "`kind` is missing" in refused.text
    assert "Look at all its sessions" in client.get("/ui/kind?kind=other").text
    with pages_over(write_log(tmp_path / "log", [])) as other:
        assert "lakehouse init" in other.get("/ui/kinds").text


def test_the_filter_of_the_page_of_a_kind_keeps_the_kind(client):
    text = client.get("/ui/kind?kind=visit&since=2026-01-01").text
    assert "Remove since" in text
    assert "Remove kind" not in text
    assert '<a href="/ui/kind?kind=visit">Clear</a>' in text


def test_a_hostile_name_and_digest_stay_one_word_of_the_command(tmp_path):
    rows = [
        _row(1, OLD, accepted=True, kind="a; b", kind_digest="$(x)'"),
        _row(2, NEW, accepted=True, kind="a; b"),
    ]
    with pages_over(write_log(tmp_path / "log", rows)) as client:
        command = client.get("/ui/kind.json", params={"kind": "a; b"}).json()["replay_command"]
    words = ["lakehouse", "replay", "--kind", "a; b", "--where", "kind_digest = '$(x)'''"]
    assert shlex.split(command) == words
