"""Builds a task from a request: fills in defaults, looks up names, checks every limit.

A bad request is refused here, before any model is called. Independent of HTTP.
"""

from collections.abc import Collection, Mapping
from operator import attrgetter
from typing import Any, Final, TypeVar

import msgspec

from lakehouse.core.chat import UNSAID, Message, ModelName, Sampling
from lakehouse.core.context import CallContext
from lakehouse.core.conversation import user_texts
from lakehouse.core.errors import Refusal
from lakehouse.core.json_text import NULL, parse
from lakehouse.core.kind import CandidatesMode, Kind
from lakehouse.core.limits import (
    DEADLINE_MS_DEFAULT,
    DEADLINE_MS_MAX,
    ITERATIONS_DEFAULT,
    ITERATIONS_MAX,
    LOAD_BUDGET_MS_DEFAULT,
    MESSAGES_MAX,
    METADATA_ENTRIES_MAX,
    SEED_MAX,
    STOPS_MAX,
    TASK_KEPT_CHARS_MAX,
    TASKS_KEPT_MAX,
    TEMPERATURE_MAX,
    TOKENS_MAX,
    TOP_P_MAX,
)
from lakehouse.core.metadata import OWN_MEMBERS
from lakehouse.core.row import RowMessage, Settings
from lakehouse.core.session import IterateRequest
from lakehouse.core.suggestion import did_you_mean
from lakehouse.engine.carried import with_carried
from lakehouse.engine.inline_kind import compacted_schema, inline_kind, judging_schema
from lakehouse.validation.schema import CompiledSchema, SchemaCache

_Found = TypeVar("_Found")
# What a session takes from its request, but for raw JSON and `stop`.
_ASKED: Final = attrgetter(
    "kind", "model", "system", "max_iterations", "constrain", "max_tokens", "seed", "deadline_ms",
    "candidates", "top_p", "assert_formats",
)  # fmt: skip
_NO_CALL: Final = CallContext("", "", "", "")
_RANGES: Final = (
    ("max_iterations", 1, ITERATIONS_MAX),
    ("deadline_ms", 1, DEADLINE_MS_MAX),
    ("max_tokens", 1, TOKENS_MAX),
    ("seed", 0, SEED_MAX),
)


class Catalog(msgspec.Struct, frozen=True, kw_only=True):
    """What the configuration offers to sessions. The first model is the default one.

    `tables` are the names of the tables; None: only another process knows them. Schemas of callers
    may not use those that are `private`.
    """

    kinds: Mapping[str, Kind]
    models: Mapping[str, ModelName]
    config_digest: str
    schemas: SchemaCache
    tables: Collection[str] | None = None
    private: frozenset[str] = frozenset()
    deadline_ms: int = DEADLINE_MS_DEFAULT
    load_budget_ms: int = LOAD_BUDGET_MS_DEFAULT
    max_iterations: int = ITERATIONS_DEFAULT
    kept_offers: dict[object, Any] = {}
    kept_tasks: dict[object, "SessionTask"] = {}

    def close(self) -> None:
        for kind in self.kinds.values():
            if kind.model_check is not None:
                kind.model_check.close()


class SessionTask(msgspec.Struct, frozen=True, kw_only=True):
    """One session, ready to run, with every default filled in.

    `opening` is the first request to the model: the system text in force, and the caller's messages
    or the prompt as one user turn. `row_messages` are the caller's messages as stored in the row,
    None for a prompt. `sources` are the texts that a quote may come from. `reprompt` is the kind's
    text before the findings. `inline_schema` is the caller's schema, `null` where it sent none.
    `candidates` is what the request says of them; None: as the kind says. `kept_offers` are those
    of earlier sessions, by what their texts named (`offers.py`).
    """

    context: CallContext
    kind: Kind
    schema: CompiledSchema
    model: ModelName
    system: str | None
    prompt: str
    opening: tuple[Message, ...]
    row_messages: tuple[RowMessage, ...] | None
    sources: tuple[str, ...]
    max_iterations: int
    settings: Settings
    reprompt: str | None
    sampling: Sampling
    load_budget_ms: int
    conversation_id: str | None
    metadata: dict[str, str]
    config_digest: str
    inline_schema: msgspec.Raw
    candidates: CandidatesMode | None
    kept_offers: dict[object, Any]


