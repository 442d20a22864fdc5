"""The reports: the same numbers everywhere, and nothing of a session's text that acts."""

import io
import json
import re
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import msgspec
import pytest
from rich.console import Console

from lakehouse.comparison.conditions import parse_conditions
from lakehouse.comparison.false_alarms import false_alarms
from lakehouse.comparison.gate import judge_run
from lakehouse.comparison.statistics import summarize
from lakehouse.core.chat import Usage
from lakehouse.reports.junit import to_junit
from lakehouse.reports.page import to_html
from lakehouse.reports.report import to_json
from lakehouse.reports.terminal import to_terminal
from support.pairs import INFO, Truth, exhausted, later, make_pair, make_side, outage
from support.rows import make_attempt, rejected_attempt
from support.spec_files import schema_validator

CONDITIONS = parse_conditions(
    ["accepted >= baseline - 0.02", "p50_latency_ms <= baseline * 1.2", "checked_right >= 0.5"]
)
HOSTILE = (
    "</pre></details><script>alert(1)</script><img src=x onerror=alert(1)>"
    "<!-- ]]> &amp; \" ' \x1b[2J\x00\u202e <style>*{display:none}</style>"
    "<meta http-equiv=refresh content='0;url=//evil.example'><svg onload=alert(1)>"
)
VOID = {"meta", "br", "img", "input", "link"}


