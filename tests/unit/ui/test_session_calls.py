"""The commands of a session's page, run as a person would: the new row asks what the old one did.

The texts are hostile: they would run something, end the text early, or hide, if anything could.
"""

import ast
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lakehouse.core.finding import Truncated
from lakehouse.core.json_text import JsonValue, parse_form
from lakehouse.core.metadata import AFTER_MEMBER, CHECKS_MEMBER
from lakehouse.core.row import LoggedError, Row, RowMessage
from lakehouse.core.row_codec import decode_row
from lakehouse.core.visible import fully_visible
from lakehouse.sessionlog.reading.reader import find_rows
from lakehouse.ui.session_calls import KEY_VARIABLE, calls_of
from support.generated_rows import rows as any_rows
from support.rows import SETTINGS, make_row
from support.stack import SCRIPTED, call, running_stack, untraced

URL = "http://127.0.0.1:4110"
CUT = Truncated(True, 100_000, "0" * 64)
HOSTILE = [
    'it\'s "quoted" and `touch owned` and $(touch owned) ${IFS} \\',
    "JSON\n\nJSON\n'JSON'\nEOF\n<<JSON",
    "!! !$ !touch ^a^b^ %s %n ~ * ? [a] {a,b} # ; & | > owned",
    "nul \x00 bell \x07 escape \x1b[2J del \x7f c1 \x9b tab \t cr \r lf \n",
    "left \u202e right \u2066 \u200b\u200d\ufeff\u00ad\u115f\u3164\u2800 \U000e0041 \ufe0f e\u0301",
    "'''\"\"\"\\N{BULLET}\\x41\\u0041\\' {0} {prompt!r} %(x)s",
    "日本語 العربية 👩‍👩‍👧 \U0010ffff \ue000 \ufffe \u2028\u2029",
    "\\ud800 \\\\u0000 \\\n",
    "",
    "-d @/etc/hostname",
]
texts = st.sampled_from(HOSTILE) | st.text(max_size=20)
CONFIG = SCRIPTED + '[kinds.event]\nschema = "event.json"\nsystem = "Extract."\n'


def _schema(text: str) -> msgspec.Raw:
    member = {"type": ["number", "null"], "description": text, "multipleOf": 0.5}
    schema = json.dumps({"type": "object", "properties": {text: member}}, ensure_ascii=False)
    numbers = schema.replace("0.5", '1.10,"maximum":1E+400,"minimum":-0,"default":' + "9" * 30)
    return msgspec.Raw(msgspec.json.format(numbers.encode(), indent=-1))


_messages = st.lists(
    st.builds(RowMessage, role=st.sampled_from(["user", "assistant", "system"]), content=texts),
    max_size=3,
).map(lambda found: (*found, RowMessage("user", "the last")))
_settings = st.fixed_dictionaries(
    {
        "constrain": st.sampled_from(["auto", "off"]),
        "temperature": st.sampled_from(["null", "0", "0.70", "1.10", "1E-7", "2"]).map(
            lambda text: msgspec.Raw(text.encode())
        ),
        "max_tokens": st.none() | st.integers(1, 4096),
        "seed": st.none() | st.integers(0, 2**63 - 1),
        "deadline_ms": st.integers(30_000, 600_000),
        "candidates": st.sampled_from([msgspec.UNSET, "off", "hint"]),
        "top_p": st.sampled_from([msgspec.UNSET, msgspec.Raw(b"0.9"), msgspec.Raw(b"1.0")]),
        "stop": st.just(msgspec.UNSET) | st.lists(texts.filter(bool), max_size=3).map(tuple),
        "assert_formats": st.sampled_from([msgspec.UNSET, True]),
    }
).map(lambda changes: msgspec.structs.replace(SETTINGS, **changes))


@st.composite
def rows(draw: st.DrawFn) -> Row:
    """Rows as our stack writes them, for each way to ask."""
    kind = draw(st.sampled_from([None, "event"]))
    inline = draw(texts.map(_schema))
    messages = draw(st.none() | _messages)
    return make_row(
        kind=kind,
        inline_schema=draw(st.sampled_from([inline, msgspec.Raw(b"null")])) if kind else inline,
        model_alias="small",
        prompt=draw(texts) if messages is None else "the last",
        messages=messages,
        system=draw(texts) if kind else draw(st.none() | texts),
        max_iterations=draw(st.integers(1, 10)),
        settings=draw(_settings),
        conversation_id=draw(st.none() | texts),
        metadata=draw(st.dictionaries(texts, texts, max_size=2)),
    )


