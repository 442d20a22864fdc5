"""The stack without an HTTP server: the bound ports of one process and their lifecycle.

The only file that chooses between in-process and remote: with a URL a port is another process,
without one it is this process. All other code uses ports and sees no difference.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Literal

import msgspec

from lakehouse.chatd.client import ChatClient
from lakehouse.chatd.lane import Lane, Slots, SlotsOf
from lakehouse.chatd.service import ChatService
from lakehouse.config.catalog import catalog, model_names
from lakehouse.config.settings import Config
from lakehouse.config.tracing import tracer
from lakehouse.config.trials import try_checks
from lakehouse.core.closing import Step, close_all
from lakehouse.core.errors import SetupError
from lakehouse.core.kind import SqlRule
from lakehouse.core.observation import Observer
from lakehouse.core.ports import ChatModel, RecordSink, TableSource, Validator
from lakehouse.engine.task import Catalog
from lakehouse.gateway.outage import OutageRecorder
from lakehouse.grounding.no_tables import NoTables
from lakehouse.metrics.daemon import DaemonMetrics
from lakehouse.providers.model_clients import ModelClients
from lakehouse.providers.provider import Surroundings
from lakehouse.sessionlog.keeping.maintenance import Maintenance
from lakehouse.sessionlog.writing.writer import SessionLogWriter
from lakehouse.transport.client import HttpClient
from lakehouse.transport.observers import ObservedChat, Observers
from lakehouse.validatord.client import ValidatorClient
from lakehouse.validatord.service import ValidatorService

if TYPE_CHECKING:
    from lakehouse.grounding.tables import Rules, TableFiles

Role = Literal["up", "gateway", "validatord", "chatd", "replay", "library"]


class Stack:
    """The ports of one process, their dependencies, and the start and stop of all of them.

    Has no HTTP server: a daemon is an application over a stack; replays, commands and tests use
    the stack directly. `role` decides which ports are local and which are remote: `up`, `library`
    and `replay` run sessions in this process; the rows of a `replay` have a name of their own.
    """

    def __init__(
        self,
        config: Config,
        environment: Mapping[str, str],
        role: Role = "up",
        *,
        sink: RecordSink | None = None,
        before: "Stack | None" = None,
        slots_of: SlotsOf = Slots.of,
    ) -> None:
        """Bind the ports of a role.

        Args:
            config: What to serve.
            environment: Where keys and receivers of traces are found.
            role: Which ports are local.
            sink: Replaces the writer of the configured log.
            before: The stack that this one replaces, with another configuration. The log's writer,
                counters, and models with the same settings go on: `succeed`, then `close_but`.
            slots_of: Makes the slots of a model; by default this process's own.

        Raises:
            SetupError: A kind, a rule, a key or the log cannot be used.
        """
        self.role = role
        self.config = config
        self.waiting_requests: Callable[[], int] = lambda: 0  # set by a daemon over the stack
        self._environment = environment
        self._before = before
        self.lasting: _Lasting = (
            _Lasting(environment, sink, slots_of) if before is None else before.lasting
        )
        self._chat_service: ChatService | None = None
        self._tables: TableFiles | None = None
        self._table_port: TableSource = NoTables()
        self._validator_service: ValidatorService | None = None
        self._catalog: Catalog | None = None
        if before is None or before.config.tracing != config.tracing:
            self.tracer = tracer(config, environment, role)
        else:
            self.tracer = before.tracer
        self.metrics: DaemonMetrics = (
            DaemonMetrics(role, depths=self._depths, traced=self._traced)
            if before is None
            else before.metrics
        )
        self.observer = Observers(self._observers())
        self._chat_port: ChatModel
        self._validator_port: Validator | None = None
        self._bind()

    @property
    def chat(self) -> ChatModel:
        """The models, local or remote."""
        return self._chat_port

    @property
    def validator(self) -> Validator:
        """The sessions, local or remote; `chatd` has none."""
        assert self._validator_port is not None
        return self._validator_port

    @property
    def sessions(self) -> ValidatorService:
        """The sessions of this process; a gateway before a remote validator has none."""
        assert self._validator_service is not None
        return self._validator_service

    @property
    def catalog(self) -> Catalog:
        """The configured kinds and models, from which sessions are planned."""
        if self._catalog is None:
            self._catalog = catalog(self.config, own=self.role in {"library", "replay"})
        return self._catalog

    @property
    def tables(self) -> TableSource:
        """The tables that ground the sessions of this process."""
        return self._table_port

    @property
    def rules(self) -> "Mapping[str, Rules]":
        """The prepared SQL rules of this process's kinds, by kind."""
        return self._tables.rules if self._tables is not None else {}

    def has_rules(self, key: bytes) -> bool:
        """Return whether the rules of `OwnChecks` with this key are prepared."""
        return self._tables is not None and self._tables.has_rules(key)

    async def add_rules(self, key: bytes, rules: Sequence[SqlRule], schema: bytes) -> None:
        """Prepare the rules of `OwnChecks` for the answers of a schema, off the event loop.

        Raises:
            SetupError: A rule is not a query, reads an unknown table, binds a member that the
                schema does not name, or fails for every answer.
        """
        from lakehouse.config.rules import prepare, table_files  # noqa: PLC0415  as `_table_source`

        compiled = self.catalog.schemas.get(schema)
        # Types name their members, except those that say that they take others. A misspelled name
        # would be NULL in every answer.
        others = msgspec.json.decode(schema).get("additionalProperties", False)
        prepared = await asyncio.to_thread(
            partial(prepare, named_only=others is False),
            *(rules, compiled, self.config, lambda index: (f"Rule {index}", "of the type")),
        )
        if self._tables is None:
            self._tables = table_files({}, self.catalog.schemas, self.config)
            self._table_port = self.sessions.tables = self._tables
        self._tables.add_rules(key, prepared)

    @property
    def sink(self) -> RecordSink:
        """The sink of this process's rows; `chatd` writes none."""
        found = self.lasting.given_sink or self.lasting.writer
        assert found is not None
        return found

    async def start(self) -> None:
        """Start preloading models and test the rules, before the first session.

        Raises:
            SetupError: A rule fails for every answer.
        """
        if self._before is None:
            self.lasting.start()
        if self._validator_service is not None:
            await try_checks(self.catalog, self._tables)
        if self._chat_service is not None:
            await self._chat_service.start()

    def succeed(self) -> None:
        """Take over from the stack before: what is counted and measured now is of this one."""
        self.metrics.depths, self.metrics.traced = self._depths, self._traced
        self._before = None

    @property
    def lanes(self) -> Mapping[str, Lane]:
        """The queues of the models of this process, by alias."""
        return {} if self._chat_service is None else self._chat_service.lanes

    async def drain(self, patience_ms: int) -> None:
        """Wait for running sessions; those left after `patience_ms` end as `shutdown` rows."""
        if self._validator_service is not None:
            await self._validator_service.drain(patience_ms=patience_ms)

    async def idle(self) -> None:
        """Wait until no session runs."""
        if self._validator_service is not None:
            await self._validator_service.idle()

    async def close_but(self, other: "Stack") -> bool:
        """Close what another stack does not have, when no session and no request uses this one.

        Returns whether all of it succeeded and every session has its row.
        """
        steps: dict[str, Step] = {}
        if self._chat_service is not None:
            steps["chatd"] = partial(self._chat_service.close, but=tuple(other.lanes.values()))
        if self.tracer is not None and self.tracer is not other.tracer:
            steps["tracing"] = self.tracer.close
        steps |= self._checks()
        return await close_all(steps) and self._all_written()

    async def close(self) -> bool:
        """Close everything; returns whether all of it succeeded and every session has its row.

        Every step runs even if others fail: the log is closed last, and must be closed.
        """
        steps: dict[str, Step] = {}
        if self._chat_service is not None:
            steps["chatd"] = self._chat_service.close
        if self.tracer is not None:
            steps["tracing"] = self.tracer.close
        steps |= self._checks()
        steps |= self.lasting.closing()
        return await close_all(steps) and self._all_written()

    def _all_written(self) -> bool:
        service = self._validator_service
        return service is None or service.rows_written == service.sessions_taken

    def _checks(self) -> dict[str, Step]:
        """Return what closes the kinds and tables of this stack."""
        steps: dict[str, Step] = {}
        if self._catalog is not None:
            steps["the kinds"] = partial(asyncio.to_thread, self._catalog.close)
        if self._tables is not None:
            steps["the tables"] = partial(asyncio.to_thread, self._tables.close)
        return steps

    def _bind(self) -> None:
        if self.role == "chatd":
            self._chat_port = self._own_chat()
            return
        self.lasting.open_log(self.config, self.role)
        url, role = self.config.validatord.url, self.role
        remote = self.config.chatd.url is not None
        if role == "gateway" and url is not None:
            self._chat_port = self._at_the_door(self._remote_chat())
            self._validator_port = self._remote_validator(url)
            return
        chat = self._remote_chat() if remote else self._own_chat()
        self._chat_port = chat if role == "validatord" else self._at_the_door(chat)
        self._validator_port = self._validator(chat)

    def _remote_validator(self, url: str) -> Validator:
        validator = ValidatorClient(
            self.lasting.http,
            url,
            api_key=self._key(self.config.validatord.api_key_env),
            deadline_ms=self.config.session.deadline_ms,
        )
        return OutageRecorder(
            validator, catalog=self.catalog, sink=self.sink, observer=self.observer
        )

    def _observers(self) -> tuple[Observer, ...]:
        return (self.metrics,) if self.tracer is None else (self.metrics, self.tracer)

    def _depths(self) -> dict[tuple[str, ...], float]:
        depths: dict[tuple[str, ...], float] = {("requests",): self.waiting_requests()}
        if self._validator_service is not None:
            depths["log",] = self._validator_service.rows_waiting
        if self._chat_service is not None:
            for name, waiting in self._chat_service.waiting().items():
                depths[f"model {name}",] = waiting
        if self.tracer is not None:
            for channel in self.tracer.channels:
                depths[channel.name,] = channel.depth
        return depths

    def _traced(self) -> dict[tuple[str, ...], float]:
        return {} if self.tracer is None else self.tracer.totals()

    def _at_the_door(self, chat: ChatModel) -> ChatModel:
        """Trace calls without a session where they arrive; chatd measures them."""
        if self.tracer is None or self._chat_service is not None:
            return chat
        return ObservedChat(chat, Observers((self.tracer,)))

    def _remote_chat(self) -> ChatModel:
        daemon = self.config.chatd if self.config.chatd.url else self.config.validatord
        assert daemon.url is not None
        return ChatClient(
            self.lasting.http,
            daemon.url,
            names=tuple(model_names(self.config).values()),
            api_key=self._key(daemon.api_key_env),
        )

    def _own_chat(self) -> ChatModel:
        config = self.config
        around = Surroundings(
            config.source, config.base, self._environment, self.lasting.model_http
        )
        models = config.models
        lanes = {} if self._before is None else self._before.lanes
        kept = {name: lane for name, lane in lanes.items() if models.get(name) == lane.settings}
        self._chat_service = ChatService(
            {name: one.open(name, around) for name, one in models.items() if name not in kept},
            models,
            propagate=self.config.tracing.propagate,
            kept=kept,
            slots_of=self.lasting.slots_of,
        )
        return ObservedChat(self._chat_service, self.observer)

    def _validator(self, chat: ChatModel) -> Validator:
        self._table_port = self._table_source(self.catalog)
        service = ValidatorService(
            self.catalog,
            chat=chat,
            tables=self._table_port,
            sink=self.sink,
            observer=self.observer,
            daemon="replay" if self.role == "replay" else "validatord",
        )
        self._validator_service = service
        return service

    def _table_source(self, known: Catalog) -> TableSource:
        if not self.config.tables and not any(kind.rules for kind in known.kinds.values()):
            return NoTables()
        from lakehouse.config.rules import table_files  # noqa: PLC0415  the import takes 0.5 s

        self._tables = table_files(known.kinds, known.schemas, self.config)
        return self._tables

    def _key(self, variable: str | None) -> str | None:
        if variable is None:
            return None
        value = self._environment.get(variable)
        if not value:
            raise SetupError(
                f"${variable} is named by api_key_env in {self.config.source}, but is not set.",
                hint=f"export {variable}=…, or take api_key_env out.",
            )
        return value


