"""The only file that chooses in-process or remote: a URL means another process, none means this.

Everything else holds ports and cannot tell the difference.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Literal

import msgspec
from starlette.types import ASGIApp

from lakehouse import __version__
from lakehouse.chatd.app import chatd_app
from lakehouse.chatd.client import ChatClient
from lakehouse.chatd.observed import ObservedChat
from lakehouse.chatd.service import ChatService
from lakehouse.config.checks import listen_address
from lakehouse.config.kinds import load_kinds
from lakehouse.config.settings import CHATD_LISTEN, VALIDATORD_LISTEN, Config
from lakehouse.config.trials import try_checks
from lakehouse.core.chat import ModelName, ModelStatus
from lakehouse.core.closing import Step, close_all
from lakehouse.core.errors import SetupError
from lakehouse.core.observation import Observer
from lakehouse.core.ports import ChatModel, RecordSink, TableSource, Validator
from lakehouse.engine.task import Catalog
from lakehouse.gateway.app import gateway_app
from lakehouse.gateway.auth import KeyRing
from lakehouse.gateway.outage import OutageRecorder
from lakehouse.grounding.no_tables import NoTables
from lakehouse.metrics.daemon import DaemonMetrics
from lakehouse.providers.access import access_of
from lakehouse.providers.llama_cpp import LlamaCppProvider
from lakehouse.providers.model_clients import ModelClients
from lakehouse.providers.ollama import OllamaProvider
from lakehouse.providers.openai import OpenAiProvider
from lakehouse.providers.provider import ModelSettings, Provider
from lakehouse.providers.scripted import ScriptedProvider
from lakehouse.sessionlog.maintenance import Maintenance
from lakehouse.sessionlog.writer import SessionLogWriter
from lakehouse.tracing.destination import find_destination
from lakehouse.transport.client import HttpClient
from lakehouse.transport.observers import Observers
from lakehouse.transport.server import Calls
from lakehouse.validation.schema import SchemaCache
from lakehouse.validatord.app import validatord_app
from lakehouse.validatord.client import ValidatorClient
from lakehouse.validatord.service import ValidatorService

if TYPE_CHECKING:
    from lakehouse.grounding.tables import Rules, TableFiles
    from lakehouse.tracing.tracer import Tracer

_ANSWER_MS = 500  # for sending what is answered already

Role = Literal["up", "gateway", "validatord", "chatd", "replay"]


class Daemon:
    """One running role: its application, where it listens, and how it starts and ends."""

    def __init__(
        self,
        config: Config,
        environment: Mapping[str, str],
        role: Role,
        *,
        sink: RecordSink | None = None,
    ) -> None:
        """Bind the ports of a role; `sink` in place of a writer of the configured log."""
        self.role = role
        self.config = config
        self._environment = environment
        self._http = HttpClient()
        self._model_http = ModelClients(environment)
        self._calls = Calls()
        self._given_sink = sink
        self._sink: SessionLogWriter | None = None
        self._maintenance: Maintenance | None = None
        self._chat_service: ChatService | None = None
        self._chat_port: ChatModel
        self._tables: TableFiles | None = None
        self._table_port: TableSource = NoTables()
        self._validator_service: ValidatorService | None = None
        self.tracer = tracer(config, environment, role)
        self._metrics = DaemonMetrics(role, depths=self._depths, traced=self._traced)
        self._observer = Observers(self._observers())
        self.host, self.port = listen_address(self._listen())
        self.app = self._app()

    @property
    def validator(self) -> Validator:
        """The sessions of this process, for a caller in it; only of `up` and `validatord`."""
        assert self._validator_service is not None
        return self._validator_service

    @property
    def catalog(self) -> Catalog:
        """What the sessions of this process are planned with; only of those that have some."""
        assert self._validator_service is not None
        return self._validator_service.catalog

    @property
    def tables(self) -> TableSource:
        """What the sessions of this process are grounded in; likewise."""
        return self._table_port

    @property
    def rules(self) -> "Mapping[str, Rules]":
        """The prepared SQL rules of this process's kinds, by kind."""
        return self._tables.rules if self._tables is not None else {}

    @property
    def sink(self) -> RecordSink:
        """Where this process writes rows; likewise."""
        found = self._given_sink or self._sink
        assert found is not None
        return found

    async def models(self) -> tuple[ModelStatus, ...]:
        """Tell the state of every model that this process reaches, without loading one."""
        return await self._chat_port.models()

    async def start(self) -> None:
        """Begin what a daemon does before the first request: preload models, try rules.

        Raises:
            SetupError: A rule fails whatever an answer holds.
        """
        if self._maintenance is not None:
            self._maintenance.start()
        if self._validator_service is not None:
            await try_checks(self.catalog, self._tables)
        if self._chat_service is not None:
            await self._chat_service.start()

    async def drain(self, patience_ms: int) -> None:
        """End the sessions under way; those left after the patience become `shutdown` rows.

        Then the requests: those of sessions are answered by now, others get a moment more.
        """
        async with contextlib.AsyncExitStack() as steps:  # the second also when the first fails
            service = self._validator_service
            steps.push_async_callback(
                self._calls.drain,
                patience_ms if service is None else min(patience_ms, _ANSWER_MS),
            )
            if service is not None:
                await service.drain(patience_ms=patience_ms)

    async def close(self) -> bool:
        """Release everything; says whether all of it went well and every session has its row.

        Every step is tried, whatever became of the others: the log is closed last, and must be.
        """
        steps: dict[str, Step] = {}
        if self._chat_service is not None:
            steps["chatd"] = self._chat_service.close
        if self.tracer is not None:
            steps["tracing"] = self.tracer.close
        steps["the HTTP client"] = self._http.close
        steps["the models' HTTP clients"] = self._model_http.close
        if self._validator_service is not None:
            steps["the kinds"] = partial(asyncio.to_thread, self.catalog.close)
        if self._tables is not None:
            steps["the tables"] = partial(asyncio.to_thread, self._tables.close)
        if self._maintenance is not None:
            steps["the log's upkeep"] = partial(asyncio.to_thread, self._maintenance.stop)
        if self._sink is not None:
            steps["the session log"] = partial(asyncio.to_thread, self._sink.close)
        closed = await close_all(steps)
        service = self._validator_service
        return closed and (service is None or service.rows_written == service.sessions_taken)

    def _listen(self) -> str:
        config = self.config
        if self.role == "chatd":
            return config.chatd.listen or CHATD_LISTEN
        if self.role == "validatord":
            return config.validatord.listen or VALIDATORD_LISTEN
        return config.gateway.listen

    def _app(self) -> ASGIApp:
        # A replay serves nobody: it needs no keys, and nobody's variable.
        keys = None if self.role == "replay" else key_ring(self.config, self._environment)
        authorize = None if keys is None else keys.authorize
        if self.role == "chatd":
            return chatd_app(
                self._chat(remote=False),
                calls=self._calls,
                authorize=authorize,
                observer=self._observer,
                metrics=self._metrics.routes(),
            )
        sink = self._open_sink()
        if self.role == "validatord":
            chat = self._chat(remote=self.config.chatd.url is not None)
            return validatord_app(
                self._validator(chat, sink),
                chat,
                sink,
                calls=self._calls,
                authorize=authorize,
                observer=self._observer,
                metrics=self._metrics.routes(),
            )
        chat, validator = self._gateway_ports(sink)
        return gateway_app(
            validator,
            chat,
            sink,
            log=self.config.path(self.config.log.path),
            catalog=self.catalog if self._validator_service else catalog(self.config),
            keys=keys,
            sessions_at_once_max=self.config.gateway.sessions_at_once_max,
            calls=self._calls,
            observer=self._observer,
            metrics=self._metrics.routes(),
            allowed_origins=self.config.gateway.allowed_origins,
        )

    def _observers(self) -> tuple[Observer, ...]:
        return (self._metrics,) if self.tracer is None else (self._metrics, self.tracer)

    def _depths(self) -> dict[tuple[str, ...], float]:
        depths: dict[tuple[str, ...], float] = {("requests",): len(self._calls)}
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

    def _gateway_ports(self, sink: RecordSink) -> tuple[ChatModel, Validator]:
        url = self.config.validatord.url
        remote = self.config.chatd.url is not None or url is not None
        if self.role in {"up", "replay"} or url is None:
            chat = self._chat(remote=self.config.chatd.url is not None)
            return self._at_the_door(chat), self._validator(chat, sink)
        validator = ValidatorClient(
            self._http,
            url,
            api_key=self._key(self.config.validatord.api_key_env),
            deadline_ms=self.config.session.deadline_ms,
        )
        recorder = OutageRecorder(
            validator, catalog=catalog(self.config), sink=sink, observer=self._observer
        )
        return self._at_the_door(self._chat(remote=remote)), recorder

    def _at_the_door(self, chat: ChatModel) -> ChatModel:
        """Let calls without a session be traced where they come in; chatd measures them."""
        if self.tracer is None or self._chat_service is not None:
            return chat
        return ObservedChat(chat, Observers((self.tracer,)))

    def _chat(self, *, remote: bool) -> ChatModel:
        self._chat_port = self._remote_chat() if remote else self._own_chat()
        return self._chat_port

    def _remote_chat(self) -> ChatModel:
        daemon = self.config.chatd if self.config.chatd.url else self.config.validatord
        assert daemon.url is not None
        return ChatClient(
            self._http,
            daemon.url,
            names=tuple(model_names(self.config).values()),
            api_key=self._key(daemon.api_key_env),
        )

    def _own_chat(self) -> ChatModel:
        self._chat_service = ChatService(
            {name: self._provider(name, model) for name, model in self.config.models.items()},
            self.config.models,
            propagate=self.config.tracing.propagate,
        )
        return ObservedChat(self._chat_service, self._observer)

    def _validator(self, chat: ChatModel, sink: RecordSink) -> Validator:
        known = catalog(self.config)
        self._table_port = self._table_source(known)
        service = ValidatorService(
            known,
            chat=chat,
            tables=self._table_port,
            sink=sink,
            observer=self._observer,
            daemon="replay" if self.role == "replay" else "validatord",
        )
        self._validator_service = service
        return service

    def _table_source(self, known: Catalog) -> TableSource:
        if not self.config.tables and not any(kind.rules for kind in known.kinds.values()):
            return NoTables()
        from lakehouse.config.rules import table_files  # noqa: PLC0415  half a second

        self._tables = table_files(known.kinds, known.schemas, self.config)
        return self._tables

    def _open_sink(self) -> RecordSink:
        if self._given_sink is not None:
            return self._given_sink
        log = self.config.path(self.config.log.path)
        self._sink = SessionLogWriter.open(
            log,
            daemon=self.role if self.role in {"gateway", "replay"} else "validatord",
            durability=self.config.log.durability,
        )
        self._maintenance = Maintenance(log, self._sink)
        return self._sink

    def _provider(self, name: str, settings: ModelSettings) -> Provider:
        if settings.provider == "llama_cpp":
            return LlamaCppProvider(name, settings)
        if settings.provider == "scripted":
            assert settings.script is not None
            script = self.config.path(settings.script)
            return ScriptedProvider(name, msgspec.structs.replace(settings, script=str(script)))
        access = access_of(name, settings, self._environment, source=self.config.source)
        ca_file = None if settings.ca_file is None else self.config.path(settings.ca_file)
        http = self._model_http.client(f"models.{name}", proxy=access.proxy, ca_file=ca_file)
        kind = OpenAiProvider if settings.provider == "openai" else OllamaProvider
        return kind(settings, http, access=access)

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


