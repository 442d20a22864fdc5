"""Runtimes under test: a helper program that speaks JSON lines, or a running stack over HTTP.

A crash, a timeout and an empty output are separate outcomes. A helper that dies is restarted for
the remaining fixtures.
"""

import asyncio
import base64
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, Literal, Protocol
from urllib.parse import urlsplit

import msgspec

from lakehouse.core.errors import InfraError, SetupError
from lakehouse.parity.fixtures import Fixture, Suite
from lakehouse.process.children import Child
from lakehouse.transport.client import (
    HttpClient,
    HttpLimits,
    HttpReply,
    TransportFault,
    check_url,
)
from lakehouse.transport.reason import words_of

OutcomeKind = Literal["result", "errored", "skipped", "crashed", "timeout", "empty"]
TIMEOUT_S: Final = 60.0  # for one helper process, from its start to its end
_AGAIN_TIMEOUT_S: Final = 10.0  # the same where it is asked again after a crash
_AGAIN_TOTAL_S: Final = 60.0  # for all asking again
_GREETING_S: Final = 10.0  # for a refusal, which a stack gives at once
_MESSAGE_CHARS_MAX: Final = 300
_ANSWER_BYTES_MAX: Final = 1 << 30


class PeerOutcome(msgspec.Struct, frozen=True):
    """What a peer did with one fixture: its output, or why there is none."""

    kind: OutcomeKind
    output: bytes = b""
    message: str = ""


class Peer(Protocol):
    """One runtime. `suites` are those that it implements."""

    name: str
    suites: tuple[Suite, ...]

    def check(self) -> None:
        """See that it can be asked, within ten seconds. Raises `InfraError` if it cannot."""
        ...

    def answers(self, fixtures: Sequence[Fixture]) -> list[PeerOutcome]:
        """Return one outcome for each fixture, in their order. Bounded in time."""
        ...


class _Answer(msgspec.Struct):
    seq: int
    outcome: Literal["result", "errored", "skipped"]
    output: str = ""
    reason: str = ""
    link: str = ""
    message: str = ""
    context: str = ""


