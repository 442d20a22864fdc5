"""Where the sessions of a client run: in this process, or behind a gateway."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from lakehouse.core.chat import ModelStatus
from lakehouse.core.context import CallContext
from lakehouse.core.kind import ArtifactCheck, SqlRule
from lakehouse.core.ports import KindInfo
from lakehouse.core.session import IterateRequest, Judged, SessionReply


class TypeChecks(msgspec.Struct, frozen=True):
    """What a call checks beside its request: the type's SQL rules, and Python code.

    `schema` is the type's, to which the rules belong.
    """

    schema: bytes
    rules: Sequence[SqlRule]
    check: ArtifactCheck


class SessionRunner(Protocol):
    """Runs sessions for one client, in one event loop."""

    async def start(self) -> None:
        """Begin; called once, before everything else.

        Raises:
            SetupError: The configuration or the address cannot be used.
        """
        ...

    async def run(
        self,
        request: IterateRequest,
        context: CallContext,
        *,
        judged: Judged | None = None,
        checks: TypeChecks | None = None,
    ) -> SessionReply:
        """Run one session; its row is durable before this returns.

        `judged` gets each attempt in order. An accepted answer has passed `checks`.

        Raises:
            Refusal: The request was rejected; no model was called.
            InfraError: It is not known how the session ended: its server is out of reach.
            SetupError: A rule of the type cannot be used.
        """
        ...

    async def kinds(self) -> tuple[KindInfo, ...]: ...

    async def models(self) -> tuple[ModelStatus, ...]: ...

    async def close(self) -> None:
        """End what runs, and release everything."""
        ...
