"""`lakehouse parity`: the gate that keeps all runtimes byte-equal."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from lakehouse.cli.options import JsonOption
from lakehouse.cli.table import print_table
from lakehouse.cli.terminal import say, say_json
from lakehouse.core.clock import SystemClock
from lakehouse.core.errors import SetupError
from lakehouse.parity.fixtures import (
    SUITES,
    Suite,
    load_fixtures,
    load_known_failures,
    shipped_fixtures,
)
from lakehouse.parity.gate import Report, compare
from lakehouse.parity.peers import HelperPeer, HttpPeer, Peer, peer_of
from lakehouse.parity.report import failures, pair_lines, summary, to_html, to_json

parity_app = typer.Typer(add_completion=False, rich_markup_mode=None)

_SHOWN_MAX = 20


@parity_app.command(name="parity")
def command(
    *,
    peer: Annotated[
        list[str] | None,
        typer.Option(help="NAME=COMMAND, NAME:SUITE=COMMAND or a URL; repeatable."),
    ] = None,
    url: Annotated[
        str | None, typer.Option(help="URL of a running stack; its validator is tested over HTTP.")
    ] = None,
    api_key_env: Annotated[
        str | None, typer.Option(help="Environment variable with the API key of the stacks.")
    ] = None,
    suite: Annotated[
        str | None, typer.Option(help="Run only this suite: session_log or validator.")
    ] = None,
    fixtures: Annotated[
        Path | None,
        typer.Option(help="Directory of the fixtures; default: those shipped with Lakehouse."),
    ] = None,
    known: Annotated[
        Path | None, typer.Option(help="JSON file that lists known failures, each with a reason.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option(help="Also write the report to this HTML file.")
    ] = None,
    save: Annotated[
        Path | None, typer.Option(help="Also write dated JSON and HTML files to this directory.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Compare runtimes against fixtures with expected answers. Python is always one of them.

    Exit code 0: all equal. 1: a difference, by place and byte. 3: a helper cannot be started, or
    a stack cannot be reached.

    Example: lakehouse parity --peer go:session_log=sdk/go/bin/session-log-helper
    """
    peers = _peers(peer or [], url, _api_key(api_key_env))
    found = load_fixtures(fixtures or shipped_fixtures(), suites=_suites(suite))
    report = compare(peers, found, load_known_failures(known))
    made_at = SystemClock().timestamp()
    if html is not None:
        html.write_text(to_html(report, made_at=made_at), "utf-8")
    if save is not None:
        _save(report, save, made_at)
    if json:
        say_json(to_json(report, made_at=made_at))
    else:
        _print(report)
    if not report.passed:
        raise typer.Exit(1)


def _peers(texts: list[str], url: str | None, api_key: str | None) -> list[Peer]:
    own = [sys.executable, "-m", "lakehouse.cli.parity_helper"]
    peers: list[Peer] = [HelperPeer("python", own, suites=SUITES)]
    peers += [peer_of(text, api_key=api_key) for text in texts]
    if url is not None:
        peers.append(HttpPeer("stack", url, api_key=api_key))
    names = [peer.name for peer in peers]
    twice = sorted(
        {
            f"{peer.name} for {suite}"
            for peer in peers
            for suite in peer.suites
            if sum(other.name == peer.name and suite in other.suites for other in peers) > 1
        }
    )
    if twice:
        raise SetupError(f"--peer is given twice: {', '.join(twice)}.", hint=", ".join(names))
    return peers


def _api_key(variable: str | None) -> str | None:
    if variable is None:
        return None
    key = os.environ.get(variable)
    if not key:
        raise SetupError(f"${variable} is named by --api-key-env, but is not set.")
    return key


def _suites(name: str | None) -> tuple[Suite, ...]:
    if name is None:
        return SUITES
    found = tuple(suite for suite in SUITES if suite == name)
    if not found:
        raise SetupError(f"--suite {name!r}: allowed are {', '.join(SUITES)}.")
    return found


def _save(report: Report, directory: Path, made_at: str) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    stem = directory / f"parity-{made_at[:19].replace(':', '')}Z"
    stem.with_suffix(".json").write_bytes(to_json(report, made_at=made_at))
    stem.with_suffix(".html").write_text(to_html(report, made_at=made_at), "utf-8")
    say(f"saved {stem}.json and .html", err=True)


def _print(report: Report) -> None:
    print_table(("runtime", "suite", "passed", "else"), summary(report))
    if report.pairs:
        say("")
        print_table(("pair", "suite", "equal"), pair_lines(report))
    failed = failures(report)
    for check in failed[:_SHOWN_MAX]:
        say(f"\n{check.peer}: {check.fixture}: {check.reason}")
        if check.difference is not None:
            say(f"  expected {check.difference.expected}")
            say(f"  got      {check.difference.got}")
    if len(failed) > _SHOWN_MAX:
        say(f"and {len(failed) - _SHOWN_MAX} more: --json")
    for complaint in report.complaints:
        say(complaint)
    say("\nparity holds" if report.passed else "\nparity is broken")