def plan(request: IterateRequest, context: CallContext, catalog: Catalog) -> SessionTask:
    """Build the task of a request.

    Raises:
        Refusal: `invalid_request`, `unknown_kind`, `unknown_model` or `invalid_schema`, naming
            the field, the value and what is allowed.
    """
    messages, sources, row_messages = _messages(request)
    if len(request.metadata) > METADATA_ENTRIES_MAX:
        _check_metadata(request.metadata)
    task = _settled(request, catalog)
    return msgspec.structs.replace(
        task,
        context=context,
        prompt=sources[-1],
        opening=messages if task.system is None else (Message("system", task.system), *messages),
        row_messages=row_messages,
        sources=sources,
        conversation_id=request.conversation_id,
        metadata=request.metadata,
    )


def _settled(request: IterateRequest, catalog: Catalog) -> SessionTask:
    """Return the task of a request but for what is its own, kept for requests that ask alike.

    One that brings a long text or a schema is not kept: the cache of schemas bounds their memory.
    """
    if (
        request.schema != NULL
        or request.output_schema != NULL
        or request.stop is not None
        or len(request.system or "") > TASK_KEPT_CHARS_MAX
    ):
        return _task(request, catalog)
    kept, key = catalog.kept_tasks, (_ASKED(request), bytes(request.temperature))
    task = kept.get(key)
    if task is None:
        task = kept[key] = _task(request, catalog)
        if len(kept) > TASKS_KEPT_MAX:
            kept.pop(next(iter(kept)), None)
    return task


def _task(request: IterateRequest, catalog: Catalog) -> SessionTask:
    """Look up names, check limits and fill in defaults; what is the request's own is left empty."""
    _check_ranges(request)
    kind = _kind(request, catalog)
    inline = _inline_schema(kind, request.output_schema)
    model = find_model(request.model or kind.model, catalog.models)
    history = kind.history or model.history or "findings"
    defaults = model.sampling if kind.sampling == UNSAID else kind.sampling.over(model.sampling)
    temperature, temperature_raw = _temperature(request, defaults)
    asked = Sampling(
        temperature=temperature,
        top_p=request.top_p,
        max_tokens=request.max_tokens,
        seed=request.seed,
        stop=request.stop,
    )
    sampling = defaults if asked == UNSAID else asked.over(defaults)
    schema = judging_schema(kind, inline, catalog.schemas, assert_formats=request.assert_formats)
    if schema.grounding:
        kind = with_carried(kind, schema, catalog.tables, catalog.private)
    return SessionTask(
        context=_NO_CALL,
        kind=kind,
        schema=schema,
        model=model,
        system=kind.system if request.system is None else request.system,
        prompt="",
        opening=(),
        row_messages=None,
        sources=(),
        max_iterations=request.max_iterations or kind.max_iterations,
        settings=Settings(
            constrain=request.constrain,
            temperature=temperature_raw,
            max_tokens=sampling.max_tokens,
            seed=sampling.seed,
            deadline_ms=catalog.deadline_ms if request.deadline_ms is None else request.deadline_ms,
            history=msgspec.UNSET if history == "findings" else history,
            candidates=request.candidates or msgspec.UNSET,
            top_p=msgspec.UNSET if request.top_p is None else _encoded(request.top_p),
            stop=msgspec.UNSET if request.stop is None else request.stop,
            assert_formats=request.assert_formats or msgspec.UNSET,
        ),
        reprompt=kind.reprompt,
        sampling=sampling,
        load_budget_ms=catalog.load_budget_ms,
        conversation_id=None,
        metadata={},
        config_digest=catalog.config_digest,
        inline_schema=inline,
        candidates=request.candidates,
        kept_offers=catalog.kept_offers,
    )


def find_kind(name: str, kinds: Mapping[str, _Found]) -> _Found:
    """Look a kind up by name.

    Raises:
        Refusal: `unknown_kind`, with the list of known kinds.
    """
    kind = kinds.get(name)
    if kind is None:
        raise Refusal(
            "unknown_kind",
            f"kind {name!r} is not configured{did_you_mean(name, kinds)}; "
            f"{f'there is {_names(kinds)}' if kinds else 'no kind is configured'}.",
            hint="GET /v1/kinds lists the kinds, or send `schema` with a JSON Schema of your own.",
        )
    return kind


def find_model(name: str, models: Mapping[str, _Found]) -> _Found:
    """Look a model up by our alias.

    Raises:
        Refusal: `unknown_model`, with the list of known models.
    """
    model = models.get(name)
    if model is None:
        raise Refusal(
            "unknown_model",
            f"model {name!r} is not configured{did_you_mean(name, models)}; "
            f"there is {_names(models)}.",
            hint="GET /v1/models lists the models with their state.",
        )
    return model


