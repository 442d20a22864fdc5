"""`/openapi.json`: the public API described from the same types that decode and encode it."""

from typing import Any, Final, get_args

import msgspec

from lakehouse import __version__
from lakehouse.core.chat import ChatReply, ChatRequest, ModelStatus
from lakehouse.core.errors import INFRA_STATUS, PROBLEM_STATUS
from lakehouse.core.limits import SESSIONS_LIMIT_DEFAULT, SESSIONS_LIMIT_MAX
from lakehouse.core.ports import KindInfo, ValidateRequest
from lakehouse.core.replay_row import Feedback, FeedbackRequest
from lakehouse.core.row import Row
from lakehouse.core.session import IterateRequest, SessionReply, ValidateReply, Verdict
from lakehouse.transport.health import Readiness
from lakehouse.transport.problem import PROBLEM_TYPE, Problem

_TYPES: Final = (
    IterateRequest,
    SessionReply,
    ValidateRequest,
    ValidateReply,
    ChatRequest,
    ChatReply,
    KindInfo,
    ModelStatus,
    Row,
    FeedbackRequest,
    Feedback,
    Readiness,
    Problem,
)
_TEXT: Final = {"type": "string"}


def document(*, with_keys: bool) -> dict[str, Any]:
    """Describe every route of the gateway in OpenAPI 3.1. `with_keys`: a bearer key is needed."""
    _, components = msgspec.json.schema_components(
        _TYPES, schema_hook=_raw, ref_template="#/components/schemas/{name}"
    )
    api: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "Lakehouse gateway",
            "version": __version__,
            "description": "Validated, table-grounded artifacts from language models.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": _paths(),
        "components": {"schemas": components},
    }
    if with_keys:
        api["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        api["security"] = [{"key": []}]
    return api


def _paths() -> dict[str, Any]:
    return {
        "/v1/iterate": {"post": _iterate()},
        "/v1/validate": {
            "post": _post("Judge a given answer; no model, no row.", "Validate", {400, 401, 503})
        },
        "/v1/chat": {
            "post": _post("Ask a model once.", "Chat", {400, 401, *INFRA_STATUS.values()})
        },
        "/v1/kinds": {"get": _get("List the kinds.", _list("kinds", "KindInfo"))},
        "/v1/models": {"get": _get("List the models.", _list("models", "ModelStatus"))},
        "/v1/sessions": {"get": _sessions()},
        "/v1/sessions/{id}": {"get": _session()},
        "/v1/feedback": {
            "post": _post(
                "Say of a session whether it was right, or what would have been.",
                "Feedback",
                {400, 401, 404, 409, 503},
                reply="Feedback",
            )
        },
        "/livez": {"get": _get("Whether the process answers.", {"type": "object"}, problems=set())},
        "/readyz": {"get": _readyz()},
        "/metrics": {"get": _metrics()},
        "/openapi.json": {"get": _get("This document.", {"type": "object"})},
    }


def _iterate() -> dict[str, Any]:
    operation = _post(
        "Run one session: generate, extract, check, re-prompt, verdict.",
        "Iterate",
        {400, 401, 413, 415, 429, 503},
        reply="SessionReply",
    )
    verdicts = ", ".join(get_args(Verdict))
    for status in {422, *INFRA_STATUS.values()}:
        content = operation["responses"].setdefault(
            str(status), {"description": f"A session's end; verdict: {verdicts}.", "content": {}}
        )["content"]
        content["application/json"] = {"schema": _ref("SessionReply")}
    return operation


def _sessions() -> dict[str, Any]:
    names = ("kind", "model", "verdict", "code", "daemon", "conversation_id", "since", "until")
    limit = {
        "type": "integer",
        "minimum": 1,
        "maximum": SESSIONS_LIMIT_MAX,
        "default": SESSIONS_LIMIT_DEFAULT,
    }
    schema = {
        "type": "object",
        "properties": {
            "sessions": {"type": "array", "items": {"type": "object"}},
            "next": {"type": ["string", "null"]},
        },
        "required": ["sessions", "next"],
    }
    operation = _get("List sessions, newest first, without their attempts.", schema)
    operation["parameters"] = [
        *({"name": name, "in": "query", "schema": _TEXT} for name in (*names, "cursor")),
        {"name": "limit", "in": "query", "schema": limit},
    ]
    return operation


def _session() -> dict[str, Any]:
    schema = {
        "type": "object",
        "properties": {
            "session_id": _TEXT,
            "rows": {"type": "array", "items": _ref("Row")},
            "next": {"type": ["string", "null"]},
        },
        "required": ["session_id", "rows", "next"],
    }
    operation = _get(
        "Every row of a session, or the row of a row id.", schema, problems={400, 401, 404}
    )
    operation["parameters"] = [
        {"name": "id", "in": "path", "required": True, "schema": _TEXT},
        {"name": "cursor", "in": "query", "schema": _TEXT},
    ]
    return operation


def _readyz() -> dict[str, Any]:
    operation = _get("Whether sessions can be taken on.", _ref("Readiness"), problems=set())
    operation["responses"]["503"] = _response("Not ready.", _ref("Readiness"))
    return operation


def _metrics() -> dict[str, Any]:
    operation = _get("Counters and histograms, for Prometheus.", {}, problems={401})
    operation["responses"]["200"]["content"] = {"text/plain": {"schema": _TEXT}}
    return operation


def _post(
    summary: str, name: str, problems: set[int], *, reply: str | None = None
) -> dict[str, Any]:
    return {
        "summary": summary,
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": _ref(f"{name}Request")}},
        },
        "responses": {
            "200": _response("Done.", _ref(reply or f"{name}Reply")),
            **_problems(problems | {413, 415}),
        },
    }


def _get(
    summary: str, schema: dict[str, Any], *, problems: set[int] | None = None
) -> dict[str, Any]:
    return {
        "summary": summary,
        "responses": {
            "200": _response("Done.", schema),
            **_problems({400, 401} if problems is None else problems),
        },
    }


def _problems(statuses: set[int]) -> dict[str, Any]:
    codes: dict[int, list[str]] = {}
    for code, status in [*PROBLEM_STATUS.items(), *INFRA_STATUS.items()]:
        codes.setdefault(status, []).append(code)
    return {
        str(status): {
            "description": f"Refused: {', '.join(dict.fromkeys(codes[status]))}.",
            "content": {PROBLEM_TYPE: {"schema": _ref("Problem")}},
        }
        for status in sorted(statuses)
    }


def _response(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _list(member: str, name: str) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {member: {"type": "array", "items": _ref(name)}},
        "required": [member],
    }


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _raw(kind: type) -> dict[str, Any]:
    """Describe raw JSON: anything."""
    if kind is msgspec.Raw:
        return {}
    raise NotImplementedError(kind)
