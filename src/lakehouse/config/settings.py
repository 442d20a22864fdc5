"""The configuration as values: one struct per section of `lakehouse.toml`, defaults included.

Only shapes and defaults live here; `load.py` fills and checks them.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

import msgspec

from lakehouse.core.chat import History, Sampling
from lakehouse.core.kind import GroundingRule, SqlRule
from lakehouse.core.limits import (
    DEADLINE_MS_DEFAULT,
    DRAIN_MS_DEFAULT,
    ITERATIONS_DEFAULT,
    LOAD_BUDGET_MS_DEFAULT,
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
    the process but not a power cut. `table` is what sealed segments are compacted into: a path
    relative to the file, or a URI such as `s3://bucket/sessions`; by default `table` in the log.
    """

    path: str = "lakehouse-data/sessions"
    durability: Literal["commit", "os"] = "commit"
    table: str | None = None


class GatewaySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[gateway]`. `api_keys_env` names the variable that holds `name:sha256-hex` entries.

    `sessions_at_once_max` bounds the sessions under way; more are told `rate_limited`.
    `allowed_origins` are those of web pages that may ask, such as `https://app.example`.
    """

    listen: str = GATEWAY_LISTEN
    api_keys_env: str | None = None
    sessions_at_once_max: int = SESSIONS_AT_ONCE_MAX
    allowed_origins: tuple[str, ...] = ()


class DaemonSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[chatd]` and `[validatord]`. With `url` the daemon is another process, else in this one.

    `listen` is where it serves when it is run apart. `api_key_env` names the variable that holds
    the key to send there.
    """

    url: str | None = None
    listen: str | None = None
    api_key_env: str | None = None


class SessionSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[session]`: what a request may leave out, and how long a stopping daemon waits."""

    deadline_ms: int = DEADLINE_MS_DEFAULT
    load_budget_ms: int = LOAD_BUDGET_MS_DEFAULT
    max_iterations: int = ITERATIONS_DEFAULT
    drain_ms: int = DRAIN_MS_DEFAULT


class TracingSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[tracing]`. Where traces go is said in the environment, since that takes keys.

    `propagate` sends `traceparent` and `tracestate` to model providers too. `content` lets prompts
    and outputs leave with the spans.
    """

    propagate: bool = True
    content: bool = False


class KindSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[kinds.NAME]`. Exactly one of `schema` (a file) and `python` (`package.module:Model`).

    `repair` lets broken JSON be fixed before the checks; every change is recorded. `history` says
    what a later attempt sees of the earlier ones (the model's setting where it is not given), and
    `reprompt` is the text that stands before the findings, ours where it is not given; empty:
    none. `temperature`, `top_p`, `max_tokens`, `seed` and `stop` hold for its sessions where a
    request does not set them, over those of the model. `assert_formats`
    makes `format` of a schema file an assertion; of a `python` kind it always is one, and the
    model's own validators judge as well.
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
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    seed: int | None = None
    stop: tuple[str, ...] | None = None
    grounding: tuple[GroundingRule, ...] = ()
    rules: tuple[SqlRule, ...] = ()

    def sampling(self) -> Sampling:
        """Give how its answers are sampled, where it says."""
        return Sampling.of(self)


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """The whole configuration, resolved. `base` is the directory that relative paths start at.

    `digest` covers everything but `base` and holds no secret: secrets are only ever named here.
    """

    source: str
    base: Path
    log: LogSettings = LogSettings()
    gateway: GatewaySettings = GatewaySettings()
    chatd: DaemonSettings = DaemonSettings()
    validatord: DaemonSettings = DaemonSettings()
    session: SessionSettings = SessionSettings()
    tracing: TracingSettings = TracingSettings()
    models: Mapping[str, ModelSettings] = msgspec.field(default_factory=default_models)
    tables: Mapping[str, TableSettings] = {}
    kinds: Mapping[str, KindSettings] = {}
    digest: str = ""

    def path(self, relative: str) -> Path:
        """Resolve a path of the file against the file's directory."""
        return self.base / relative
