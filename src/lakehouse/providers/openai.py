"""Any OpenAI-compatible endpoint (`…/v1`): hosted services, vLLM, llama.cpp's server.

Answers are requested whole, not streamed: nothing is shown before it is validated, and one body
costs the least CPU. An endpoint that streams anyway is `upstream_malformed`: its output cannot be
distinguished from a broken answer. Endpoints support different features; `capability.py` decides
what to send.
"""

import asyncio
import logging
from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar, Final, Literal
from urllib.parse import urlsplit

import msgspec

from lakehouse.core.chat import ChatReply, ChatRequest, Message, ModelState, SchemaLimits
from lakehouse.core.conversation import last_user_turn, with_text
from lakehouse.core.errors import SetupError
from lakehouse.providers.access import OPEN, Access, HttpSettings
from lakehouse.providers.capability import FORMS, Ask, Capabilities, forms_for
from lakehouse.providers.completion import read_completion, reply_of_fault
from lakehouse.providers.endpoint import Endpoint
from lakehouse.providers.http_fault import EndpointFault, Malformed, decode, malformed
from lakehouse.providers.provider import ProviderFault, Surroundings, too_slow
from lakehouse.transport.client import HttpClient, HttpReply, TransportFault

_NAME: Final = "openai"
_LOAD_POLL_S: Final = 0.5
_TOKENS_FIELDS: Final = ("max_tokens", "max_completion_tokens")
_JSON_WANTED: Final = "Answer with one JSON object."
_LOG = logging.getLogger(__name__)


class OpenAiSettings(HttpSettings, frozen=True, kw_only=True, tag=_NAME):
    """`base_url` is the API's address, often ending in `/v1`.

    `max_tokens_field` is the name under which `max_tokens` is sent; by default Lakehouse finds out.
    """

    INSTEAD: ClassVar[Mapping[str, str]] = {
        "think": "of an OpenAI-compatible endpoint write "
        'extra_body = { reasoning_effort = "low" }, or what its documentation names',
        "context_tokens": "of an OpenAI-compatible endpoint it is the server's own setting",
    }
    OWN_MEMBERS: ClassVar[Mapping[str, str]] = {
        "messages": "",
        "stream": "",
        "max_completion_tokens": 'max_tokens and max_tokens_field = "max_completion_tokens"',
        **{
            name: name
            for name in ("model", "response_format", "temperature", "top_p", "max_tokens", "seed",
                         "stop")
        },
    }  # fmt: skip

    # OpenAI takes 1,000 values of all enums (500 until July 2025, and at some that copy its API),
    # no union at the root, and 15,000 characters of an enum with over 250 values. Others publish
    # no numbers. What is refused all the same is asked for in the prompt.
    DECODING: ClassVar[SchemaLimits | None] = SchemaLimits(
        values_max=500, characters_max=15_000, bytes_max=64 << 10, root_union=False
    )

    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] | None = None

    def url_fault(self) -> str | None:
        """Check that it is the address of an API, and the whole of it."""
        fault = super().url_fault()
        if fault is not None:
            return fault
        url = self.base_url or ""
        path = urlsplit(url).path
        if not path:
            return (
                f"is {url!r}, which has no path; write the API's whole address, such as {url}/v1 "
                f"(or {url}/ where it really is at the root)"
            )
        for ending in ("/chat/completions", "/completions", "/models"):
            if path.rstrip("/").endswith(ending):
                return f"is {url!r}; leave {ending} out, it is added to each call"
        return None

    def open(self, name: str, around: Surroundings) -> "OpenAiProvider":
        """Make the provider; raises likewise."""
        http, access = self.way_in(name, around)
        return OpenAiProvider(self, http, access=access)


class _Listed(msgspec.Struct):
    id: str
    owned_by: Any = None
    meta: Any = None


class _Models(msgspec.Struct):
    data: list[_Listed]