class _Lasting:
    """What a stack hands on to the next one: HTTP clients, the log's writer, and its upkeep."""

    def __init__(
        self, environment: Mapping[str, str], given_sink: RecordSink | None, slots_of: SlotsOf
    ) -> None:
        self.slots_of = slots_of
        self.http = HttpClient()
        self.model_http = ModelClients(environment)
        self.given_sink = given_sink
        self.writer: SessionLogWriter | None = None
        self._maintenance: Maintenance | None = None

    def open_log(self, config: Config, role: Role) -> None:
        if self.given_sink is not None or self.writer is not None:
            return
        log = config.path(config.log.path)
        self.writer = SessionLogWriter.open(
            log,
            daemon=role if role in {"gateway", "replay"} else "validatord",
            durability=config.log.durability,
        )
        self._maintenance = Maintenance(log, self.writer)

    def start(self) -> None:
        if self._maintenance is not None:
            self._maintenance.start()

    def closing(self) -> dict[str, Step]:
        """Return the steps that close all of it, in their order."""
        steps: dict[str, Step] = {
            "the HTTP client": self.http.close,
            "the models' HTTP clients": self.model_http.close,
        }
        if self._maintenance is not None:
            steps["the log's upkeep"] = partial(asyncio.to_thread, self._maintenance.stop)
        if self.writer is not None:
            steps["the session log"] = partial(asyncio.to_thread, self.writer.close)
        return steps
