"""Sessions in this process: a stack without a server and without a port."""

import asyncio
import hashlib
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import msgspec

from lakehouse.core.chat import ModelStatus
from lakehouse.core.context import CallContext
from lakehouse.core.errors import SetupError
from lakehouse.core.kind import OwnChecks
from lakehouse.core.metadata import DOOR_MEMBER
from lakehouse.core.ports import KindInfo
from lakehouse.core.session import IterateRequest, Judged, SessionReply
from lakehouse.library.runner import TypeChecks

if TYPE_CHECKING:
    from lakehouse.config.settings import Config
    from lakehouse.stack import Stack

_DOOR: Final = "python"
_PATIENCE_MS: Final = 5_000  # for sessions that run when the client is closed


class InProcess:
    """A `SessionRunner` over a stack of its own, made when it starts: one writer of the log."""

    def __init__(self, config: "Config", environment: Mapping[str, str] = os.environ) -> None:
        self._config = config
        self._environment = environment
        self._stack: Stack | None = None
        self._preparing = asyncio.Lock()  # else all first calls of a type would prepare its rules

    async def start(self) -> None:
        from lakehouse.stack import Stack  # noqa: PLC0415  a remote client needs none

        # In a thread: it may import DuckDB, and reads files.
        self._stack = await asyncio.to_thread(Stack, self._config, self._environment, "library")
        try:
            await self._stack.start()
        except BaseException:
            await self.close()
            raise

    async def run(
        self,
        request: IterateRequest,
        context: CallContext,
        *,
        judged: Judged | None = None,
        checks: TypeChecks | None = None,
    ) -> SessionReply:
        stack = self._running()
        metadata = {**request.metadata, DOOR_MEMBER: _DOOR}
        return await stack.sessions.iterate(
            msgspec.structs.replace(request, metadata=metadata),
            context,
            judged=judged,
            own=None if checks is None else await self._own(stack, checks),
            ends_with_caller=True,
        )

    async def kinds(self) -> tuple[KindInfo, ...]:
        return await self._running().validator.kinds()

    async def models(self) -> tuple[ModelStatus, ...]:
        return await self._running().chat.models()

    async def close(self) -> None:
        """Let running sessions end for 5 s; those left end as `shutdown`."""
        stack, self._stack = self._stack, None
        if stack is not None:
            await stack.drain(_PATIENCE_MS)
            await stack.close()

    def _running(self) -> "Stack":
        if self._stack is None:
            raise closed()
        return self._stack

    async def _own(self, stack: "Stack", checks: TypeChecks) -> OwnChecks:
        if not checks.rules:
            return OwnChecks(check=checks.check)
        rules = tuple(checks.rules)
        key = hashlib.sha256(checks.schema + msgspec.json.encode(rules)).digest()
        if not stack.has_rules(key):
            async with self._preparing:
                if not stack.has_rules(key):
                    await stack.add_rules(key, rules, checks.schema)
        return OwnChecks(rules=rules, key=key, check=checks.check)


def closed() -> SetupError:
    """Return the error of a client that is used after its end."""
    return SetupError("This client is closed.", hint="Open another one: lakehouse.open().")
