"""A session against a table of five airports: what its model is sent, what its row says."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from lakehouse.core.chat import ModelName, OfferMode, SchemaLimits
from lakehouse.core.context import call_context
from lakehouse.core.json_text import NULL
from lakehouse.core.kind import GroundingRule
from lakehouse.core.session import IterateRequest
from lakehouse.engine.inline_kind import inline_kind
from lakehouse.engine.iterate import iterate
from lakehouse.engine.run import Run
from lakehouse.engine.task import SessionTask, plan
from lakehouse.grounding.settings import TableSettings
from lakehouse.grounding.tables import TableFiles
from lakehouse.validation.schema import compile_schema
from support.sessions import ListedChat, answer, catalog, clock

AIRPORTS = (
    "iata,city,gates\nPHL,Philadelphia,126\nJFK,New York,130\nLGA,New York,72\n"
    "LAX,Los Angeles,146\nBOS,Boston,102\n"
)
TEXT = {"type": "string"}
EVENT = {"airport": TEXT, "city": TEXT, "quote": TEXT}
CODE = GroundingRule(path="/airport", column="t.iata")
PAIR = GroundingRule(path="/airport", column="t.iata", with_={"/city": "t.city"})
CITY = GroundingRule(path="/city", column="t.city")
ANY_SCHEMA = SchemaLimits()
WRONG = '{"airport":"XXX","city":"Nowhere","quote":"-"}'


class Session:
    """One session: what its model was sent at each attempt, and what the row says."""

    def __init__(
        self,
        directory: Path,
        text: str,
        *rules: GroundingRule,
        members: Mapping[str, Any] = EVENT,
        limits: SchemaLimits | None = ANY_SCHEMA,
        reached: OfferMode | None = "decode",
        answers: int = 1,
        kind: Mapping[str, Any] | None = None,
        kept: dict[object, Any] | None = None,
        wrong: str = WRONG,
        **request: Any,
    ) -> None:
        (directory / "t.csv").write_text(AIRPORTS)
        schema = {"type": "object", "properties": dict(members), "required": list(members)}
        raw = msgspec.Raw(json.dumps(schema).encode())
        own = msgspec.structs.replace(
            inline_kind(raw, system=None, max_iterations=answers, model="small"),
            name="k",
            grounding=rules,
            **(kind or {}),
        )
        known = msgspec.structs.replace(
            catalog(k=own),
            kept_offers={} if kept is None else kept,
            models={"small": ModelName("small", "m", "scripted", decoding=limits)},
        )
        self.task: SessionTask = plan(
            IterateRequest(kind="k", prompt=text, **request), call_context((), ()), known
        )
        reply = msgspec.structs.replace(answer(wrong), offered=reached)
        self.chat = ListedChat(*[reply] * answers)
        self.run = Run(self.task, clock())
        asyncio.run(self._through(directory))

    async def _through(self, directory: Path) -> None:
        files = TableFiles(
            {"t": TableSettings(path=str(directory / "t.csv"), types={"gates": "number"})}
        )
        try:
            tables = await files.snapshot(self.task.kind)
            await iterate(self.run, chat=self.chat, tables=tables)
        finally:
            files.close()

    def writable(self, attempt: int = 0, **members: Any) -> bool:
        """Whether the model can write these members, and any text at the others."""
        offer = self.chat.requests[attempt].offer
        assert offer is not None
        assert offer.schema != NULL, "nothing is offered in the schema"
        every = {name: members.get(name, "any text") for name in self.members}
        return compile_schema(bytes(offer.schema)).accepts(every | members)

    @property
    def members(self) -> list[str]:
        return list(json.loads(bytes(self.task.kind.schema))["properties"])

    def free(self, attempt: int = 0) -> bool:
        """Whether neither schema nor prompt hold any value of a table."""
        return self.chat.requests[attempt].offer is None

    def decodes(self, attempt: int = 0) -> bool:
        """Whether the schema holds values of a table."""
        offer = self.chat.requests[attempt].offer
        return offer is not None and offer.schema != NULL

    def prompt(self, attempt: int = 0) -> str:
        """Return what is added to the prompt of a model that decodes under the offer's schema."""
        offer = self.chat.requests[attempt].offer
        return "" if offer is None else offer.text("decode")

    def narrowed(self, attempt: int = 0) -> list[tuple[str, str, str, int]]:
        records = self.run.attempts[attempt].narrowed
        if records is msgspec.UNSET:
            return []
        return [(one.path, one.column, one.mode, one.candidates) for one in records]


def maybe(**members: Any) -> dict[str, Any]:
    """The event's members, some of which may be null."""
    return EVENT | {name: {"type": ["string", "null"]} for name in members}


def with_(rule: GroundingRule, **fields: Any) -> GroundingRule:
    return msgspec.structs.replace(rule, **fields)
