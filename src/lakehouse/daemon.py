"""A daemon: one application over a stack, its address, and the drain of its requests."""

import asyncio
import contextlib
import gc
import itertools
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Final

import msgspec

from lakehouse.admission.admission import UnderWay
from lakehouse.chatd.lane import Slots
from lakehouse.config.api_keys import key_ring
from lakehouse.config.reloading import check_reloadable
from lakehouse.config.settings import Config
from lakehouse.core.clock import SystemClock
from lakehouse.core.config_state import ConfigState
from lakehouse.core.errors import LakehouseError, SetupError
from lakehouse.core.ports import RecordSink
from lakehouse.daemon_pages import build_pages
from lakehouse.daemon_routes import PUBLIC, WholeDaemon, admission_of, daemon_routes
from lakehouse.gateway.auth import KeyRing
from lakehouse.openai_api.routes import ELSEWHERE
from lakehouse.stack import Role, Stack
from lakehouse.transport.exchange import Exchange
from lakehouse.transport.health import Readiness, own_readiness, whole_readiness
from lakehouse.transport.route import Routes
from lakehouse.transport.server import Application, Calls
from lakehouse.ui.address import BASE
from lakehouse.ui.on_demand import PagesOnDemand
from lakehouse.workers.siblings import Answer, Siblings

_LOG = logging.getLogger(__name__)
_ANSWER_MS: Final = 500  # for sending finished answers


class _Generation:
    """What is made of one reading of the configuration: a stack, and an application over it."""

    def __init__(
        self, stack: Stack, routes: Routes, app: Application, keys: KeyRing | None
    ) -> None:
        self.stack = stack
        self.routes = routes
        self.app = app
        self.keys = keys