class Stack(msgspec.Struct):
    url: str
    directory: Path

    def row(self, session_id: str) -> Row:
        [line] = find_rows(self.directory / "log", session_id)
        return decode_row(line)

    def bash(self, command: str) -> Row:
        done = self.run("bash", "-c", command)
        return self.row(json.loads(done.stdout)["session_id"])

    def python(self, programs: list[str]) -> list[Row]:
        for n, program in enumerate(programs):
            (self.directory / f"again_{n}.py").write_text(program, "utf-8")
        code = (
            "import runpy\n"
            f"for n in range({len(programs)}):\n    runpy.run_path(f'again_{{n}}.py')\n"
        )
        lines = self.run(sys.executable, "-c", code).stdout.splitlines()
        return [self.row(line.split()[1]) for line in lines[::2]]

    def run(self, *command: str, told: bool = False) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command,
            cwd=self.directory,
            env=untraced(os.environ),
            capture_output=True,
            encoding="utf-8",
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr + done.stdout
        assert told or not done.stderr
        assert not (self.directory / "owned").exists()
        return done


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    directory = tmp_path_factory.mktemp("stack")
    (directory / "script.json").write_text('["{}"]')
    (directory / "event.json").write_text('{"type": "object"}')
    with running_stack(directory, CONFIG, apart=False) as processes:
        yield Stack(processes["gateway"].url, directory)


def _asked(row: Row) -> dict[str, Any]:
    """What was asked for: everything that a request can say."""
    names = (
        *("kind", "prompt", "messages", "system", "model_alias", "max_iterations", "settings"),
        *("conversation_id",),
    )
    metadata = {name: value for name, value in row.metadata.items() if name != "client"}
    return {name: getattr(row, name) for name in names} | {"metadata": metadata}


def _schema_of(row: Row) -> JsonValue:
    """The schema as a value, its numbers as they are spelled."""
    return parse_form(bytes(row.inline_schema), depth_max=64)


@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(rows())
def test_curl_asks_the_same(stack, row):
    """Through bash, byte for byte, whatever the texts are."""
    command = calls_of(row, gateway_url=stack.url, needs_key=False).curl.text
    assert command is not None
    again = stack.bash(command)
    assert _asked(again) == _asked(row)
    assert _schema_of(again) == _schema_of(row)


@settings(max_examples=4, suppress_health_check=list(HealthCheck))
@given(st.lists(rows(), min_size=10, max_size=10))
def test_python_asks_the_same(stack, asked):
    """As programs of their own; numbers keep their spelling."""
    calls = [calls_of(row, gateway_url=stack.url, needs_key=False).python for row in asked]
    programs = [call.text for call in calls if call.text is not None]
    assert len(programs) == len(asked)
    for row, again in zip(asked, stack.python(programs), strict=True):
        assert _asked(again) == _asked(row)
        assert _schema_of(again) == _schema_of(row)


def test_a_turn_of_python_checks_stays_one_in_curl(stack):
    """It is no text of the user; Python's client cannot say so, and the page says that."""
    messages = (RowMessage("user", "the text"), RowMessage("user", "what was wrong"))
    row = make_row(
        kind="event",
        model_alias="small",
        prompt="the text",
        messages=messages,
        metadata={AFTER_MEMBER: "a" * 32},
    )
    calls = calls_of(row, gateway_url=stack.url, needs_key=False)
    assert calls.curl.text is not None
    assert _asked(stack.bash(calls.curl.text)) == _asked(row)
    assert any(AFTER_MEMBER in note for note in calls.python.notes)
    assert not any(AFTER_MEMBER in note for note in calls.curl.notes)


def test_the_page_of_a_stack_names_that_stack(stack):
    """Its commands work as they are copied from the page, without a change of the address."""
    port = int(stack.url.rpartition(":")[2])
    asked = call(port, "POST", "/v1/iterate", {"kind": "event", "prompt": HOSTILE[0]}).json()
    [story] = call(port, "GET", f"/ui/sessions/{asked['session_id']}.json").json()["stories"]
    again = stack.bash(story["calls"]["curl"]["text"])
    assert again.session_id != asked["session_id"]
    assert _asked(again) == _asked(stack.row(asked["session_id"]))


