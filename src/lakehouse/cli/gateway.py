"""Calls from the command line to a running gateway."""

from collections.abc import Awaitable, Mapping

import msgspec

from lakehouse.core.chat import ModelName
from lakehouse.core.errors import InfraError, Refusal, SetupError
from lakehouse.core.limits import DEADLINE_MS_MAX, LOAD_BUDGET_MS_DEFAULT, ROW_BYTES_MAX
from lakehouse.core.session import IterateRequest, SessionReply
from lakehouse.engine.task import find_kind, find_model
from lakehouse.transport.client import HttpClient, HttpLimits, HttpReply, TransportFault
from lakehouse.transport.problem import PROBLEM_TYPE, error_of

_ANSWER_MS = DEADLINE_MS_MAX + LOAD_BUDGET_MS_DEFAULT
_LIMITS = HttpLimits(5_000, _ANSWER_MS, _ANSWER_MS, _ANSWER_MS, 4 * ROW_BYTES_MAX)


class _Named(msgspec.Struct):
    name: str
    model: str = ""
    digest: str = ""


class _Kinds(msgspec.Struct):
    kinds: tuple[_Named, ...]


class _JudgedBy(msgspec.Struct):
    tables: dict[str, str]


class _Rows(msgspec.Struct):
    rows: tuple[_JudgedBy, ...]


class _Models(msgspec.Struct):
    models: tuple[ModelName, ...]


class GatewayCaller:
    """Speaks to one gateway, with the key that a variable of the environment holds."""

    def __init__(self, url: str, api_key_env: str | None, environment: Mapping[str, str]) -> None:
        self._url = url.rstrip("/")
        self._http = HttpClient()
        self._headers = {"content-type": "application/json"}
        if api_key_env is not None:
            key = environment.get(api_key_env)
            if not key:
                raise SetupError(f"${api_key_env} is named by --api-key-env, but is not set.")
            self._headers["authorization"] = f"Bearer {key}"

    async def iterate(self, request: IterateRequest) -> SessionReply:
        """Run one session.

        Raises:
            Refusal: The gateway did not take it on.
            InfraError: `connect`: no gateway answers there.
        """
        return msgspec.json.decode((await self.post(request)).body, type=SessionReply)

    async def facts(self, request: IterateRequest) -> tuple[str, str]:
        """Give the digest of the request's kind and its model's own name, as the gateway has them.

        Raises as `iterate` does, and where the gateway does not know the kind or the model.
        """
        kinds = msgspec.json.decode(await self._get("/v1/kinds"), type=_Kinds).kinds
        kind = find_kind(request.kind or "", {kind.name: kind for kind in kinds})
        models = msgspec.json.decode(await self._get("/v1/models"), type=_Models).models
        alias = request.model or kind.model
        return kind.digest, find_model(alias, {model.name: model for model in models}).model

    async def tables(self, row_id: str) -> dict[str, str] | None:
        """Give the digests of the tables that judged a session; None if its row is not there."""
        try:
            rows = msgspec.json.decode(await self._get(f"/v1/sessions/{row_id}"), type=_Rows).rows
        except Refusal:
            return None
        return rows[0].tables if rows else None

    async def post(self, request: IterateRequest) -> HttpReply:
        """Run one session and give the reply's own bytes; raises as `iterate` does."""
        return await self._answer(
            self._http.post(
                self._url + "/v1/iterate",
                headers=self._headers,
                body=msgspec.json.encode(request),
                limits=_LIMITS,
            )
        )

    async def _get(self, path: str) -> bytes:
        call = self._http.get(self._url + path, headers=self._headers, limits=_LIMITS)
        return (await self._answer(call)).body

    async def _answer(self, call: Awaitable[HttpReply]) -> HttpReply:
        try:
            reply = await call
        except (TransportFault, ValueError) as fault:
            raise InfraError(
                "connect",
                f"No gateway answers at {self._url}: {fault}.",
                hint="Start one with `lakehouse up`, or name another with --url.",
            ) from fault
        if reply.headers.get("content-type", "").startswith(PROBLEM_TYPE):
            error = error_of(reply.body, reply.headers.get("retry-after", ""))
            if error is not None:
                raise error
        return reply

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()