def _kind(request: IterateRequest, catalog: Catalog) -> Kind:
    if request.kind is not None and request.schema != NULL:
        raise _invalid("`kind` and `schema` exclude each other: send one of them.")
    if request.kind is not None:
        return find_kind(request.kind, catalog.kinds)
    if request.output_schema != NULL:
        raise _invalid("`output_schema` needs a `kind`: without one, put the schema into `schema`.")
    if request.schema == NULL:
        raise _invalid(
            "`kind` or `schema` is missing: name one of the kinds "
            f"({_names(catalog.kinds)}), or send a JSON Schema."
        )
    model = request.model or next(iter(catalog.models))
    find_model(model, catalog.models)
    return inline_kind(
        request.schema,
        system=request.system,
        max_iterations=request.max_iterations or catalog.max_iterations,
        model=model,
        assert_formats=request.assert_formats,
    )


def _inline_schema(kind: Kind, output_schema: msgspec.Raw) -> msgspec.Raw:
    """Return the caller's schema, as the row has it."""
    if kind.name is None:
        return kind.schema
    return output_schema if output_schema == NULL else compacted_schema(output_schema)


def _messages(
    request: IterateRequest,
) -> tuple[tuple[Message, ...], tuple[str, ...], tuple[RowMessage, ...] | None]:
    """Return the opening turns, the user's texts among them, and the messages for the row."""
    messages = request.messages
    if request.prompt is not None and messages is not None:
        raise _invalid("`prompt` and `messages` exclude each other: send one of them.")
    if request.prompt is not None:
        return (Message("user", request.prompt),), (request.prompt,), None
    if messages is None:
        raise _invalid("`prompt` or `messages` is missing: send the text to work on.")
    if len(messages) > MESSAGES_MAX:
        raise _invalid(f"`messages` has {len(messages)} entries; at most {MESSAGES_MAX}.")
    texts = user_texts(messages, request.metadata)
    if not texts:
        raise _invalid("`messages` has no entry with role `user`; at least one is needed.")
    kept = tuple(RowMessage(message.role, message.content) for message in messages)
    return messages, texts, kept


def _check_metadata(metadata: Mapping[str, str]) -> None:
    count = len(metadata) - len(OWN_MEMBERS & metadata.keys())
    if count > METADATA_ENTRIES_MAX:
        raise _invalid(f"`metadata` has {count} members; at most {METADATA_ENTRIES_MAX}.")


def _check_ranges(request: IterateRequest) -> None:
    for field, low, high in _RANGES:
        value = getattr(request, field)
        if value is not None and not low <= value <= high:
            raise _invalid(f"`{field}` is {value}; allowed is {low} to {high}.")
    if request.top_p is not None and not 0 <= request.top_p <= TOP_P_MAX:
        raise _invalid(f"`top_p` is {request.top_p}; allowed is 0 to {TOP_P_MAX:g}.")
    if request.stop is not None:
        _check_stop(request.stop)


def _check_stop(stop: tuple[str, ...]) -> None:
    if len(stop) > STOPS_MAX:
        raise _invalid(f"`stop` has {len(stop)} texts; allowed are at most {STOPS_MAX}.")
    if "" in stop:
        raise _invalid(
            f"`stop[{stop.index('')}]` is ''; allowed are texts of at least 1 character."
        )


def _temperature(request: IterateRequest, defaults: Sampling) -> tuple[float | None, msgspec.Raw]:
    """Return the temperature in force, as a number and as the row stores it."""
    raw = request.temperature
    if raw == NULL:
        default = defaults.temperature
        return default, NULL if default is None else _encoded(default)
    text = bytes(raw).decode("utf-8")
    value = parse(text)
    if isinstance(value, bool | str | list | dict) or value is None:
        raise _invalid(f"`temperature` is {text}; it must be a number.")
    if not 0 <= value <= TEMPERATURE_MAX:
        raise _invalid(f"`temperature` is {text}; allowed is 0 to {TEMPERATURE_MAX:g}.")
    return float(value), raw


def _encoded(number: float) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(number))


def _invalid(message: str) -> Refusal:
    return Refusal("invalid_request", message, hint="The fields are described at /openapi.json.")


def _names(mapping: Mapping[str, object]) -> str:
    return ", ".join(repr(name) for name in mapping) or "none"