class Page(HTMLParser):
    """Collects what a browser would build: elements, attributes, and text; demands balance."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    @property
    def text(self) -> str:
        return "".join(self.texts)


def whole_run():
    """Give pairs with everything that a report can show, and their summary and judgement."""
    pairs = Truth(fall=0.2, slower=1.3).pairs_of(1)
    checked = b'{"airport":"OSL","delay":2}'
    for index in range(0, 120, 2):
        pairs[index] = msgspec.structs.replace(pairs[index], checked_artifact=checked)
    pairs[5] = msgspec.structs.replace(pairs[5], candidate=outage())
    pairs[6] = msgspec.structs.replace(pairs[6], baseline=outage("connect"))
    summary = summarize(pairs, 7, resamples=300)
    judgement = judge_run(summary, CONDITIONS)
    told = false_alarms(pairs, CONDITIONS, 50, 0.0, seed=1, runs=20)
    return pairs, summary, msgspec.structs.replace(judgement, false_alarms=told)


@pytest.fixture(scope="module")
def run():
    return whole_run()


def terminal(info, summary, judgement, pairs) -> str:
    out = Console(file=io.StringIO(), width=200, color_system=None)
    out.print(to_terminal(info, summary, judgement, pairs))
    assert isinstance(out.file, io.StringIO)
    return out.file.getvalue()


def test_the_json_holds_against_its_schema(run):
    """With a gate and without, full and empty."""
    pairs, summary, judgement = run
    empty = summarize([], 1)
    for some_pairs, some, judged in (
        (pairs, summary, judgement),
        (pairs, summary, None),
        ([], empty, judge_run(empty, CONDITIONS)),
    ):
        document = json.loads(to_json(INFO, some, judged, some_pairs))
        schema_validator("replay.report").validate(document)


@pytest.mark.parametrize("sides", [("baseline",), ("candidate",), ("baseline", "candidate")])
@pytest.mark.parametrize(
    "odd",
    [
        {"duration_ms": 2**63 - 1},
        {"duration_ms": -(2**63)},
        {"duration_ms": -5},
        {"usage": Usage(2**63 - 1, -3)},
        {"iterations": -1},
        {"iterations": 0},
        {"accepted_iteration": None},
    ],
    ids=str,
)
def test_rows_whose_members_make_no_sense_have_a_report(odd, sides):
    """Another program may write any number of 64 bits; each report tells it, and none breaks."""
    pairs = [make_pair(index, **dict.fromkeys(sides, make_side(**odd))) for index in range(30)]
    summary = summarize(pairs, 1, resamples=100)
    judgement = judge_run(summary, CONDITIONS)
    document = json.loads(to_json(INFO, summary, judgement, pairs))
    schema_validator("replay.report").validate(document)
    assert Page(to_html(INFO, summary, judgement, pairs)).text
    assert to_junit(INFO, summary, judgement, pairs)
    assert terminal(INFO, summary, judgement, pairs)


def test_the_json_says_what_the_summary_says(run):
    """Counts, measures, decisions, and every flipped session, lost ones first."""
    pairs, summary, judgement = run
    report = json.loads(to_json(INFO, summary, judgement, pairs))
    assert report["schema"] == "replay.report.v1"
    assert report["run"]["run_id"] == INFO.run_id
    assert report["judgement"]["outcome"] == judgement.outcome == "regression"
    assert report["counts"]["judged"] == 198
    accepted = report["metrics"][0]
    assert accepted["name"] == "accepted"
    assert accepted["mcnemar"]["lost"] == sum(
        pair.judged and pair.baseline.accepted and not pair.candidate.accepted for pair in pairs
    )
    changes = [flip["change"] for flip in report["flipped"]]
    assert changes[0] == "lost"
    assert changes.count("lost") == accepted["mcnemar"]["lost"]
    assert sum(flow["pairs"] for flow in report["flow"]) == 200


def test_junit_has_a_case_for_each_condition(run):
    """A regression is a failure, what could not be run is an error, a pass is neither."""
    pairs, summary, _ = run
    conditions = parse_conditions(["accepted >= baseline", "p50_latency_ms <= baseline * 9"])
    mixed = judge_run(
        summary, [*conditions, *parse_conditions(["checked_right >= 0.9"])], n_min=100
    )
    root = ET.fromstring(to_junit(INFO, summary, mixed, pairs))
    (suite,) = root
    assert {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": "3",
        "failures": "1",
        "errors": "1",
        "skipped": "0",
    }
    cases = {case.get("name"): [child.tag for child in case] for case in suite.iter("testcase")}
    assert cases == {
        "accepted >= baseline": ["failure"],
        "p50_latency_ms <= baseline * 9": ["system-out"],
        "checked_right >= 0.9": ["error"],
    }
    (failure,) = suite.iter("failure")
    assert "(exact McNemar)." in (failure.get("message") or "")
    told = suite.findtext("system-out")
    assert told is not None
    assert "lost: session " in told


def test_the_terminal_tells_the_run(run):
    """Measures, the flow, flipped sessions, each condition, and the outcome last."""
    pairs, summary, judgement = run
    text = terminal(INFO, summary, judgement, pairs)
    assert "198 of 200 pairs judged on both sides" in text
    assert "infra_error timeout: 0 baseline, 1 candidate" in text
    assert re.search(r"^accepted +198 .* points", text, re.MULTILINE)
    assert "regression: accepted >= baseline - 0.02" in text
    assert "A/A: with the sides swapped at random" in text
    assert text.rstrip().endswith("gate: regression")


def test_the_page_tells_the_run(run):
    """Verdict, conditions, plots, distributions, fields, and flipped sessions side by side."""
    pairs, summary, judgement = run
    page = Page(to_html(INFO, summary, judgement, pairs))
    for words in (
        "Regression",
        "accepted >= baseline - 0.02",
        "Rates of both sides with 95 % intervals",
        "Change of rates, in points",
        "Time, tokens and attempts as factors of the baseline",
        "Verdicts of the baseline and of the candidate",
        "Latency of a session, ms",
        "Completion tokens of a session",
        "Where the artifacts agree",
        "Against the answers that a person checked",
        "no longer accepted",
        "attempt 1: rejected",
        "with the sides swapped at random",
    ):
        assert words in page.text, words
    assert page.tags.count("svg") == 8  # seven plots, and a box for the bands of one
    assert page.tags.count("details") == 60


def test_the_page_needs_nothing_else(run):
    """No script, no address, no element or attribute that loads; a policy that forbids them all."""
    pairs, summary, judgement = run
    text = to_html(INFO, summary, judgement, pairs)
    page = Page(text)
    assert set(page.tags) & {"script", "img", "link", "iframe", "object", "base", "form"} == set()
    assert {name for name, _ in page.attributes} & {"href", "src", "style", "xlink:href"} == set()
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert "url(" not in text
    assert "://" not in text
    policies = [value or "" for name, value in page.attributes if name == "content"]
    assert policies[0].startswith("default-src 'none'; style-src 'sha256-")


def test_a_hostile_text_stays_a_text():
    """In every place that a model or a caller can write to; the page has the elements it had."""

    def run_with(text: str) -> tuple[str, bytes, str]:
        attempts = (
            rejected_attempt(output=text, told=None),
            rejected_attempt(1, output=text, told=text),
        )
        finding = msgspec.structs.replace(attempts[0].findings[0], path=text, message=text)
        attempts = (msgspec.structs.replace(attempts[0], findings=(finding,)), attempts[1])
        artifact = msgspec.json.encode({text: text})
        side = exhausted(model=text, artifact=artifact)
        pairs = [
            make_pair(
                i,
                row_id=f"{text}{i}",
                session_id=f"{text}{i}",
                conversation_id=f"{text}{i}",
                kind=text,
                prompt=text,
                checked_artifact=artifact,
                baseline=make_side(artifact=artifact, attempts=(make_attempt(output=text),)),
                candidate=msgspec.structs.replace(side, attempts=attempts)
                if i
                else later(artifact=artifact),
            )
            for i in range(60)
        ]
        info = msgspec.structs.replace(
            INFO, run_id=text, baseline=text, candidate=text, corpus=text, warnings=(text,)
        )
        summary = summarize(pairs, 1, resamples=50)
        judgement = judge_run(summary, CONDITIONS)
        return (
            to_html(info, summary, judgement, pairs),
            to_junit(info, summary, judgement, pairs),
            terminal(info, summary, judgement, pairs),
        )

    html, junit, shown = run_with(HOSTILE)
    harmless, _, _ = run_with("harmless")

    assert Page(html).tags == Page(harmless).tags
    assert "<script>alert(1)</script>" in Page(html).text
    assert "\x1b" not in html + shown
    assert "\x00" not in html + shown
    (suite,) = ET.fromstring(junit)
    properties = {one.get("name"): one.get("value") for one in suite.iter("property")}
    assert properties["candidate"] == HOSTILE.replace("\x1b", "\ufffd").replace("\x00", "\ufffd")


def test_a_long_text_is_cut_and_says_so():
    """The log has the whole."""
    long = make_side(attempts=(make_attempt(output="x" * 5_000),))
    pairs = [make_pair(0, baseline=long, candidate=exhausted())]
    html = to_html(INFO, summarize(pairs, 1), None, pairs)
    assert "x" * 4_000 + " … 1,000 more characters" in html
    assert "x" * 4_001 not in html


def test_a_flipped_session_without_its_attempts_says_where_they_are():
    """Pairs keep the attempts of some sessions only."""
    none = make_side(attempts=())
    pairs = [make_pair(0, baseline=none, candidate=exhausted()), make_pair(1, candidate=later())]
    pairs[0] = msgspec.structs.replace(
        pairs[0], candidate=msgspec.structs.replace(pairs[0].candidate, attempts=())
    )
    text = Page(to_html(INFO, summarize(pairs, 1), None, pairs)).text
    assert text.count("Its attempts are not in this report") == 1


def test_a_page_of_nothing_is_a_page():
    """A run of outages only, or of no session."""
    for pairs in ([], [make_pair(0, candidate=outage())]):
        summary = summarize(pairs, 1)
        page = Page(to_html(INFO, summary, judge_run(summary, CONDITIONS), pairs))
        assert "Undecided: 0 of 50 pairs" in page.text
        assert page.text.count("0 pairs were judged on both sides; 50 are needed.") == 1
        assert "gate: undecided: 0 of 50 pairs" in terminal(
            INFO, summary, judge_run(summary, CONDITIONS), pairs
        )


def test_the_verdict_stands_first_and_the_digests_last(run):
    """What a reader came for: verdict, why, flipped sessions, rates; the run's facts at the end."""
    pairs, summary, judgement = run
    text = Page(to_html(INFO, summary, judgement, pairs)).text
    order = [
        "Regression",
        "The candidate misses a limit",
        "Conditions of the gate",
        "Sessions that flipped",
        "All measures",
        "About this run",
        INFO.corpus,
    ]
    places = [text.index(words, text.index("Replay report")) for words in order]
    assert places == sorted(places)


