"""Sessions at a running gateway, over its public API."""

from typing import Final

from lakehouse.core.chat import ModelStatus
from lakehouse.core.context import CallContext
from lakehouse.core.errors import Refusal, SetupError
from lakehouse.core.ports import KindInfo
from lakehouse.core.session import IterateRequest, Judged, SessionReply
from lakehouse.core.wording import shown
from lakehouse.library.checked_sessions import CheckedSessions
from lakehouse.library.gateway_caller import CallerWords, GatewayCaller
from lakehouse.library.in_process import closed
from lakehouse.library.runner import TypeChecks

_WORDS: Final = CallerWords(
    url="the address",
    needs_key='Give one of its keys: lakehouse.connect(url, api_key="…").',
)


class OverHttp:
    """A `SessionRunner` over the public API of a gateway.

    A lost connection loses no answer: the session goes on at the gateway, and its row is waited
    for (`GatewayCaller.iterate`). Nothing is sent twice. Cancelling a call closes its connection;
    that session goes on too, and has a row.

    Code in Python cannot run at the gateway: it runs here, on accepted answers (`CheckedSessions`).
    """

    def __init__(self, url: str, api_key: str | None) -> None:
        self._url = url
        self._api_key = api_key
        self._caller: GatewayCaller | None = None

    async def start(self) -> None:
        self._caller = GatewayCaller(self._url, self._api_key, _WORDS)

    async def run(
        self,
        request: IterateRequest,
        context: CallContext,
        *,
        judged: Judged | None = None,
        checks: TypeChecks | None = None,
    ) -> SessionReply:
        caller = self._running()
        if checks is None:
            return await caller.iterate(request, context, judged=judged)
        if checks.rules:
            raise Refusal(
                "invalid_request",
                "The type has an SQL rule (`Rule`). Rules run where the tables are: use "
                "lakehouse.open(), or a configured kind with this rule.",
            )
        sessions = CheckedSessions(caller, request, checks.check, judged)
        return await sessions.run(context)

    async def kinds(self) -> tuple[KindInfo, ...]:
        return await self._running().kinds()

    async def models(self) -> tuple[ModelStatus, ...]:
        return await self._running().models()

    async def close(self) -> None:
        """Close the connections; calls that still run fail."""
        caller, self._caller = self._caller, None
        if caller is not None:
            await caller.close()

    def _running(self) -> GatewayCaller:
        if self._caller is None:
            raise closed()
        return self._caller


def check_address(url: object, api_key: object) -> None:
    """Check what a caller of a gateway is given; nothing is called.

    Raises:
        SetupError: The URL or the key cannot be used.
    """
    if not isinstance(url, str):
        raise SetupError(
            f"The gateway's URL is {shown(url)}; it must be a text.",
            hint="Such as http://127.0.0.1:4110. A variable of the environment may be missing.",
        )
    if not isinstance(api_key, str | None):
        raise SetupError(
            f"The API key is of the type {type(api_key).__name__}; it must be a text.",
            hint="Decode it: api_key=key.decode().",
        )
    GatewayCaller(url, api_key, _WORDS)
