"""One request of an OpenAI client, from its body to its reply: one session, as at every door."""

from functools import lru_cache
from typing import Final, Literal

import msgspec

from lakehouse.admission.admission import Admission, Answered
from lakehouse.admission.keyed_calls import KEY_HEADER, REPLAYED_FIELD, KeyedCall
from lakehouse.core.clock import SystemClock
from lakehouse.core.context import CallContext
from lakehouse.core.errors import Refusal
from lakehouse.core.json_text import NULL
from lakehouse.core.metadata import DOOR_MEMBER, USER_MEMBER, key_member, reserved_fault
from lakehouse.core.ports import KindInfo
from lakehouse.core.session import IterateRequest, SessionReply
from lakehouse.openai_api.client_facts import client_facts
from lakehouse.openai_api.contract import no_contract
from lakehouse.openai_api.conversation_links import ConversationLinks
from lakehouse.openai_api.failure import DoorFailure, failure_of_reply
from lakehouse.openai_api.fault import RequestFault, schema_fault
from lakehouse.openai_api.held_stream import ComingAnswer, StreamTimes, held_response
from lakehouse.openai_api.model_names import ModelNames
from lakehouse.openai_api.parameters import ApiRoute
from lakehouse.openai_api.reply_form import ANY_FUNCTION, ReplyForm, session_outcome
from lakehouse.openai_api.reply_writer import stream_events, whole_response
from lakehouse.openai_api.request import OpenAiRequest
from lakehouse.openai_api.told_answer import ToldAnswer
from lakehouse.openai_api.unchecked import UncheckedModel, key_without_row, unused
from lakehouse.transport.response import Response
from lakehouse.transport.route import Call

_METADATA_KEPT: Final = 256  # of forms and clients, in the order of use
_FORMAT_PARAM: Final[dict[ApiRoute, str]] = {"chat": "response_format", "responses": "text.format"}
PATHS: Final[dict[ApiRoute, str]] = {
    "chat": "/v1/chat/completions",
    "responses": "/v1/responses",
}


class DoorSettings(msgspec.Struct, frozen=True):
    """How requests are served.

    `stream_wait_ms` is how long the status of a stream is held; `unchecked` what becomes of a
    request without a contract.
    """

    stream_wait_ms: int
    unchecked: Literal["refuse", "pass"]


class OpenAiDoor:
    """Serves requests of both routes."""

    def __init__(
        self,
        admission: Admission,
        names: ModelNames,
        links: ConversationLinks,
        unchecked: UncheckedModel,
        settings: DoorSettings,
    ) -> None:
        self._admission = admission
        self._names = names
        self._links = links
        self._unchecked = unchecked
        self._settings = settings

    async def answer(self, call: Call[OpenAiRequest]) -> Response:
        """Run one session, and answer in the form of its route.

        Raises:
            Refusal: The request is refused; no model was called, no row is written.
            InfraError: The names or the log cannot be read.
        """
        asked = call.request
        kind = await self._names.kind(asked.model, current=asked.system is not None)
        keyed = None
        if KEY_HEADER in call.headers:
            keyed = KeyedCall.of(
                call.headers[KEY_HEADER],
                door=PATHS[asked.route],
                caller=call.caller,
                body=call.body,
                repeats=lambda reply: failure_of_reply(reply).repeat,
            )
        if kind is None and asked.contract.schema == NULL:
            if self._settings.unchecked == "refuse":
                raise no_contract(_FORMAT_PARAM[asked.route])
            if keyed is not None:
                raise key_without_row()
            response = await self._unchecked.answer(call, self._times(call))
            return _with_ignored(response, (*asked.ignored, *unused(asked)))
        form = _form(asked)
        request = await self._request(call, kind, form)
        if asked.stream:
            response = await self._streamed(call, request, form, keyed)
        else:
            try:
                answered = await self._admission.answer(request, call.context, keyed)
            except Refusal as refusal:
                raise schema_fault(refusal, asked.contract.param) from None
            outcome = self._outcome(form, request, answered.reply)
            response = _whole(answered, asked.route, outcome, call.elapsed_ms)
        return _with_ignored(response, asked.ignored)

    async def _request(
        self, call: Call[OpenAiRequest], kind: KindInfo | None, form: ReplyForm
    ) -> IterateRequest:
        asked, options = call.request, call.request.options
        schema = asked.contract.schema
        conversation_id = options.conversation_id
        if not conversation_id and asked.row_ids:
            conversation_id = await self._links.conversation(asked.row_ids)
        return IterateRequest(
            kind=None if kind is None else kind.name,
            schema=NULL if kind is not None else schema,
            output_schema=NULL if kind is None else schema,
            messages=asked.messages,
            system=_system(asked, kind),
            model=asked.model.alias if kind is not None else asked.model.text,
            max_iterations=options.max_iterations,
            constrain=options.constrain or "auto",
            temperature=asked.temperature,
            top_p=asked.top_p,
            max_tokens=asked.max_tokens,
            seed=asked.seed,
            stop=asked.stop,
            deadline_ms=options.deadline_ms,
            conversation_id=conversation_id,
            metadata=_metadata(call, form),
            assert_formats=schema != NULL,  # what parses an answer does not take other texts
        )

    async def _streamed(
        self,
        call: Call[OpenAiRequest],
        request: IterateRequest,
        form: ReplyForm,
        keyed: KeyedCall | None,
    ) -> Response:
        session, replayed = await self._admission.begin(request, call.context, keyed)
        coming = ComingAnswer(
            session_id=session.context.session_id,
            reply=session.reply,
            outcome=lambda reply: self._outcome(form, request, reply),
            rejected=session.rejections(),
            schema_param=call.request.contract.param,
        )
        events = stream_events(call.request, form, session.context)
        response = await held_response(coming, events, self._times(call))
        return _of_session(response, session.context, replayed=replayed)

    def _outcome(
        self, form: ReplyForm, request: IterateRequest, reply: SessionReply
    ) -> ToldAnswer | DoorFailure:
        outcome = session_outcome(form, reply)
        # Only a call has an id that a later request carries.
        if form.function is not None and isinstance(outcome, ToldAnswer):
            self._links.learn(reply.row_id, request.conversation_id or reply.session_id)
        return outcome

    def _times(self, call: Call[OpenAiRequest]) -> StreamTimes:
        clock = SystemClock()
        return StreamTimes(
            clock=clock,
            started_ms=clock.monotonic_ms() - call.elapsed_ms,
            wait_ms=self._settings.stream_wait_ms,
        )