def model_names(config: Config) -> Mapping[str, ModelName]:
    """List the configured models by alias, the default one first."""
    return {name: settings.named(name) for name, settings in config.models.items()}


def catalog(config: Config) -> Catalog:
    """Make what sessions are planned with; reads the kinds' schemas.

    Raises:
        SetupError: A kind cannot be used.
    """
    schemas = SchemaCache()
    return Catalog(
        kinds=load_kinds(config, schemas),
        models=model_names(config),
        config_digest=config.digest,
        schemas=schemas,
        deadline_ms=config.session.deadline_ms,
        load_budget_ms=config.session.load_budget_ms,
        max_iterations=config.session.max_iterations,
    )


def key_ring(config: Config, environment: Mapping[str, str]) -> KeyRing | None:
    """Read the API keys of the environment; None when none are configured.

    Raises:
        SetupError: The variable is missing or malformed.
    """
    variable = config.gateway.api_keys_env
    if variable is None:
        return None
    return KeyRing.parse(environment.get(variable, ""), variable=f"${variable}")


def tracer(config: Config, environment: Mapping[str, str], role: str) -> "Tracer | None":
    """Make what exports traces; None, and nothing loaded for it, where nobody says where to.

    Raises:
        SetupError: The environment says half of what is needed.
    """
    destination = find_destination(environment)
    if destination is None:
        return None
    from lakehouse.tracing.tracer import Tracer  # noqa: PLC0415  free unless configured

    return Tracer(
        destination,
        service="lakehouse" if role == "up" else f"lakehouse-{role}",
        version=__version__,
        content=config.tracing.content,
    )
