"""The model that gives the answers of a test, in the place of every configured one."""

import asyncio
import inspect
from collections.abc import Mapping
from typing import Final

import msgspec

from lakehouse.core.chat import ChatReply, ChatRequest, ModelState, OfferMode, SchemaLimits, Usage
from lakehouse.core.context import current_session
from lakehouse.core.conversation import offered_turns
from lakehouse.core.json_text import NULL
from lakehouse.providers.provider import ModelSettings, ProviderFault, Surroundings
from lakehouse.testing.given_answers import GivenAnswers, ModelCall, Outage, usable

_NAME: Final = "given"
_COMMON: Final = ModelSettings.__struct_fields__


class GivenModelSettings(ModelSettings, frozen=True, kw_only=True, tag=_NAME):
    """The settings of a configured model whose answers are given. `limits` are its decoder's."""

    given: GivenAnswers
    limits: SchemaLimits | None = None

    @classmethod
    def instead_of(cls, settings: ModelSettings, given: GivenAnswers) -> "GivenModelSettings":
        """Return settings with everything that shapes a question; calls wait for nothing."""
        common = {name: getattr(settings, name) for name in _COMMON}
        common |= {"preload": False, "slots": None}
        return cls(**common, given=given, limits=settings.decoding())

    def decoding(self) -> SchemaLimits | None:
        return self.limits

    def open(self, name: str, around: Surroundings) -> "GivenModel":
        """Make the provider."""
        del around
        return GivenModel(name, self)


class GivenModel:
    """Answers with what is given. It fails for good: a test never waits for retries."""

    def __init__(self, name: str, settings: GivenModelSettings) -> None:
        self._name = name
        self._settings = settings

    async def complete(
        self, request: ChatRequest, *, trace: Mapping[str, str], deadline_ms: int
    ) -> ChatReply:
        """Return the next answer.

        Raises:
            ProviderFault: It is an `Outage`, it took longer than the deadline, or there is none;
                the last is also noted, and the client raises it.
        """
        del trace
        offer, schema = request.offer, request.schema
        mode: OfferMode | None = None
        if offer is not None:
            mode = "hint" if offer.schema == NULL else "decode"
            schema = schema if mode == "hint" else offer.schema
        call = ModelCall(
            model=self._name,
            messages=offered_turns(request, mode),
            schema=msgspec.json.decode(schema),
            **msgspec.structs.asdict(request.sampling),
        )
        answer = await self._answer(call, deadline_ms)
        if isinstance(answer, Outage):
            raise ProviderFault(
                answer.code,
                f"Model {self._name!r} failed with {answer.code}, as the test says.",
                again=False,
                retry_after_s=answer.retry_after_s,
            )
        return ChatReply(
            text=str(answer),
            thinking=None,
            finish_reason="stop",
            usage=Usage(0, 0),
            model=self._settings.model,
            provider=_NAME,
            offered=mode,
        )

    async def load(self) -> None:
        """Do nothing: the answers are there."""

    async def state(self) -> tuple[ModelState, str | None]:
        return "ready", None

    async def close(self) -> None:
        """Do nothing: it holds nothing."""

    async def _answer(self, call: ModelCall, deadline_ms: int) -> object:
        given = self._settings.given
        try:
            async with asyncio.timeout(deadline_ms / 1000) as limit:
                answer = given.take(call, current_session.get())
                if not callable(answer):
                    return answer
                said = answer(call)
                if inspect.isawaitable(said):
                    said = await said
                return usable(said, "The function's answer", functions=False)
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # pytest.fail() raises no Exception
            if limit.expired():
                raise ProviderFault(
                    "timeout",
                    f"Model {self._name!r} did not answer within {deadline_ms} ms.",
                    again=False,
                ) from error
            given.fail(error)
            raise ProviderFault(
                "upstream_malformed",
                f"Model {self._name!r} has no answer: the test fails with {type(error).__name__}.",
                again=False,
                hint="Correct the answers of the test.",
            ) from error
