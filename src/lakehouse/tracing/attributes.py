"""The one table of attributes: which span has which, and which of them are content.

All names are defined here: no caller, schema or model can choose one. Langfuse
reads its own names first, then OpenTelemetry's; every other receiver reads OpenTelemetry's.

Source: the GenAI semantic conventions, the HTTP semantic conventions, and
`packages/shared/src/server/otel/attributes.ts` of Langfuse 4.
"""

from typing import Final

import msgspec

from lakehouse.tracing.span import SpanName

SESSION_SPANS: Final[tuple[SpanName, ...]] = (
    "session",
    "attempt",
    "generation",
    "extraction",
    "schema",
    "grounding",
    "log append",
)
_ALL: Final[tuple[SpanName, ...]] = ("request", *SESSION_SPANS)
_ATTEMPT: Final[tuple[SpanName, ...]] = (
    "attempt",
    "generation",
    "extraction",
    "schema",
    "grounding",
)


class Attribute(msgspec.Struct, frozen=True):
    """One attribute. `content`: sent only where `tracing.content` is true."""

    name: str
    spans: tuple[SpanName, ...]
    meaning: str
    content: bool = False


ATTRIBUTES: Final[tuple[Attribute, ...]] = (
    # --- Ours ---
    Attribute("lakehouse.session_id", _ALL, "`session_id`: the header, the reply, the row"),
    Attribute("lakehouse.row_id", _ALL, "`row_id` of the row"),
    Attribute("lakehouse.verdict", ("session",), "`accepted`, `max_iter_exhausted`, `infra_error`"),
    Attribute("lakehouse.iterations", ("session",), "attempts made"),
    Attribute("lakehouse.accepted_iteration", ("session",), "the accepted one; 0 is a first shot"),
    Attribute("lakehouse.grounded", ("session",), "`grounded` of the row, where it is not null"),
    Attribute("lakehouse.kind", ("session",), "the kind; absent with an inline schema"),
    Attribute("lakehouse.model_alias", ("session", "generation"), "our name for the model"),
    Attribute("lakehouse.daemon", ("session",), "the daemon that wrote the row"),
    Attribute("lakehouse.config_digest", ("session",), "`config_digest` of the row"),
    Attribute("lakehouse.kind_digest", ("session",), "`kind_digest` of the row"),
    Attribute("lakehouse.logged", ("session", "log append"), "whether the row is durable"),
    Attribute("lakehouse.resent", ("session",), "true where the trace was rebuilt from the row"),
    Attribute("lakehouse.iteration", _ATTEMPT, "which attempt, from 0"),
    Attribute("lakehouse.outcome", ("attempt",), "`accepted` or `rejected`"),
    Attribute(
        "lakehouse.passed", ("extraction", "schema", "grounding"), "whether the check passed"
    ),
    Attribute(
        "lakehouse.finding_codes",
        ("session", "attempt", "extraction", "schema", "grounding"),
        "the codes of the findings, in their order; of the session: the last attempt's",
    ),
    Attribute(
        "lakehouse.finding_paths",
        ("attempt", "extraction", "schema", "grounding"),
        "their JSON Pointers, in the same order: they name members as the answer does",
        content=True,
    ),
    Attribute(
        "lakehouse.offered_paths",
        ("attempt",),
        "where values of the tables were offered to the model: JSON Pointers of grounding rules",
    ),
    Attribute("lakehouse.offered_columns", ("attempt",), "their columns, in the same order"),
    Attribute(
        "lakehouse.offered_modes",
        ("attempt",),
        "how, likewise: `decode` in the schema, `hint` in the prompt",
    ),
    Attribute("lakehouse.offered_candidates", ("attempt",), "how many values, likewise"),
    Attribute("lakehouse.repairs", ("extraction",), "how many repairs made it JSON"),
    Attribute("lakehouse.tables", ("grounding",), "the tables read, with their digests, as JSON"),
    Attribute(
        "lakehouse.findings",
        ("attempt", "extraction", "schema", "grounding"),
        "the findings whole, as JSON: they quote the answer",
        content=True,
    ),
    # --- OpenTelemetry ---
    Attribute("error.type", ("request", "session", "attempt", "generation"), "the infra code"),
    Attribute("http.request.method", ("request",), "the method"),
    Attribute("http.route", ("request",), "the route"),
    Attribute("http.response.status_code", ("request",), "the status"),
    Attribute(
        "session.id", SESSION_SPANS, "`conversation_id`: what groups traces (a *session* elsewhere)"
    ),
    Attribute("gen_ai.conversation.id", ("session", "generation"), "`conversation_id` again"),
    Attribute("gen_ai.operation.name", ("generation",), "`chat`"),
    Attribute("gen_ai.provider.name", ("generation",), "the provider"),
    Attribute("gen_ai.request.model", ("generation",), "the provider's name for the model"),
    Attribute(
        "gen_ai.request.temperature", ("generation",), "as set by the caller; first attempt only"
    ),
    Attribute("gen_ai.request.max_tokens", ("generation",), "likewise"),
    Attribute("gen_ai.request.seed", ("generation",), "likewise"),
    Attribute("gen_ai.response.finish_reasons", ("generation",), "why the model stopped"),
    Attribute("gen_ai.usage.input_tokens", ("generation",), "tokens in"),
    Attribute("gen_ai.usage.output_tokens", ("generation",), "tokens out"),
    Attribute(
        "gen_ai.system_instructions", ("generation",), "the system text, as JSON", content=True
    ),
    Attribute(
        "gen_ai.input.messages", ("generation",), "what the model was told, as JSON", content=True
    ),
    Attribute(
        "gen_ai.output.messages", ("generation",), "what the model wrote, as JSON", content=True
    ),
    # --- Langfuse ---
    Attribute(
        "langfuse.observation.type",
        _ALL,
        "`span`, `chain` (session), `generation`, `evaluator` (schema, grounding)",
    ),
    Attribute(
        "langfuse.observation.level",
        ("attempt", "extraction", "schema", "grounding"),
        "`WARNING` where an answer was rejected; Langfuse takes `ERROR` from the span's status",
    ),
    Attribute("langfuse.trace.name", ("session",), "the kind, else `iterate`"),
    Attribute("langfuse.trace.metadata", ("session",), "`metadata` of the request, as JSON"),
    Attribute("langfuse.trace.input", ("session",), "the prompt", content=True),
    Attribute("langfuse.trace.output", ("session",), "the artifact, as JSON", content=True),
    Attribute(
        "langfuse.observation.input",
        ("session", "attempt"),
        "the prompt; what was told",
        content=True,
    ),
    Attribute("langfuse.observation.output", ("session", "attempt"), "the artifact", content=True),
)

NAMES: Final = frozenset(attribute.name for attribute in ATTRIBUTES)
CONTENT: Final = frozenset(attribute.name for attribute in ATTRIBUTES if attribute.content)