class OpenAiProvider:
    """One model at one endpoint. The contents of `access` are sent only to that endpoint.

    Raises:
        SetupError: `base_url` is missing or unfit, or the key cannot stand in a header.
    """

    def __init__(
        self, settings: OpenAiSettings, http: HttpClient, *, access: Access = OPEN
    ) -> None:
        if settings.base_url is None:
            raise SetupError(
                f"Model {settings.model!r} of provider 'openai' needs base_url, ending in /v1."
            )
        self._settings = settings
        self._sampling = settings.sampling()
        self._endpoint = Endpoint(settings, http, settings.base_url, access)
        field = settings.max_tokens_field
        self._capabilities = Capabilities(
            settings.model,
            forms_for(settings.response_format, FORMS),
            tokens_fields=_TOKENS_FIELDS if field is None else (field,),
        )
        self._loading = False

    async def complete(
        self, request: ChatRequest, *, trace: Mapping[str, str], deadline_ms: int
    ) -> ChatReply:
        """Make one call; see the protocol. A server that says it is loading: `model_loading`."""
        request = request.with_defaults(self._sampling)
        call = partial(self._call, request, trace)
        return await self._capabilities.ask(request, call, deadline_ms=deadline_ms)

    async def _call(
        self, request: ChatRequest, trace: Mapping[str, str], ask: Ask, left_ms: int
    ) -> ChatReply:
        model = self._settings.model
        try:
            answer = await self._endpoint.post(
                "/chat/completions", self._body(request, ask), trace=trace, deadline_ms=left_ms
            )
            self._loading = False
            return read_completion(model, _NAME, answer, secrets=self._endpoint.secrets)
        except EndpointFault as fault:
            self._loading = fault.code == "model_loading"
            reply = reply_of_fault(model, _NAME, fault)
            if reply is None:
                raise
            _LOG.info("%s Treated as an answer of the model: %s.", fault, reply.finish_reason)
            return reply
        except Malformed as error:
            raise malformed(model, answer, str(error)) from error

    async def load(self) -> None:
        """Return at once, unless the last call found the model loading.

        Then poll the state every 0.5 s until it is loaded. Such a server cannot be asked to load,
        and nothing here could abort its load.
        """
        if not self._loading:
            return
        model = self._settings.model
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + self._settings.load_timeout_ms / 1000
        while loop.time() + _LOAD_POLL_S <= give_up_at:
            await asyncio.sleep(_LOAD_POLL_S)
            state, detail = await self.state()
            if state == "unreachable":
                raise ProviderFault(
                    "connect",
                    f"The endpoint of model {model!r} stopped responding while it was loading.",
                    again=True,
                    transport=True,
                    hint="Check the log of the model's server for the reason, and start it again.",
                    internal=f"model {model!r}: {detail}",
                )
            if state != "loading":
                self._loading = False
                return
        raise too_slow(model, self._settings)

    async def state(self) -> tuple[ModelState, str | None]:
        """Return the state, from the endpoint's list of models.

        A list with other names only is `missing`; an empty list, or an endpoint that has none,
        counts as `ready`, since it proves nothing. llama.cpp's server lists its one model by file
        path, serves it under any name, and shows no `meta` while it loads.
        """
        try:
            reply = await self._endpoint.ask("/models")
        except TransportFault as fault:
            return "unreachable", str(fault)
        if reply.status in {404, 405, 501}:
            return "ready", "the endpoint does not list its models, so base_url was not verified"
        if reply.status == 503 and b"loading" in reply.body.lower():
            return "loading", None
        if not 200 <= reply.status < 300:
            return "unreachable", f"status {reply.status} for the list of models"
        return self._listed_state(reply)

    async def close(self) -> None:
        """Release nothing: the connections are the HTTP client's."""

    def _listed_state(self, reply: HttpReply) -> tuple[ModelState, str | None]:
        model = self._settings.model
        try:
            listed = decode(reply.body, _Models).data
        except Malformed:
            return "unreachable", "the list of models cannot be read; check base_url"
        if len(listed) == 1 and listed[0].owned_by == "llamacpp":
            return ("loading", None) if listed[0].meta is None else ("ready", None)
        names = [entry.id for entry in listed]
        if not names or any(
            name in {model, f"models/{model}", f"{model}:latest"} for name in names
        ):
            return "ready", None
        some = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
        return "missing", f"the endpoint lists {some[:200]}"

    def _body(self, request: ChatRequest, ask: Ask) -> dict[str, Any]:
        body: dict[str, Any] = {
            **self._settings.extra_body,
            "model": self._settings.model,
            "messages": ask.messages_of(request),
            "stream": False,
            **ask.sampling.members(ask.tokens_field),
        }
        if ask.form == "json_object":
            body["response_format"] = {"type": "json_object"}
            body["messages"] = _naming_json(body["messages"])
        elif ask.form != "none":
            schema = ask.schema_of(request)
            named = {"name": "artifact", "schema": schema, "strict": ask.form == "strict"}
            body["response_format"] = {"type": "json_schema", "json_schema": named}
        return body


def _naming_json(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Say JSON in the conversation: OpenAI refuses json_object mode where nobody does."""
    if any("json" in message.content.lower() for message in messages):
        return messages
    at = last_user_turn(messages)
    return with_text(messages, at if at >= 0 else len(messages) - 1, _JSON_WANTED)
