"""The configuration as values: one struct per section of `lakehouse.toml`, defaults included.

Only types and defaults are defined here; `load.py` fills and checks them.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

import msgspec

from lakehouse.core.chat import History, Sampling
from lakehouse.core.kind import CandidatesMode, GroundingRule, SqlRule
from lakehouse.core.limits import (
    DEADLINE_MS_DEFAULT,
    DRAIN_MS_DEFAULT,
    ITERATIONS_DEFAULT,
    LOAD_BUDGET_MS_DEFAULT,
    STREAM_WAIT_MS_DEFAULT,
)
from lakehouse.grounding.settings import TableSettings
from lakehouse.providers.provider import ModelSettings
from lakehouse.providers.registry import default_models

GATEWAY_LISTEN: Final = "127.0.0.1:4110"
CHATD_LISTEN: Final = "127.0.0.1:4111"
VALIDATORD_LISTEN: Final = "127.0.0.1:4112"
SESSIONS_AT_ONCE_MAX: Final = 1_000


class LogSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[log]`. `path` is a directory, relative to the file; all programs that name it share it.

    `commit`: a row is on the disk before the reply. `os`: it is in the page cache, which survives
    the process but not a power cut. `table` is where sealed segments are compacted to: a path
    relative to the file, or a URI such as `s3://bucket/sessions`; by default `table` in the log.
    """

    path: str = "lakehouse-data/sessions"
    durability: Literal["commit", "os"] = "commit"
    table: str | None = None


class OpenAiApiSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[gateway.openai]`: OpenAI's API.

    `stream_wait_ms` is how long a stream waits for the session's end, so that its status is the
    true one; after that 200 is sent before the verdict.

    `unchecked` is what becomes of a request that names no kind and sends no schema: `refuse`, or
    `pass`, which answers with the model's text as it is and says so in the reply.
    """

    stream_wait_ms: int = STREAM_WAIT_MS_DEFAULT
    unchecked: Literal["refuse", "pass"] = "refuse"


class GatewaySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[gateway]`. `api_keys_env` names the variable with the `name:sha256-hex` entries.

    `api_keys_file` is a file with further entries, one a line, which a reload reads anew.
    `admin_keys` are the names of the keys that may reload the configuration.
    `sessions_at_once_max` limits concurrent sessions; further ones get `rate_limited`.
    `allowed_origins` are the origins of web pages that may call it, such as `https://app.example`.
    """

    listen: str = GATEWAY_LISTEN
    api_keys_env: str | None = None
    api_keys_file: str | None = None
    admin_keys: tuple[str, ...] = ()
    sessions_at_once_max: int = SESSIONS_AT_ONCE_MAX
    allowed_origins: tuple[str, ...] = ()
    openai: OpenAiApiSettings = OpenAiApiSettings()


class UiSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[ui]`: the gateway's pages for a browser, at `/ui`; behind its API keys, if it has any."""

    enabled: bool = True


class DaemonSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[chatd]` and `[validatord]`.

    With `url` the daemon is another process, else part of this one.

    `listen` is its address when it runs apart. `api_key_env` names the variable with the key to
    send there.
    """

    url: str | None = None
    listen: str | None = None
    api_key_env: str | None = None


class SessionSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[session]`: defaults of a request, and how long a stopping daemon waits."""

    deadline_ms: int = DEADLINE_MS_DEFAULT
    load_budget_ms: int = LOAD_BUDGET_MS_DEFAULT
    max_iterations: int = ITERATIONS_DEFAULT
    drain_ms: int = DRAIN_MS_DEFAULT


class TracingSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[tracing]`. The receiver is set in the environment, because it needs keys.

    `propagate` sends `traceparent` and `tracestate` to model providers too. `content` adds prompts
    and outputs to the spans.
    """

    propagate: bool = True
    content: bool = False


class KindSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[kinds.NAME]`. Exactly one of `schema` (a file) and `python` (`package.module:Type`).

    `repair` lets broken JSON be fixed before the checks; every change is recorded. `history` is
    what a later attempt sees of the earlier ones (default: the model's setting). `reprompt` is the
    text before the findings (default: ours; empty: none). `candidates` is how a model is offered
    the values of the tables that the text names, where a grounding rule does not say it: `decode`:
    in the schema that it decodes under; `hint`: in the prompt; `auto`: in the schema if the model
    takes it, else in the prompt; `off`: not at all. `temperature`, `top_p`, `max_tokens`, `seed`
    and `stop` override the model's, and a request overrides them. `assert_formats` makes `format`
    of a schema file an assertion; for a `python` kind it always is one, and the model's own
    validators also run.
    """

    schema: str | None = None
    python: str | None = None
    system: str | None = None
    model: str | None = None
    max_iterations: int | None = None
    repair: bool = False
    assert_formats: bool = False
    history: History | None = None
    reprompt: str | None = None
    candidates: CandidatesMode = "auto"
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    seed: int | None = None
    stop: tuple[str, ...] | None = None
    grounding: tuple[GroundingRule, ...] = ()
    rules: tuple[SqlRule, ...] = ()

    def sampling(self) -> Sampling:
        return Sampling.of(self)


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """The whole configuration, resolved. `base` is the directory that relative paths start at.

    `digest` covers all but `base` and `ui`. It has no secret: secrets are only named here.
    """

    source: str
    base: Path
    log: LogSettings = LogSettings()
    gateway: GatewaySettings = GatewaySettings()
    ui: UiSettings = UiSettings()
    chatd: DaemonSettings = DaemonSettings()
    validatord: DaemonSettings = DaemonSettings()
    session: SessionSettings = SessionSettings()
    tracing: TracingSettings = TracingSettings()
    models: Mapping[str, ModelSettings] = msgspec.field(default_factory=default_models)
    tables: Mapping[str, TableSettings] = {}
    kinds: Mapping[str, KindSettings] = {}
    digest: str = ""

    @property
    def has_keys(self) -> bool:
        """Whether callers need an API key."""
        return self.gateway.api_keys_env is not None or self.gateway.api_keys_file is not None

    def path(self, relative: str) -> Path:
        """Resolve a path of the file against the file's directory."""
        return self.base / relative
