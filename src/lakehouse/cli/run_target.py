"""Where `lakehouse run` runs sessions: a gateway that is up, or the whole stack in this process.

A gateway is used if `--url` names one, or if one runs with this configuration: a process writes to
the configured log, and the server at `gateway.listen` has the same kind and model. Then no second
model is loaded.
"""

import contextlib
import os
from collections.abc import AsyncIterator
from typing import Final, Protocol

import msgspec

from lakehouse.cli.gateway import gateway_caller
from lakehouse.cli.terminal import say
from lakehouse.config.catalog import catalog
from lakehouse.config.settings import Config
from lakehouse.core.context import session_context
from lakehouse.core.errors import InfraError, LakehouseError
from lakehouse.core.redaction import redact
from lakehouse.core.session import IterateRequest, SessionReply
from lakehouse.engine.task import find_kind, find_model, plan
from lakehouse.files.locks import lock_held
from lakehouse.library.gateway_caller import GatewayCaller
from lakehouse.stack import Stack

_DRAIN_MS: Final = 10_000


class Facts(msgspec.Struct, frozen=True):
    """Digests of kind and tables (None if unknown), and the provider's name of the model."""

    kind_digest: str
    model: str
    tables: dict[str, str] | None


class SessionTarget(Protocol):
    """Runs sessions. `place` says where, for people."""

    place: str
    facts: Facts

    async def iterate(self, request: IterateRequest) -> SessionReply:
        """Run one session; raises `Refusal` or `InfraError` if it does not start."""
        ...

    async def tables(self, reply: SessionReply) -> dict[str, str] | None:
        """Return the tables of a session, if `facts` does not have them."""
        ...


@contextlib.asynccontextmanager
async def open_target(
    config: Config, url: str | None, api_key_env: str | None, request: IterateRequest
) -> AsyncIterator[SessionTarget]:
    """Open a target for sessions, and close it at the end.

    Raises:
        Refusal: The kind or the model of the request is not known there.
        InfraError: `connect`: no gateway answers at `url`.
    """
    found = url or await _running(config, api_key_env, request)
    if found is None:
        async with _own_stack(config, request) as own:
            yield own
        return
    caller = gateway_caller(found, api_key_env, os.environ)
    try:
        yield _Gateway(found, caller, Facts(*await caller.facts(request), None))
    finally:
        await caller.close()


class _Gateway:
    """A gateway that is up."""

    def __init__(self, place: str, caller: GatewayCaller, facts: Facts) -> None:
        self.place = place
        self.facts = facts
        self._caller = caller

    async def iterate(self, request: IterateRequest) -> SessionReply:
        reply, _ = await self._caller.post(request)
        return reply

    async def tables(self, reply: SessionReply) -> dict[str, str] | None:
        with contextlib.suppress(InfraError):
            return await self._caller.tables(reply.row_id)
        return None


class _OwnStack:
    """The whole stack, in this process. `place` names the model's endpoint, if it has one."""

    def __init__(self, stack: Stack, facts: Facts, endpoint: str | None) -> None:
        self.place = "this process" if endpoint is None else f"the endpoint {redact(endpoint)}"
        self.facts = facts
        self._stack = stack

    async def iterate(self, request: IterateRequest) -> SessionReply:
        return await self._stack.validator.iterate(request, session_context())

    async def tables(self, reply: SessionReply) -> dict[str, str] | None:  # noqa: ARG002  the port's
        return self.facts.tables


@contextlib.asynccontextmanager
async def _own_stack(config: Config, request: IterateRequest) -> AsyncIterator[SessionTarget]:
    stack = Stack(config, os.environ, "up")
    try:
        task = plan(msgspec.structs.replace(request, prompt="?"), session_context(), stack.catalog)
        await stack.start()
        tables: dict[str, str] | None = None
        with contextlib.suppress(InfraError):  # then each session says that it has no table
            tables = dict((await stack.tables.snapshot(task.kind)).digests)
        facts = Facts(task.kind.digest, task.model.model, tables)
        yield _OwnStack(stack, facts, config.models[task.model.name].address)
    finally:
        try:
            await stack.drain(_DRAIN_MS)
        finally:
            await stack.close()


async def _running(config: Config, api_key_env: str | None, request: IterateRequest) -> str | None:
    """Find the gateway of this configuration, if it is up and has the same kind and model."""
    writers = config.path(config.log.path) / "writers"
    if not any(lock_held(lock) for lock in writers.glob("*.lock")):
        return None
    url = f"http://{config.gateway.listen}"
    known = catalog(config)
    kind = find_kind(request.kind or "", known.kinds)
    ours = (kind.digest, find_model(request.model or kind.model, known.models).model)
    caller = gateway_caller(url, api_key_env, os.environ)
    try:
        same = await caller.facts(request) == ours
    except LakehouseError as error:
        if not isinstance(error, InfraError):
            say(f"The gateway at {url} is not used: {error.public}", err=True)
        return None
    finally:
        await caller.close()
    if same:
        say(f"Using the running stack at {url}.", err=True)
    return url if same else None