def test_a_replay_repeats_that_row(stack):
    """The command as it stands replays one session, and also a replay's own row."""
    body = {"kind": "event", "prompt": "once more"}
    asked = call(int(stack.url.rpartition(":")[2]), "POST", "/v1/iterate", body).json()
    row = stack.row(asked["session_id"])
    command = calls_of(row, gateway_url=URL, needs_key=False).replay.text
    assert command is not None
    module = f"{shlex.quote(sys.executable)} -m lakehouse"
    out = stack.run("bash", "-c", command.replace("lakehouse", module, 1), told=True)
    assert "1 sessions" in out.stderr
    lines = find_rows(stack.directory / "log", asked["session_id"])
    [replayed] = [one for one in map(decode_row, lines) if one.daemon == "replay"]
    again = calls_of(replayed, gateway_url=URL, needs_key=False).replay.text
    assert again is not None
    out = stack.run("bash", "-c", again.replace("lakehouse", module, 1), told=True)
    assert "1 sessions" in out.stderr


@settings(max_examples=300)
@given(any_rows, st.booleans())
def test_any_row_has_commands_or_a_reason(row, needs_key):
    """Rows of any version: what is offered is whole, safe to copy, and shown as it is."""
    calls = calls_of(row, gateway_url=URL, needs_key=needs_key)
    for one in (calls.replay, calls.curl, calls.python):
        assert one.text or one.notes
        text = one.text or ""
        assert all(character.isprintable() or character == "\n" for character in text)
        assert (KEY_VARIABLE in text) == (needs_key and one is not calls.replay and bool(text))
    if calls.python.text is not None:
        ast.parse(calls.python.text)
    if calls.curl.text is not None:
        head, _, body = calls.curl.text.partition("<<'JSON'\n")
        assert head.count("\n") == 1 + needs_key
        assert isinstance(json.loads(body.removesuffix("JSON\n")), dict)


def test_no_character_hides_or_steers():
    """All of Unicode: what a page or a terminal would show otherwise is an escape."""
    everything = [chr(n) for n in range(0x110000) if not 0xD800 <= n < 0xE000]
    for start in range(0, len(everything), 20_000):
        prompt = "".join(f"{one * 6}a" for one in everything[start : start + 20_000])
        calls = calls_of(make_row(prompt=prompt), gateway_url=URL, needs_key=False)
        for one in (calls.curl, calls.python):
            assert one.text is not None
            assert fully_visible(one.text) == one.text


@pytest.mark.parametrize(
    ("changes", "replay", "again", "note"),
    [
        ({"verdict": "infra_error", "error": LoggedError("connect", "gone")}, False, True, ""),
        ({"prompt_truncated": CUT}, False, True, "only the part it kept"),
        ({"system_truncated": CUT}, False, True, "only the part it kept"),
        ({"messages": (RowMessage("user", "a", CUT),)}, False, True, "only the part it kept"),
        ({"messages": (RowMessage("system", "a"),)}, True, False, "no turn of the user"),
        ({"messages": (RowMessage("user", "a"),) * 65}, True, False, "more than 64 messages"),
        ({"metadata": {CHECKS_MEMBER: "a:b sha256:1"}}, False, True, "does not run"),
        ({"metadata": {"door": "openai"}}, True, True, "`metadata.door`"),
        ({"kind": None}, True, False, "neither a kind nor a schema"),
        ({"prompt": "x" * (1 << 20)}, True, False, "1,048,576 bytes"),
        ({"max_iterations": 99}, True, True, "`max_iterations` is left out: 99"),
        ({"settings": msgspec.structs.replace(SETTINGS, seed=-1)}, True, True, "`seed`"),
        (
            {"settings": msgspec.structs.replace(SETTINGS, candidates="later_word")},
            True,
            True,
            "later_word",
        ),
    ],
)
def test_what_cannot_be_repeated_is_said(changes, replay, again, note):
    """Each limit in a sentence; what would be refused is not offered."""
    calls = calls_of(make_row(**changes), gateway_url=URL, needs_key=False)
    assert (calls.replay.text is not None) == replay
    assert bool(calls.replay.text or calls.replay.notes)
    for one in (calls.curl, calls.python):
        assert (one.text is not None) == again
        assert any(note in sentence for sentence in one.notes)
