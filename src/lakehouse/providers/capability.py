"""Finds out which features an endpoint does not support, and remembers them for a while.

An endpoint may not support something that Lakehouse adds to a call (values of tables, the schema,
the name of the length member, sampling that the loop changed). If a rejection can be about one of
these, the call is repeated without it, until it contains only what the caller set; a rejection of
that goes to the caller. These repeats are not retries: they are limited here, and the retry loop
never sees them. Values in a schema go first, into the prompt, and the endpoint is asked otherwise
only if it rejects that as well.
"""

import logging
import re
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Final, Literal

import msgspec
from msgspec.structs import replace

from lakehouse.core.chat import ChatReply, ChatRequest, Message, Offer, OfferMode, Sampling
from lakehouse.core.conversation import offered_turns
from lakehouse.core.json_text import NULL
from lakehouse.core.limits import ATTEMPT_MS_MIN
from lakehouse.providers.error_body import EndpointError
from lakehouse.providers.http_fault import EndpointFault
from lakehouse.providers.narrowed_size import NarrowedSize
from lakehouse.providers.provider import ProviderFault
from lakehouse.providers.strict_schema import is_of_objects, may_be_strict

Form = Literal["strict", "json_schema", "json_object", "none"]
FORMS: Final[tuple[Form, ...]] = ("strict", "json_schema", "json_object", "none")
REPEATS_MAX: Final = 8  # of one call: the offer, three forms, the length member, the sampling

_REMEMBER_S: Final = 3_600.0  # endpoints learn; then it is tried again
_PAUSE_S: Final = 60.0  # after guesses that did not help, fewer are made: it is in trouble
_SCHEMAS_MAX: Final = 256
_DECODING: Final[tuple[Form, ...]] = ("strict", "json_schema")  # the model decodes under a schema
_STATUS: Final = frozenset({400, 404, 415, 422, 500, 501})
_GATEWAY_STATUS: Final = frozenset({502, 504})  # of a server that a large grammar has stopped
_ABOUT_US: Final = frozenset({401, 402, 407, 429})  # whatever words go with them
_CHANGED: Final = ("temperature", "top_p", "seed", "max_tokens")

_FORMAT: Final = re.compile(
    r"response_?format|json_?(schema|object|mode)|json schema|structured.?output|guided|grammar"
    r"|schema|\bstrict\b|['\"`]format['\"`]|invalid format|xgrammar|outlines"
)
_FORMAT_NAMED: Final = re.compile(
    r"response_?format|json_?schema|structured.?output|guided.?(json|decoding)|grammar"
)
_SCHEMA_AT_FAULT: Final = re.compile(
    r"invalid.{0,20}schema|schema.{0,40}(invalid|too (large|complex|many|deep)|must be)|grammar"
    r"|oneof|anyof|allof|\$ref|additionalproperties|'required'|unsupported keyword|compil"
)
_VALUE_AT_FAULT: Final = re.compile(r"too (large|big|high|long)|exceed|maximum|at most|less than")
_TOO_LONG: Final = re.compile(r"context.?(length|window|size)|too long|maximum.{0,20}tokens")
_SAMPLING: Final = {name: re.compile(rf"\b{name}\b") for name in (*_CHANGED, "stop")}
_TOKENS: Final = re.compile(r"\bmax_(completion_|output_)?tokens\b")

_LOG = logging.getLogger(__name__)


def forms_for(setting: str | None, forms: tuple[Form, ...]) -> tuple[Form, ...]:
    """Return the forms to try: all, or only the configured one. Strictness cannot be configured."""
    if setting is None:
        return forms
    return tuple(form for form in forms if (form if form != "strict" else "json_schema") == setting)


class Ask(msgspec.Struct, frozen=True):
    """The form of one call.

    `sampling` is the part of the sampling that is sent, `offered` how the request's offer is.
    """

    form: Form
    tokens_field: str
    sampling: Sampling
    offered: OfferMode | None = None

    def schema_of(self, request: ChatRequest) -> msgspec.Raw:
        """Return the schema to send."""
        if self.offered == "decode" and request.offer is not None:
            return request.offer.schema
        return request.schema

    def messages_of(self, request: ChatRequest) -> tuple[Message, ...]:
        """Return the conversation to send."""
        return offered_turns(request, self.offered)


class _Known(msgspec.Struct, frozen=True):
    form: Form
    until_s: float


