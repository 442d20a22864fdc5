"""`lakehouse iterate`: one session against a running gateway."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from lakehouse.cli.console import console
from lakehouse.cli.gateway import gateway_caller
from lakehouse.cli.options import ApiKeyOption, ConfigOption, read_config
from lakehouse.cli.show import print_attempt, print_fact
from lakehouse.cli.terminal import say_json
from lakehouse.core.errors import SetupError
from lakehouse.core.json_text import JsonError, compact, null, parse
from lakehouse.core.session import IterateRequest, SessionReply

iterate_app = typer.Typer(add_completion=False, rich_markup_mode=None)


@iterate_app.command(name="iterate")
def command(
    context: typer.Context,
    *,
    kind: Annotated[str | None, typer.Option(help="The kind of artifact.")] = None,
    schema: Annotated[
        Path | None, typer.Option(help="A JSON Schema file, instead of a kind.")
    ] = None,
    prompt: Annotated[str, typer.Option(help="The prompt; `-` reads standard input.")] = "-",
    model: Annotated[str | None, typer.Option(help="Model to use instead of the kind's.")] = None,
    max_iterations: Annotated[
        int | None, typer.Option(help="Maximum number of attempts, 1 to 10.")
    ] = None,
    url: Annotated[
        str | None, typer.Option(help="URL of the gateway; default: gateway.listen.")
    ] = None,
    api_key_env: ApiKeyOption = None,
    json: Annotated[bool, typer.Option("--json", help="Print the reply unchanged.")] = False,
    config: ConfigOption = None,
) -> None:
    """Run one session and print its result. Exit code 0: accepted; 1: not; 3: an outage.

    Example: lakehouse iterate --kind airport_event --prompt "BOS Boston: flight B6117 cancelled."
    """
    settings = read_config(context, config)
    request = IterateRequest(
        kind=kind,
        schema=null() if schema is None else _schema(schema),
        prompt=sys.stdin.read() if prompt == "-" else prompt,
        model=model,
        max_iterations=max_iterations,
    )
    at = url or f"http://{settings.gateway.listen}"
    reply, body = asyncio.run(_ask(at, api_key_env, request))
    if json:
        say_json(body)
    else:
        _print(reply)
    raise typer.Exit({"accepted": 0, "max_iter_exhausted": 1, "infra_error": 3}[reply.verdict])


async def _ask(
    url: str, api_key_env: str | None, request: IterateRequest
) -> tuple[SessionReply, bytes]:
    caller = gateway_caller(url, api_key_env, os.environ)
    try:
        return await caller.post(request)
    finally:
        await caller.close()


def _schema(path: Path) -> msgspec.Raw:
    try:
        text = path.read_text("utf-8")
        parse(text)
    except (OSError, UnicodeDecodeError, JsonError) as error:
        raise SetupError(f"{path}: cannot be used as a schema: {error}.") from error
    return msgspec.Raw(compact(text))


def _print(reply: SessionReply) -> None:
    out = console()
    for attempt in reply.attempts:
        print_attempt(attempt, out)
    verdict: str = reply.verdict
    if reply.error is not None:
        verdict += f": {reply.error.code}: {reply.error.message} {reply.error.hint}"
    print_fact(out, "verdict", verdict)
    print_fact(out, "session", reply.session_id)
    say_json(bytes(reply.artifact))