def test_two_flipped_sessions_are_open(run):
    """The first two are there to be read; the others unfold."""
    pairs, summary, judgement = run
    page = Page(to_html(INFO, summary, judgement, pairs))
    assert page.attributes.count(("open", None)) == 2


def test_measures_are_named_in_words(run):
    """No identifier of the code is a label."""
    pairs, summary, judgement = run
    text = to_html(INFO, summary, judgement, pairs)
    for words in ("Latency, median", "Accepted at the first attempt", "Prompt tokens, mean"):
        assert words in text
    labels = re.findall(r'<text class="label"[^>]*>([^<]*)</text>', text)
    assert labels
    assert not [label for label in labels if "_" in label]


@pytest.mark.parametrize("tokens", [0, 1, 100_000])
def test_a_factor_that_the_axis_cannot_hold_is_told_in_numbers(tokens: int):
    """Nothing spent, or thousands of times as much: an arrow with the number, never a dot."""
    side = make_side(usage=Usage(10, 20_000 if tokens < 100 else 20))
    spent = make_side(usage=Usage(10, tokens))
    pairs = [make_pair(index, baseline=side, candidate=spent) for index in range(60)]
    text = to_html(INFO, summarize(pairs, 1, resamples=50), None, pairs)

    plot = text[text.index("Time, tokens and attempts as factors of the baseline") :]
    plot = plot[: plot.index("</svg>")]
    beyond = re.findall(r'<text class="beyond change"[^>]*>([^<]*)</text>', plot)
    assert len(beyond) == 1
    assert ("◂" in beyond[0]) == (tokens < 100)
    assert plot.count("<circle") == 5  # the other five factors


def test_letters_of_plots_keep_their_size(run):
    """No plot is scaled with its page: on a phone its letters would be 6 px."""
    pairs, summary, judgement = run
    text = to_html(INFO, summary, judgement, pairs)
    assert re.findall(r"<svg [^>]*viewBox[^>]*>", text) == re.findall(
        r'<svg x="3%" [^>]*preserveAspectRatio="none">', text
    )
    assert "<text" not in text[text.index("viewBox") : text.index("</svg>", text.index("viewBox"))]