class Capabilities:
    """The features that one model's endpoint supports. For one event loop; never persisted."""

    def __init__(
        self,
        model: str,
        forms: tuple[Form, ...],
        *,
        tokens_fields: tuple[str, ...],
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Know nothing yet.

        Args:
            model: The endpoint's name for it, for messages.
            forms: How a schema may be handed over, the best first; the last one is always taken.
            tokens_fields: The names of the length member, the usual one first.
            now_s: A clock that only goes on.
        """
        self._model = model
        self._forms = forms
        self._tokens_fields = tokens_fields
        self._now_s = now_s
        self._by_schema: OrderedDict[bytes, _Known] = OrderedDict()
        self._by_model: _Known | None = None
        self._other_tokens_until_s = 0.0
        self._refused_until_s: dict[str, float] = {}
        self._pause_until_s = 0.0
        self._narrowed = NarrowedSize(model, now_s)
        self._worked: set[Form] = set()
        self._guessed: set[Form] = set()
        self._told: set[str] = set()

    async def ask(
        self,
        request: ChatRequest,
        call: Callable[[Ask, int], Awaitable[ChatReply]],
        *,
        deadline_ms: int,
    ) -> ChatReply:
        """Make a call in the best form that the endpoint supports, within the deadline.

        `call` makes it once, within the given milliseconds.

        Raises:
            ProviderFault: The first one that another form cannot avoid.
        """
        end_s = self._now_s() + deadline_ms / 1000
        first = ask = self.first(request)
        refusal: EndpointFault | None = None
        for repeats in range(REPEATS_MAX + 1):
            try:
                reply = await call(ask, int((end_s - self._now_s()) * 1000))
            except EndpointFault as fault:
                other = self.after(ask, fault, request)
                late = (end_s - self._now_s()) * 1000 < ATTEMPT_MS_MIN
                if other is None or late or repeats == REPEATS_MAX:
                    if refusal is not None and not _too_long(fault):  # no other form helped
                        self._pause_until_s = self._now_s() + _PAUSE_S
                    raise
                refusal, ask = fault, other
            except ProviderFault as fault:
                if ask.offered == "decode" and fault.transport and fault.again:
                    self._narrowed.lost()
                raise
            else:
                break
        self._worked.add(ask.form)
        if ask.offered == "decode":
            self._narrowed.taken(ask.schema_of(request))
        if refusal is None:
            self._guessed.discard(ask.form)
        else:
            self._learn(request, first, ask, refusal)
        return reply if ask.offered is None else replace(reply, offered=ask.offered)

    def first(self, request: ChatRequest) -> Ask:
        """Return the best form of a call that is not known to be rejected."""
        now_s = self._now_s()
        sampling = request.sampling
        for name, until_s in self._refused_until_s.items():
            if now_s < until_s:
                sampling = _reverted(sampling, request.fallback, name)
        other = now_s < self._other_tokens_until_s
        form = self._ladder(request)[0]
        return Ask(
            form,
            self._tokens_fields[-1 if other else 0],
            sampling,
            self._offered(request.offer, form),
        )

    def after(self, ask: Ask, fault: EndpointFault, request: ChatRequest) -> Ask | None:
        """Return another form for a rejected call; None if only the caller's settings are left."""
        error, status = fault.error, fault.http_status
        text = _text(fault)
        if error.refused or error.out_of_quota:
            return None
        of_caller = status in _ABOUT_US
        if ask.offered is not None and _too_long(fault) and not of_caller:
            return _offering_less(ask, request)
        of_form = _FORMAT_NAMED.search(text) is not None and not of_caller
        of_offer = ask.offered == "decode" and status in _GATEWAY_STATUS
        if not (status in _STATUS or of_form or of_offer):
            return None
        other = self._other_field(ask, text)
        if other is not None:
            return other
        changed = [name for name in _CHANGED if _differs(ask.sampling, request.fallback, name)]
        named = [name for name, pattern in _SAMPLING.items() if _names(pattern, name, error, text)]
        if _TOKENS.search(text) or _TOO_LONG.search(text):
            named.append("max_tokens")
        revert = [name for name in changed if name in named]
        if revert:
            return _without(ask, request, revert)
        below = self._below(ask, request)
        if _FORMAT.search(text):
            return below
        if error.says_no_model or (named and ask.offered != "decode"):
            return None
        # It says nothing of what it does not like: what we added goes, step by step.
        if ask.offered == "decode":
            return below
        if self._now_s() >= self._pause_until_s:
            return below or _other(ask, replace(_without(ask, request, changed), offered=None))
        if status >= 500:
            return None
        last = self._ladder(request)[-1]
        return _other(ask, replace(_without(ask, request, changed), form=last, offered=None))

    def _learn(self, request: ChatRequest, first: Ask, last: Ask, fault: EndpointFault) -> None:
        """Learn from a call that was answered in the end; `fault` is the last refusal before."""
        until_s = self._now_s() + _REMEMBER_S
        narrower = first.offered == "decode" and last.offered != "decode"
        if narrower and last.form == first.form and not _too_long(fault):
            sure = fault.http_status < 500 or _FORMAT.search(_text(fault)) is not None
            self._narrowed.refused(first.schema_of(request), fault.public, sure=sure)
        if last.form != first.form:
            self._learn_form(request, first.form, last.form, fault, until_s)
        if last.tokens_field != first.tokens_field:
            self._other_tokens_until_s = until_s
            self._tell(f"`{first.tokens_field}`", f"`{last.tokens_field}`", fault)
        for name in _CHANGED:
            before, now = getattr(first.sampling, name), getattr(last.sampling, name)
            if before != now:
                if name != "max_tokens":  # of a length only this value is refused
                    self._refused_until_s[name] = until_s
                self._tell(f"a changed `{name}`", "the one that was set, if any", fault)

    def _learn_form(
        self, request: ChatRequest, tried: Form, taken: Form, fault: EndpointFault, until_s: float
    ) -> None:
        self._tell(f"`response_format` {tried}", taken, fault)
        text = _text(fault)
        if fault.http_status >= 500 and not _FORMAT.search(text) and tried not in self._guessed:
            # It may have been a failure that passed by itself; the second time tells.
            self._guessed.add(tried)
            return
        known = _Known(taken, until_s)
        if tried in self._worked or _SCHEMA_AT_FAULT.search(text):
            self._by_schema[bytes(request.schema)] = known
            self._by_schema.move_to_end(bytes(request.schema))
            if len(self._by_schema) > _SCHEMAS_MAX:
                self._by_schema.popitem(last=False)
        else:
            self._by_model = known

    def _ladder(self, request: ChatRequest) -> tuple[Form, ...]:
        """List the forms for a call, the best first."""
        if request.schema == NULL:
            return ("none",)
        schema = bytes(request.schema)
        forms = _fitting(self._forms, schema)
        for known in (self._by_model, self._by_schema.get(schema)):
            if known is not None and self._now_s() < known.until_s:
                lowest = FORMS.index(known.form)
                forms = tuple(f for f in forms if FORMS.index(f) >= lowest) or forms[-1:]
        return forms

    def _offered(self, offer: Offer | None, form: Form) -> OfferMode | None:
        if offer is None:
            return None
        if form in _DECODING and offer.schema != NULL and self._narrowed.takes(offer.schema):
            return "decode"
        return "hint" if offer.text("hint") else None

    def _below(self, ask: Ask, request: ChatRequest) -> Ask | None:
        if ask.offered == "decode":
            return _offering_less(ask, request)
        rest = [f for f in self._ladder(request) if FORMS.index(f) > FORMS.index(ask.form)]
        return replace(ask, form=rest[0]) if rest else None

    def _other_field(self, ask: Ask, text: str) -> Ask | None:
        """Name the length otherwise, where its name is what is refused."""
        fields = self._tokens_fields
        if ask.sampling.max_tokens is None or len(fields) < 2 or ask.tokens_field == fields[-1]:
            return None
        if not re.search(rf"\b{ask.tokens_field}\b", text) or _VALUE_AT_FAULT.search(text):
            return None
        return replace(ask, tokens_field=fields[-1])

    def _tell(self, refused: str, taken: str, fault: EndpointFault) -> None:
        if refused in self._told:
            return
        self._told.add(refused)
        _LOG.warning(
            "Model %r: its endpoint does not accept %s; %s is used instead for %d minutes. %s",
            self._model,
            refused,
            taken,
            _REMEMBER_S // 60,
            fault.public,
        )


@lru_cache(maxsize=_SCHEMAS_MAX)
def _fitting(forms: tuple[Form, ...], schema: bytes) -> tuple[Form, ...]:
    """Leave out the forms that a schema cannot be handed over in, whatever the endpoint takes."""
    unfit = {"strict"} if not may_be_strict(schema) else set()
    if not is_of_objects(schema):
        unfit.add("json_object")
    return tuple(form for form in forms if form not in unfit) or ("none",)


def _names(pattern: re.Pattern[str], name: str, error: EndpointError, text: str) -> bool:
    """Whether an error is about a member; `stop` is a common word, so only as the parameter."""
    if name == "stop":
        return error.param.rpartition(".")[2] == "stop"
    return pattern.search(text) is not None


def _differs(sampling: Sampling, fallback: Sampling | None, name: str) -> bool:
    return fallback is not None and getattr(sampling, name) != getattr(fallback, name)


def _reverted(sampling: Sampling, fallback: Sampling | None, name: str) -> Sampling:
    if fallback is None:
        return sampling
    return replace(sampling, **{name: getattr(fallback, name)})


def _other(ask: Ask, changed: Ask) -> Ask | None:
    return None if changed == ask else changed


def _text(fault: EndpointFault) -> str:
    return f"{fault.error.param} {fault.error.message}".lower()


def _too_long(fault: EndpointFault) -> bool:
    """Whether the prompt is too long: a schema may be part of it, a hint always is."""
    text = _text(fault)
    about_length = _TOO_LONG.search(text) is not None and _FORMAT.search(text) is None
    return about_length or fault.http_status == 413


def _offering_less(ask: Ask, request: ChatRequest) -> Ask:
    """Offer in the prompt what was offered in the schema; else nothing."""
    hint = ask.offered == "decode" and request.offer is not None and request.offer.text("hint")
    return replace(ask, offered="hint" if hint else None)


def _without(ask: Ask, request: ChatRequest, names: list[str]) -> Ask:
    sampling = ask.sampling
    for name in names:
        sampling = _reverted(sampling, request.fallback, name)
    return replace(ask, sampling=sampling)