class HelperPeer:
    """A helper program: requests on its stdin, answers on its stdout, exit code 0 at the end."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        suites: tuple[Suite, ...],
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self.name = name
        self.suites = suites
        self._command = list(command)
        self._timeout_s = timeout_s
        self._again_timeout_s = min(timeout_s, _AGAIN_TIMEOUT_S)

    def check(self) -> None:
        """See that its program is there.

        Raises:
            InfraError: There is no such program that this user can run.
        """
        if shutil.which(self._command[0]) is None:
            raise InfraError(
                "connect",
                f"The helper of {self.name} cannot be started: {self._command[0]} is not a "
                f"program that this user can run.",
                hint="`make parity` builds the helpers; --peer NAME=COMMAND names another.",
            )

    def answers(self, fixtures: Sequence[Fixture]) -> list[PeerOutcome]:
        """Send all at once; after a crash, send the remaining ones again.

        The first remaining one is the suspect and is sent alone, so that one bad input cannot hide
        the results of the others. Fixtures without an answer when the time is up keep their last
        outcome.
        """
        outcomes = self._ask(fixtures, self._timeout_s)
        until = time.monotonic() + _AGAIN_TOTAL_S
        left = _unanswered(range(len(fixtures)), outcomes) if len(fixtures) > 1 else []
        while left and time.monotonic() < until:
            suspect, *others = left
            (outcomes[suspect],) = self._ask([fixtures[suspect]], self._again_timeout_s)
            found = self._ask([fixtures[index] for index in others], self._again_timeout_s)
            for index, outcome in zip(others, found, strict=True):
                outcomes[index] = outcome
            left = _unanswered(others, outcomes)
        return outcomes

    def _ask(self, fixtures: Sequence[Fixture], timeout_s: float) -> list[PeerOutcome]:
        requests = b"".join(
            _request(seq, fixture) + b"\n" for seq, fixture in enumerate(fixtures, 1)
        )
        with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as stdout:
            stdin.write(requests)
            stdin.seek(0)
            child = Child(self._command, stdin=stdin, stdout=stdout)
            try:
                code: int | None = child.process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                code = None
            finally:
                child.end()
            stdout.seek(0)
            return _outcomes(stdout.read(_ANSWER_BYTES_MAX), code, len(fixtures))


class _Refusal(msgspec.Struct):
    code: str


class HttpPeer:
    """A running stack: the `validator` suite over `POST /v1/validate`."""

    suites: tuple[Suite, ...] = ("validator",)

    def __init__(
        self, name: str, url: str, *, api_key: str | None = None, timeout_s: float = TIMEOUT_S
    ) -> None:
        self.name = name
        self._api_key = api_key
        self._timeout_s = timeout_s
        try:
            check_url(url)
        except ValueError as error:
            raise SetupError(f"The URL of {name} cannot be used: {error}.") from error
        self._url = url.rstrip("/") + "/v1/validate"

    def answers(self, fixtures: Sequence[Fixture]) -> list[PeerOutcome]:
        """Post each fixture; anything but 200 and a refusal of the body is a crash."""
        return [self._post(fixture.data) for fixture in fixtures]

    def check(self) -> None:
        """See that a stack answers: it refuses a body without an `output`, by its own problem.

        Raises:
            InfraError: Nothing answers there, or something else than a stack.
        """
        try:
            reply = self._exchange(b"{}", _GREETING_S)
        except TransportFault as fault:
            known = fault.reason != "other"
            why = words_of(fault.reason, fault.detail) if known else fault.detail
            raise InfraError(
                "connect",
                f"The stack {self.name} cannot be reached: {why}.",
                hint="`lakehouse up` opens 127.0.0.1:4110; --url names another address.",
                internal=str(fault),
            ) from fault
        try:
            refusal = msgspec.json.decode(reply.body, type=_Refusal)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise self._no_stack(reply.status, str(error)) from error
        if refusal.code == "unauthorized":
            raise InfraError(
                "connect",
                f"The stack {self.name} requires an API key.",
                hint="Set --api-key-env to the name of the environment variable that contains it.",
            )
        if reply.status != 400:
            raise self._no_stack(reply.status, refusal.code)

    def _no_stack(self, status: int, what: str) -> InfraError:
        return InfraError(
            "connect",
            f"The server of {self.name} is not a Lakehouse stack: status {status}, {what}.",
            hint="Use the root URL of a gateway or a validatord, such as http://127.0.0.1:4110.",
        )

    def _exchange(self, body: bytes, timeout_s: float) -> HttpReply:
        """Post a body and read the whole answer within the time; raises `TransportFault`."""
        headers = {"content-type": "application/json"}
        if self._api_key is not None:
            headers["authorization"] = f"Bearer {self._api_key}"
        total_ms = int(timeout_s * 1000)
        limits = HttpLimits(total_ms, total_ms, total_ms, total_ms, _ANSWER_BYTES_MAX)

        async def post() -> HttpReply:
            client = HttpClient()
            try:
                return await client.post(self._url, headers=headers, body=body, limits=limits)
            finally:
                await client.close()

        return asyncio.run(post())

    def _post(self, body: bytes) -> PeerOutcome:
        try:
            reply = self._exchange(body, self._timeout_s)
        except TransportFault as fault:
            if fault.kind.startswith("timeout"):
                return PeerOutcome("timeout", message=f"no answer within {self._timeout_s:.0f} s")
            return PeerOutcome("crashed", message=str(fault))
        status, answer = reply.status, reply.body
        if status == 200:
            return PeerOutcome("result", answer) if answer else PeerOutcome("empty")
        text = answer.decode("utf-8", "replace")[:_MESSAGE_CHARS_MAX]
        refused = status in {400, 413}
        return PeerOutcome("errored" if refused else "crashed", message=f"{status}: {text}")


def peer_of(text: str, *, api_key: str | None = None) -> Peer:
    """Read `--peer`: `NAME=COMMAND LINE`, `NAME=URL`, or a URL alone.

    `NAME:SUITE=COMMAND` restricts a helper to one suite. `api_key` is for URLs.

    Raises:
        SetupError: It is none of them.
    """
    if text.startswith(("http://", "https://")):
        return HttpPeer(urlsplit(text).netloc, text, api_key=api_key)
    name, equals, target = text.partition("=")
    if not equals or not name or not target.strip():
        raise SetupError(
            f"--peer {text!r} is neither NAME=COMMAND nor a URL.",
            hint="Such as --peer go=sdk/go/bin/session-log-helper or --peer http://127.0.0.1:4110",
        )
    if target.startswith(("http://", "https://")):
        return HttpPeer(name, target, api_key=api_key)
    name, _, suite = name.partition(":")
    if suite not in {"", "session_log", "validator"}:
        raise SetupError(f"--peer {text!r} names the suite {suite!r}: session_log or validator.")
    suites: tuple[Suite, ...] = (suite,) if suite else ("session_log", "validator")  # type: ignore[assignment]  # checked above
    return HelperPeer(name, _command(target), suites=suites)


def _command(target: str) -> list[str]:
    words = shlex.split(target)
    if "/" in words[0]:
        words[0] = str(Path(words[0]).absolute())  # not resolved: a venv's python is a link
    return words


def _unanswered(indexes: Iterable[int], outcomes: Sequence[PeerOutcome]) -> list[int]:
    return [index for index in indexes if outcomes[index].kind in {"crashed", "timeout"}]


def _request(seq: int, fixture: Fixture) -> bytes:
    request: dict[str, object] = {"seq": seq, "suite": fixture.suite}
    try:
        request["input"] = fixture.data.decode("utf-8")
    except UnicodeDecodeError:
        request["input_base64"] = base64.b64encode(fixture.data).decode("ascii")
    return msgspec.json.encode(request)


def _outcomes(stdout: bytes, code: int | None, count: int) -> list[PeerOutcome]:
    answers: dict[int, PeerOutcome] = {}
    for line in stdout.split(b"\n"):
        if not line.strip():
            continue
        try:
            answer = msgspec.json.decode(line, type=_Answer)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            continue  # counts for nothing: the fixture it was meant for stays without an answer
        if answer.seq in answers:
            answers[answer.seq] = PeerOutcome("crashed", message="answered twice")
        else:
            answers[answer.seq] = _outcome(answer)
    if code is None:
        missing = PeerOutcome("timeout", message="the helper did not end in time")
    else:
        missing = PeerOutcome("crashed", message=f"no answer; the helper ended with code {code}")
    return [answers.get(seq, missing) for seq in range(1, count + 1)]


def _outcome(answer: _Answer) -> PeerOutcome:
    if answer.outcome == "errored":
        return PeerOutcome("errored", message=f"{answer.message} {answer.context}".strip())
    if answer.outcome == "skipped":
        return PeerOutcome("skipped", message=f"{answer.reason} {answer.link}".strip())
    output = answer.output.encode("utf-8", "surrogatepass")
    return PeerOutcome("result", output) if output else PeerOutcome("empty")