class Daemon:
    """One running role: its stack and its application.

    `reload` reads the configuration anew. Sessions and requests under way end on what they began
    with; the log's writer, the counters, idempotency keys and connections go on.
    """

    def __init__(
        self,
        config: Config,
        environment: Mapping[str, str],
        role: Role,
        *,
        sink: RecordSink | None = None,
        read: Callable[[], Config] | None = None,
        siblings: Siblings | None = None,
    ) -> None:
        """Build the stack of a role and its application.

        Args:
            config: What to serve first.
            environment: Of this process.
            role: Which ports are local.
            sink: As for `Stack`.
            read: Reads the configuration anew; without it, it cannot be reloaded.
            siblings: The other processes that serve the same address.

        Raises:
            SetupError: As for `Stack`; or the API keys cannot be used.
        """
        self._environment = environment
        self._read = read
        self._siblings = siblings
        self._next: _Generation | None = None  # prepared for all workers to begin with
        self._calls = Calls()
        self._reloading = asyncio.Lock()
        self._retirement: asyncio.Task[None] | None = None  # of the newest stack before this one
        self._retiring: list[Stack] = []
        self._complete = True  # every session of the stacks before has its row
        keys = key_ring(config, environment)
        slots_of = Slots.of if siblings is None else siblings.slots
        stack = Stack(config, environment, role, sink=sink, slots_of=slots_of)
        self._admission = admission_of(stack, siblings)
        self._pages = self._browser_pages(stack, needs_key=keys is not None)
        self._now = self._generation(stack, keys)
        stack.waiting_requests = self._calls.__len__
        self.config_state = _state_of(config)
        if siblings is not None:
            siblings.answers |= self._answers()

    @property
    def stack(self) -> Stack:
        """The stack that new requests are served by."""
        return self._now.stack

    @property
    def routes(self) -> Routes:
        """The routes that new requests take."""
        return self._now.routes

    async def answer(self, exchange: Exchange) -> None:
        """Answer one request, whatever happens."""
        await self._now.app(exchange)

    async def start(self) -> None:
        """Start the stack, before the first request; raises as `Stack.start` does."""
        await self.stack.start()

    async def reload(self) -> ConfigState:
        """Read the configuration anew, and serve it from now on; concurrent calls take turns.

        Raises:
            SetupError: It cannot be served. What was served before still is: see `config_state`.
        """
        async with self._reloading:
            try:
                fresh = await self._prepared()
            except LakehouseError as error:
                self._keep(error.public)
                _LOG.error("the configuration was not reloaded: %s", error.internal)
                raise
            except Exception:
                self._keep("An internal error. The daemon's log has its cause.")
                _LOG.exception("the configuration was not reloaded")
                raise
            self._commit(fresh)
            _LOG.info("the configuration was reloaded: %s", self.config_state.digest)
            return self.config_state

    async def drain(self, patience_ms: int) -> None:
        """Wait for the requests, then for sessions that outlive theirs; end what is left.

        A request may be on its way to its session: one that waits for its body has none yet.
        """
        async with contextlib.AsyncExitStack() as steps:  # the later steps also if the first fails
            steps.push_async_callback(self._calls.drain, _ANSWER_MS)
            if self._admission is not None:
                steps.callback(self._admission.stop)
            if self._pages is not None:
                self._pages.stop()  # their views would stay open
            began = asyncio.get_running_loop().time()
            await self._calls.wait(patience_ms)
            passed_ms = int((asyncio.get_running_loop().time() - began) * 1000)
            left_ms = max(0, patience_ms - passed_ms)
            stacks = (*self._retiring, self.stack)
            await asyncio.gather(*(stack.drain(left_ms) for stack in stacks))

    async def close(self) -> bool:
        """Close everything; returns whether all of it succeeded and every session has its row."""
        try:
            if self._retirement is not None:
                await self._retirement
            return await self.stack.close() and self._complete
        finally:
            if self._pages is not None:
                await self._pages.close()

    async def _prepared(self) -> _Generation:
        """Build what is to be served next, and test its rules.

        Raises:
            SetupError: It cannot be served. Nothing of it is left.
        """
        before = self.stack
        if self._read is None:
            raise SetupError("The configuration was given in Python, and cannot be reloaded.")
        config = await asyncio.to_thread(self._read)
        check_reloadable(before.config, config)
        keys = key_ring(config, self._environment)
        stack = await asyncio.to_thread(
            partial(Stack, config, self._environment, before.role, before=before)
        )
        try:
            await stack.start()
            return self._generation(stack, keys)
        except BaseException:
            await stack.close_but(before)
            raise

    def _answers(self) -> dict[str, Answer]:
        """Return what this process tells its siblings, by the word that they ask with."""

        async def metrics(_: bytes) -> bytes:
            return self.stack.metrics.told()

        async def ready(_: bytes) -> bytes:
            if self._admission is None:
                return b""  # no worker: it has the models of all, which the workers tell of
            return msgspec.msgpack.encode(await self._own_readiness())

        async def under_way(_: bytes) -> bytes:
            return msgspec.msgpack.encode(self._own_under_way())

        async def prepare(_: bytes) -> bytes:
            await self._forget_next()
            self._next = await self._prepared()
            return b""

        async def keep(reason: bytes) -> bytes:
            await self._forget_next()
            self._keep(reason.decode())
            return b""

        async def commit(_: bytes) -> bytes:
            assert self._next is not None, "all have prepared"
            fresh, self._next = self._next, None
            self._commit(fresh)
            return msgspec.msgpack.encode(self.config_state)

        handlers = (metrics, ready, under_way, prepare, keep, commit)
        return {handler.__name__: handler for handler in handlers}

    async def _forget_next(self) -> None:
        if self._next is not None:
            fresh, self._next = self._next, None
            await fresh.stack.close_but(self.stack)

    async def _own_readiness(self) -> Readiness:
        sink = None if self._admission is None else self.stack.sink
        return await own_readiness(self.stack.chat, sink, self.config_state)

    async def _readiness(self) -> Readiness:
        """Tell how ready all workers are, or this process, if it is alone."""
        if self._siblings is None:
            return await self._own_readiness()
        told = await self._siblings.ask_workers("ready")
        all_told = [msgspec.msgpack.decode(each, type=Readiness) for each in told]
        if not all_told:  # none answers in time, this one aside
            all_told = [await self._own_readiness()]
        return whole_readiness(all_told, self._siblings.wanted)

    def _own_under_way(self) -> list[UnderWay]:
        return [] if self._admission is None else self._admission.under_way()

    async def _under_way(self) -> list[UnderWay]:
        """List the sessions that run in all workers, the oldest first."""
        if self._siblings is None:
            return self._own_under_way()
        told = await self._siblings.ask_all("under_way")
        found = [msgspec.msgpack.decode(each, type=list[UnderWay]) for each in told]
        return sorted(itertools.chain(*found), key=lambda one: -one.elapsed_ms)

    def _keep(self, reason: str) -> None:
        """Go on with what is served, and tell why."""
        self.config_state = msgspec.structs.replace(
            self.config_state, config="stale", reason=reason
        )

    def _commit(self, fresh: _Generation) -> None:
        before, self._now = self._now.stack, fresh
        stack, config = fresh.stack, fresh.stack.config
        stack.succeed()
        stack.waiting_requests = self._calls.__len__
        if self._admission is not None:
            self._admission.serve_by(
                stack.validator,
                at_once_max=config.gateway.sessions_at_once_max,
                patience_ms=config.session.deadline_ms,
            )
        self.config_state = _state_of(config)
        self._retiring.append(before)
        self._retirement = asyncio.create_task(
            self._retire(before, stack, self._calls.running(), self._retirement)
        )

    async def _retire(
        self,
        before: Stack,
        after: Stack,
        calls: Collection[asyncio.Task[None]],
        earlier: asyncio.Task[None] | None,
    ) -> None:
        """Close a stack when what it runs has ended, and those before it are closed.

        A stack shares models with the next one, so that those that still use them come first.
        """
        if earlier is not None:
            await earlier
        if calls:
            await asyncio.wait(calls)
        await before.idle()
        self._complete &= await before.close_but(after)
        self._retiring.remove(before)
        if gc.get_freeze_count():
            gc.unfreeze()
            gc.collect()  # or a reload would leave what only cycles hold
            gc.freeze()

    def _generation(self, stack: Stack, keys: KeyRing | None) -> _Generation:
        gateway = stack.config.gateway
        public = stack.role in PUBLIC
        siblings = self._siblings
        whole = WholeDaemon(
            self._readiness,
            None if siblings is None else partial(siblings.ask_all, "metrics"),
            self.reload if siblings is None else siblings.reload,
        )
        routes = daemon_routes(stack, keys, self._admission, whole)
        app = Application(
            routes,
            calls=self._calls,
            inner=not public,
            authorize=None if keys is None else keys.authorize,
            observer=stack.observer,
            allowed_origins=frozenset(gateway.allowed_origins if public else ()),
            elsewhere=ELSEWHERE if public else {},
            mounted={} if self._pages is None else {BASE: self._pages.app},
        )
        return _Generation(stack, routes, app, keys)

    def _browser_pages(self, stack: Stack, *, needs_key: bool) -> PagesOnDemand | None:
        if self._admission is None or stack.role not in PUBLIC or not stack.config.ui.enabled:
            return None

        def authorize(headers: Mapping[str, Sequence[str]]) -> str:
            assert self._now.keys is not None, "a reload neither adds nor removes them"
            return self._now.keys.authorize(headers)

        known = authorize if needs_key else None
        build = partial(build_pages, stack.config, lambda: self.stack, self._under_way, known)
        return PagesOnDemand(build)


def _state_of(config: Config) -> ConfigState:
    return ConfigState(digest=config.digest, loaded_at=SystemClock().timestamp())