def _form(asked: OpenAiRequest) -> ReplyForm:
    function = ANY_FUNCTION if asked.contract.several else asked.contract.function
    return ReplyForm(
        model=asked.model.text,
        function=function,
        legacy=asked.contract.told == "function_call",
        format=asked.contract.format,
    )


def _system(asked: OpenAiRequest, kind: KindInfo | None) -> str | None:
    """Return the system text: a kind's own comes first, since the client knows nothing of it."""
    if kind is None or kind.system is None or asked.system is None:
        return asked.system
    return f"{kind.system}\n\n{asked.system}"


def _metadata(call: Call[OpenAiRequest], form: ReplyForm) -> dict[str, str]:
    asked = call.request
    fault = reserved_fault(asked.metadata)
    if fault is not None:
        param, message = fault
        raise RequestFault(message, "invalid_value", param, "Use another name.")
    own = _own_metadata(asked.route, form, client_facts(call.headers), call.caller)
    if asked.user is None and not asked.metadata:
        return own
    user = {} if asked.user is None else {USER_MEMBER: asked.user}
    if user and asked.metadata.get(USER_MEMBER, asked.user) != asked.user:
        param = f"metadata.{USER_MEMBER}"
        message = f"`{param}` and `{USER_MEMBER}` are one member of the row, and differ."
        raise RequestFault(message, "invalid_value", param, "Send one of them.")
    return {**own, **user, **asked.metadata}


@lru_cache(maxsize=_METADATA_KEPT)
def _own_metadata(
    route: ApiRoute, form: ReplyForm, client: tuple[tuple[str, str], ...], caller: str
) -> dict[str, str]:
    """Return what Lakehouse itself writes of a call; the same for many, and never changed."""
    door = f"openai.{route}"
    return {**dict(client), DOOR_MEMBER: door, **key_member(caller), **form.metadata()}


def _whole(
    answered: Answered, route: ApiRoute, outcome: ToldAnswer | DoorFailure, elapsed_ms: float
) -> Response:
    if isinstance(outcome, DoorFailure):
        response = outcome.response(elapsed_ms)
    else:
        response = whole_response(route, outcome, elapsed_ms)
    return _of_session(response, answered.context, replayed=answered.replayed)


def _of_session(response: Response, context: CallContext, *, replayed: bool) -> Response:
    headers = response.headers
    if replayed:
        headers = (*headers, REPLAYED_FIELD)
    return msgspec.structs.replace(response, headers=headers, context=context)


def _with_ignored(response: Response, ignored: tuple[str, ...]) -> Response:
    if not ignored:
        return response
    header = b"x-lakehouse-ignored", ", ".join(ignored).encode()
    return msgspec.structs.replace(response, headers=(*response.headers, header))
