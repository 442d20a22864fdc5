"""`/openapi.json`: built from the routes and from the types that decode and encode their bodies."""

import asyncio
from collections.abc import Mapping
from functools import cache
from http import HTTPStatus
from typing import Any, Final

import msgspec

from lakehouse import __version__
from lakehouse.core.row import Row
from lakehouse.transport.response import Response, json_response
from lakehouse.transport.route import Call, Route, Routes

_TEXT: Final = {"type": "string"}
_OF_BODIES: Final = ("too_large", "unsupported_media_type")  # of every route that takes one
_PLACE: Final = "#/components/schemas/{name}"


def document_routes(routes: Routes, *, with_keys: bool) -> Routes:
    """Return the route that serves the document of the given routes and of itself."""

    @cache
    def answer() -> Response:
        return json_response(document((*routes, own), with_keys=with_keys))

    async def show(_: Call[None]) -> Response:
        return await asyncio.to_thread(answer)  # made for the first request, in 50 ms

    own = Route(
        method="GET",
        path="/openapi.json",
        handler=show,
        summary="This document.",
        reply={"type": "object"},
    )
    return (own,)


def document(routes: Routes, *, with_keys: bool) -> dict[str, Any]:
    """Describe routes in OpenAPI 3.1. `with_keys`: a bearer key is required."""
    types: dict[Any, None] = {}
    for route in routes:
        used = (route.request, route.reply, route.errors.body)
        types |= {each: None for each in used if isinstance(each, type)}
    # Rows are sent as raw bytes of the log, so no reply type refers to this one.
    types |= {Row: None}
    schemas, components = msgspec.json.schema_components(
        types, schema_hook=_raw, ref_template=_PLACE
    )
    references: dict[type, dict[str, Any]] = dict(zip(types, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        operation = _operation(route, references, with_keys=with_keys)
        paths.setdefault(route.path, {})[route.method.lower()] = operation
    api: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "Lakehouse gateway",
            "version": __version__,
            "description": "Validated, table-grounded artifacts from language models.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {"schemas": components},
    }
    if with_keys:
        api["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        api["security"] = [{"key": []}]
    return api


def _operation(
    route: Route[Any], references: Mapping[type, dict[str, Any]], *, with_keys: bool
) -> dict[str, Any]:
    reply = references[route.reply] if isinstance(route.reply, type) else route.reply
    operation: dict[str, Any] = {"summary": route.summary}
    parameters: list[dict[str, Any]] = [
        {"name": part[1:-1], "in": "path", "required": True, "schema": _TEXT}
        for part in route.path.split("/")
        if part.startswith("{")
    ]
    parameters += [
        {"name": each.name, "in": "query", "schema": each.schema or _TEXT}
        for each in route.query or ()
    ]
    if parameters:
        operation["parameters"] = parameters
    if route.request is not None:
        content = {"application/json": {"schema": references[route.request]}}
        operation["requestBody"] = {"required": True, "content": content}
    if with_keys and route.access == "open":
        operation["security"] = []
    responses = _problems(route, references[route.errors.body])
    done: dict[str, Any] = {
        "description": "Done.",
        "content": {route.media_type: {"schema": reply}},
    }
    responses["200"] = done
    for status, description in route.others.items():
        answer = responses.setdefault(str(status), {"description": description, "content": {}})
        answer["content"]["application/json"] = {"schema": reply}
    operation["responses"] = dict(sorted(responses.items()))
    return operation


def problem_statuses(route: Route[Any]) -> set[int]:
    """Return the error statuses of a route: those implied by its fields, and its own."""
    statuses = set(route.problems)
    if route.access == "key":
        statuses |= {400, 401}  # no host, or no key
    if route.request is not None:
        statuses |= {route.errors.statuses[code] for code in _OF_BODIES}
    return statuses


def _problems(route: Route[Any], schema: dict[str, Any]) -> dict[str, dict[str, Any]]:
    codes: dict[int, list[str]] = {}
    for code, status in route.errors.statuses.items():
        codes.setdefault(status, []).append(code)
    return {
        str(status): {
            "description": f"{HTTPStatus(status).phrase}: {', '.join(codes[status])}.",
            "content": {route.errors.media_type: {"schema": schema}},
        }
        for status in sorted(problem_statuses(route))
    }


def _raw(kind: type) -> dict[str, Any]:
    """Describe raw JSON: anything."""
    if kind is msgspec.Raw:
        return {}
    raise NotImplementedError(kind)
