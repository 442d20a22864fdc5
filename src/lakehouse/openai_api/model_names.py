"""What `model` may name: a kind, a kind on another model, or a model by its alias."""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from lakehouse.core.chat import ModelStatus
from lakehouse.core.errors import InfraError, Refusal
from lakehouse.core.ports import ChatModel, KindInfo, Validator
from lakehouse.core.suggestion import did_you_mean
from lakehouse.core.wording import shown
from lakehouse.openai_api.request import AskedModel

_REFRESH_S: Final = 1.0  # between two looks at the kinds, or at the models


class ModelEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One name in OpenAI's form. `created` is when this daemon started, in seconds since 1970."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: Literal["lakehouse"] = "lakehouse"


class ModelList(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `GET /v1/models`: OpenAI's list of names, and our models with their states."""

    object: Literal["list"] = "list"
    data: tuple[ModelEntry, ...]
    models: tuple[ModelStatus, ...]


class ModelNames:
    """The names that a daemon knows; the kinds and models may be those of another daemon.

    `aliases` are known from the start.
    """

    def __init__(self, validator: Validator, chat: ChatModel, aliases: Sequence[str]) -> None:
        self._validator = validator
        self._chat = chat
        self._kinds: dict[str, KindInfo] = {}
        self._aliases = set(aliases)
        self._kinds_s = self._models_s = -_REFRESH_S
        self._created = int(time.time())

    async def kind(self, asked: AskedModel, *, current: bool = False) -> KindInfo | None:
        """Return the kind that is named, or None where a model is.

        `current`: as it was less than a second ago, for who uses what it says: a validator may have
        another configuration since. One that cannot be reached now runs no session with an older
        one. Models are asked only for a name that is no kind's.

        A name that nobody can be asked about is taken for a kind's: then the session tells why, and
        leaves its row.

        Raises:
            Refusal: `unknown_model`: it is neither.
            InfraError: The daemon that knows the models cannot be reached.
        """
        known = self._found(asked)
        if known is not None and not current:
            return known
        if known is None and asked.text not in self._aliases:
            try:
                await self._look_for_kinds()
            except InfraError:
                return _unheard_of(asked.name)
        elif known is not None:
            with contextlib.suppress(InfraError):  # the session tells, or its key has an answer
                await self._look_for_kinds()
        if self._unheard(asked):
            await self._look_for_models()
        if self._unheard(asked):
            raise self._unknown(asked)
        return self._found(asked)

    def _unheard(self, asked: AskedModel) -> bool:
        return self._found(asked) is None and asked.text not in self._aliases

    def _found(self, asked: AskedModel) -> KindInfo | None:
        return None if asked.alias == "" else self._kinds.get(asked.name)  # `KIND@` names no model

    async def listed(self) -> ModelList:
        """List every name: kinds, models, and each kind on each model."""
        kinds, models = await asyncio.gather(self._validator.kinds(), self._chat.models())
        self._learn(kinds=kinds, models=models)
        aliases = [model.name for model in models]
        names = [kind.name for kind in kinds]
        both = [f"{name}@{alias}" for name in names for alias in aliases]
        return ModelList(data=tuple(map(self._entry, (*names, *aliases, *both))), models=models)

    async def entry(self, name: str) -> ModelEntry:
        """Describe one name; raises as `kind` does."""
        asked = AskedModel.of(name)
        kind = await self.kind(asked)
        if kind is not None and asked.alias is not None and asked.alias not in self._aliases:
            await self._look_for_models()
            if asked.alias not in self._aliases:
                raise self._unknown(asked)
        return self._entry(name)

    def _entry(self, name: str) -> ModelEntry:
        return ModelEntry(id=name, created=self._created)

    async def _look_for_kinds(self) -> None:
        if time.monotonic() - self._kinds_s >= _REFRESH_S:
            self._learn(kinds=await self._validator.kinds())

    async def _look_for_models(self) -> None:
        if time.monotonic() - self._models_s >= _REFRESH_S:
            self._learn(models=await self._chat.models())

    def _learn(
        self,
        *,
        kinds: Sequence[KindInfo] | None = None,
        models: Sequence[ModelStatus] | None = None,
    ) -> None:
        if kinds is not None:
            self._kinds, self._kinds_s = {kind.name: kind for kind in kinds}, time.monotonic()
        if models is not None:
            self._aliases, self._models_s = {model.name for model in models}, time.monotonic()

    def _unknown(self, asked: AskedModel) -> Refusal:
        known = [*self._kinds, *sorted(self._aliases)]
        listed = ", ".join(map(repr, known)) or "none"
        return Refusal(
            "unknown_model",
            f"model {shown(asked.text)} is neither a kind nor a model"
            f"{did_you_mean(asked.text, known)}; there is {listed}.",
            hint="GET /v1/models lists the names. A kind on another model is KIND@MODEL.",
        )


def _unheard_of(name: str) -> KindInfo:
    return KindInfo(name, "", 1, None, msgspec.Raw(b"true"), (), (), "")
