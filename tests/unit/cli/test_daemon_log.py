"""A daemon's log: one line an event, no keys, no control characters, and nobody waits for it."""

import io
import json
import logging
import os
import threading
from collections.abc import Iterator

import pytest

from lakehouse.cli.daemon_line import LogLevel
from lakehouse.cli.daemon_log import LINES_WAITING_MAX, DaemonLog
from lakehouse.core.context import current_session
from support.waiting import WAIT_S

LOG = logging.getLogger("lakehouse.somewhere")
SESSION = "0af7651916cd43dd8448eb211c80319c"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def in_a_session() -> Iterator[None]:
    token = current_session.set(SESSION)
    yield
    current_session.reset(token)


def written(stream: io.StringIO, level: LogLevel = LogLevel.INFO, *, secret: str = "") -> list[str]:
    """What the calls of `say` write."""
    with DaemonLog(level, stream) as log:
        log.secrets = (secret,)
        say()
    return stream.getvalue().splitlines()


def say() -> None:
    LOG.info("all is %s", "well\x1b[2J\n\x9b31m\u202e")
    LOG.warning("key sk-abcdefgh12345678 and hunter2-plain")
    try:
        raise ValueError("Bearer abcdef123456\x07")
    except ValueError:
        LOG.exception("it failed")


def test_off_a_terminal_each_line_is_json_with_the_session():
    lines = [json.loads(line) for line in written(io.StringIO(), secret="hunter2-plain")]
    assert [line["level"] for line in lines] == ["info", "warning", "error"]
    assert {line["session_id"] for line in lines} == {SESSION}
    assert {line["logger"] for line in lines} == {"lakehouse.somewhere"}
    assert lines[0]["message"] == "all is well\x1b[2J\n\x9b31m\u202e"
    assert lines[1]["message"] == "key [key] and [key]"
    assert lines[2]["traceback"][-1] == "ValueError: Bearer [key]\x07"
    assert lines[0]["timestamp"].endswith("Z")


def test_json_lines_hold_no_raw_control_character():
    text = "\n".join(written(io.StringIO()))
    assert text.replace("\n", "").isprintable()
    assert text.isascii()


def test_on_a_terminal_lines_are_for_people():
    first, second, third, *rest = written(Terminal(), secret="hunter2-plain")
    assert "INFO somewhere: all is well\\x1b[2J\\n\\x9b31m\\u202e" in first
    assert first.endswith(f"(session {SESSION})")
    assert "WARNING somewhere: key [key] and [key]" in second
    assert "ERROR somewhere: it failed" in third
    assert all(line.startswith("  ") and line.isprintable() for line in rest)
    assert rest[-1] == "  ValueError: Bearer [key]\\x07"


@pytest.mark.parametrize(
    ("level", "count"), [("debug", 3), ("info", 3), ("warning", 2), ("error", 1)]
)
def test_the_level_decides_what_is_written(level: str, count: int):
    lines = [line for line in written(io.StringIO(), LogLevel(level)) if line.startswith("{")]
    assert len(lines) == count


def test_libraries_are_heard_from_warning_on():
    stream = io.StringIO()
    with DaemonLog(LogLevel.DEBUG, stream):
        logging.getLogger("a.library").info("chatter")
        logging.getLogger("a.library").warning("trouble")
    assert [json.loads(line)["message"] for line in stream.getvalue().splitlines()] == ["trouble"]


def test_outside_a_session_the_id_is_null():
    stream = io.StringIO()
    token = current_session.set(None)
    with DaemonLog(LogLevel.INFO, stream):
        LOG.info("starting")
    current_session.reset(token)
    assert json.loads(stream.getvalue())["session_id"] is None


def test_logging_is_left_as_it_was():
    root = logging.getLogger()
    before = root.level, root.handlers[:]
    written(io.StringIO())
    assert (root.level, root.handlers[:]) == before
    assert logging.getLogger("lakehouse").level == logging.NOTSET


def test_a_reader_that_does_not_read_holds_nobody_up_and_is_told_what_was_dropped():
    """The pipe is full and stays full while lines are written; then somebody reads."""
    reading, writing = os.pipe()
    pipe = os.fdopen(writing, "w")
    over = 500
    log = DaemonLog(LogLevel.INFO, pipe)
    with log:
        for number in range(LINES_WAITING_MAX + over + 2_000):
            LOG.info("line %d %s", number, "x" * 500)
        lines: list[str] = []
        dropped = threading.Event()

        def read() -> None:
            with os.fdopen(reading) as source:
                for line in source:
                    lines.append(line)
                    if "were dropped" in line:
                        dropped.set()

        reader = threading.Thread(target=read)
        reader.start()
        assert dropped.wait(WAIT_S)
    pipe.close()
    reader.join(WAIT_S)
    told = [json.loads(line) for line in lines]
    (note,) = [line for line in told if "were dropped" in line["message"]]
    count = int(note["message"].split()[0])
    assert count >= over
    assert len(told) - 1 + count == LINES_WAITING_MAX + over + 2_000


def test_a_daemon_ends_although_nobody_reads():
    reading, writing = os.pipe()
    pipe = os.fdopen(writing, "w")
    with DaemonLog(LogLevel.INFO, pipe):
        for _ in range(2_000):
            LOG.info("x" * 500)
    # It has ended. Somebody reads at last, so that the thread of this test's log can end too.
    writer = next(t for t in threading.enumerate() if t.name == "lakehouse-log")
    with os.fdopen(reading, "rb") as source:
        reader = threading.Thread(target=source.read)
        reader.start()
        writer.join(WAIT_S)
        pipe.close()
        reader.join(WAIT_S)
    assert not writer.is_alive()


def test_a_closed_stderr_is_no_fault():
    stream = io.StringIO()
    stream.close()
    with DaemonLog(LogLevel.INFO, Terminal()) as log:
        log._handler._stream = stream  # type: ignore[union-attr]
        LOG.info("nobody hears this")


def test_a_line_that_cannot_be_formatted_is_told_as_such():
    stream = io.StringIO()
    with DaemonLog(LogLevel.INFO, stream):
        LOG.info("%d", "no number")
    assert "could not be formatted" in stream.getvalue()
