"""Reads what an endpoint says went wrong, in any form of error body.

Objects (OpenAI, vLLM, Groq, Together, Azure, Anthropic), texts (Ollama, LM Studio, TGI), lists
(Gemini), FastAPI's `detail`, web pages, plain text, and errors carried inside errors (OpenRouter's
`metadata.raw`, Azure's `innererror`). It only reads; `http_fault.py` decides what follows.
"""

import json
import re
from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from lakehouse.core.redaction import redact
from lakehouse.providers.wait_hint import member_waits, prose_s

_READ_BYTES_MAX: Final = 64 << 10  # of a body that is no JSON
_WORDS_CHARS_MAX: Final = 1_500  # of what an endpoint said: there is more to an error than that
_TITLE: Final = re.compile(r"(?i)<title[^<>]{0,200}>([^<]{1,500})")
_TAG: Final = re.compile(r"<[^<>]{0,2000}>")
_DEPTH_MAX: Final = 6  # errors carried inside errors
_PARTS_MAX: Final = 32  # objects looked at in one body
_CODE_WORD: Final = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_STATUS: Final = re.compile(r"[45][0-9]{2}")
_INSIDE: Final = ("error", "errors", "detail", "details", "innererror", "inner_error", "metadata",
                  "raw", "base_resp", "message")  # fmt: skip
_CODES: Final = ("code", "status", "status_code", "http_status", "statusCode", "type", "error_type",
                 "error_code", "errorCode", "reason", "err_type")  # fmt: skip
_MESSAGES: Final = ("message", "Message", "msg", "error_msg", "status_msg", "error_message",
                    "error", "error_description", "detail", "title")  # fmt: skip

# What the words of common endpoints mean as a status; compared without case, separators and the
# endings "error" and "exception".
_STATUS_OF_WORD: Final[dict[str, int]] = {
    **dict.fromkeys(("badrequest", "invalidrequest", "invalidargument", "invalidparameter",
                     "validation", "unprocessableentity", "contextlengthexceeded",
                     "unsupportedparameter", "unsupportedvalue", "invalidvalue",
                     "failedprecondition", "outofrange", "invalidprompt"), 400),
    **dict.fromkeys(("unauthorized", "unauthenticated", "authentication", "invalidapikey",
                     "invalidauthentication"), 401),
    **dict.fromkeys(("paymentrequired", "insufficientcredits", "insufficientbalance",
                     "billing"), 402),
    **dict.fromkeys(("forbidden", "permission", "permissiondenied", "accessdenied"), 403),
    **dict.fromkeys(("notfound", "modelnotfound", "resourcenotfound"), 404),
    **dict.fromkeys(("ratelimit", "ratelimited", "ratelimitexceeded", "ratelimitreached",
                     "toomanyrequests", "resourceexhausted", "throttling", "throttled",
                     "quotaexceeded", "insufficientquota", "requestlimitexceeded"), 429),
    **dict.fromkeys(("internal", "internalserver", "server", "api", "unknown", "engine",
                     "modelruntime"), 500),
    **dict.fromkeys(("badgateway", "upstream", "provider"), 502),
    **dict.fromkeys(("overloaded", "engineoverloaded", "modeloverloaded", "serveroverloaded",
                     "unavailable", "serviceunavailable", "capacityexceeded", "serverbusy",
                     "insufficientsystemresource"), 503),
    **dict.fromkeys(("timeout", "gatewaytimeout", "deadlineexceeded", "requesttimeout"), 504),
}  # fmt: skip
_STATUS_OF_PROSE: Final = (
    (re.compile(r"rate.?limit|too many requests|quota|resource.?exhausted", re.IGNORECASE), 429),
    (re.compile(r"overloaded|at capacity|server busy|unavailable", re.IGNORECASE), 503),
    (re.compile(r"model.{0,80}(not found|does not exist|unknown)", re.IGNORECASE), 404),
    (re.compile(r"unauthori[sz]ed|(invalid|incorrect) api.?key", re.IGNORECASE), 401),
    (re.compile(r"timed? ?out", re.IGNORECASE), 504),
)
_REFUSED_WORDS: Final = frozenset(
    {
        "contentfilter", "contentfiltered", "responsibleaipolicyviolation",
        "contentpolicyviolation", "contentpolicy", "datainspectionfailed", "invalidprompt",
        "promptblocked", "contentblocked", "moderationblocked", "contentmoderation", "safety",
        "prohibitedcontent", "blocklist", "recitation", "spii", "sensitivewordsdetected",
        "guardrailintervened", "1301",
    }
)  # fmt: skip
_REFUSED_PROSE: Final = re.compile(
    r"content management policy|content exists risk|considered high risk|content.?filter"
    r"|violat\w+ (our|the|openai'?s|its|their)? ?(usage|content|safety|responsible ai) "
    r"(polic|guideline)|guardrail.{0,30}(intervened|blocked|triggered)"
    r"|inappropriate content|(requires|flagged by|blocked by) (the )?(moderation|safety|content)",
    re.IGNORECASE,
)
_QUOTA_WORDS: Final = frozenset(
    {"insufficientquota", "billing", "billinghardlimitreached", "insufficientbalance",
     "quotaexceeded"}
)  # fmt: skip
# Not "quota" alone: some call the limit of a minute so.
_QUOTA_PROSE: Final = re.compile(
    r"insufficient[ _]?(quota|balance|credits?|funds)|credit balance|(more|out of|no) credits\b",
    re.IGNORECASE,
)
_KEY_PROSE: Final = re.compile(
    r"api.?key.{0,30}(not valid|invalid|incorrect|expired|missing|not found)"
    r"|(invalid|incorrect|expired|missing) .{0,20}api.?key",
    re.IGNORECASE,
)
_LOADING: Final = re.compile(
    r"(?<!error )(?<!failed )(?<!while )loading.{0,80}model|model.{0,80}(?<!error )loading",
    re.IGNORECASE,
)
_NO_MODEL: Final = re.compile(
    r"model.{0,160}(not found|does(n't| not) exist|is not (available|found|loaded)|unknown)"
    r"|(no such|unknown|invalid|unrecognized) model|not a valid model"
    r"|deployment.{0,80}does not exist",
    re.IGNORECASE,
)
# Of a request that is refused as it is, only this much is clear.
_NO_SUCH_NAME: Final = re.compile(
    r"(no such|unknown|unrecognized) model\b|invalid model (id|name)|not a valid model",
    re.IGNORECASE,
)
_NUMBER_IN_PROSE: Final = re.compile(
    r"\b(?:error code|status(?: code)?|http(?: error)?)[ :=]{1,3}([45][0-9]{2})\b", re.IGNORECASE
)


class EndpointError(msgspec.Struct, frozen=True):
    """What an endpoint reported about a failure; empty if nothing was readable.

    `code` is its most specific code, unchanged. `words` are all its codes and types, lowercase and
    without separators. `message` is one line without keys. `told_status` is the status that the
    body names, by number or by word. `wait_s` is the wait that the body asks for. `flagged`: a
    router's moderation stopped it. `generation` is an answer that the endpoint itself found to be
    no JSON, and sent as an error.
    """

    code: str | None = None
    words: frozenset[str] = frozenset()
    message: str = ""
    param: str = ""
    told_status: int | None = None
    wait_s: float | None = None
    flagged: bool = False
    generation: str = ""

    @property
    def empty(self) -> bool:
        return not (self.words or self.message or self.told_status or self.flagged)

    @property
    def status(self) -> int:
        """The status that the error stands for; 500 where it names none."""
        if self.told_status is not None:
            return self.told_status
        if self.out_of_quota:
            return 402
        number = _NUMBER_IN_PROSE.search(self.message)
        if number is not None:
            return int(number[1])
        said = " ".join((self.message, *sorted(self.words)))
        return next((s for pattern, s in _STATUS_OF_PROSE if pattern.search(said)), 500)

    @property
    def refused(self) -> bool:
        """Whether a content filter stopped the prompt or the answer: a refusal, not an outage."""
        return bool(
            self.flagged or self.words & _REFUSED_WORDS or _REFUSED_PROSE.search(self.message)
        )

    @property
    def out_of_quota(self) -> bool:
        """Whether the quota is used up, so that waiting does not help."""
        return bool(self.words & _QUOTA_WORDS or _QUOTA_PROSE.search(self.message))

    @property
    def bad_key(self) -> bool:
        """Whether the key was rejected, whatever the status."""
        return _KEY_PROSE.search(self.message) is not None

    @property
    def says_loading(self) -> bool:
        return _LOADING.search(self.message) is not None

    @property
    def says_no_model(self) -> bool:
        known = {"modelnotfound", "deploymentnotfound"} & self.words
        return bool(known) or _NO_MODEL.search(self.message) is not None

    @property
    def names_no_model(self) -> bool:
        """Whether it clearly says so: some report it as a bad request."""
        return "modelnotfound" in self.words or _NO_SUCH_NAME.search(self.message) is not None


def read_body(body: bytes, *, media_type: str = "", secrets: Collection[str] = ()) -> EndpointError:
    """Read a whole body as an error, in any form; `secrets` are removed from everything kept."""
    try:
        value: object = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        value = _plain(body, media_type)
    return read_error(value, secrets=secrets)


def read_error(value: object, *, secrets: Collection[str] = ()) -> EndpointError:
    """Read an error of any common form from its JSON value, likewise."""
    now = datetime.now(UTC)
    parts = list(_parts(value))
    codes = [text for part in parts for text in _codes(part, secrets)]
    words = [plain_word(text) for text in codes]
    numbers = (int(text) for text in codes if _STATUS.fullmatch(text))
    meanings = (_STATUS_OF_WORD[word] for word in words if word in _STATUS_OF_WORD)
    message = _one_line("; ".join(dict.fromkeys(t for p in parts for t in _messages(p))), secrets)
    waits = [wait for part in parts for wait in member_waits(part, now)]
    return EndpointError(
        code=next((text for text in codes if not _STATUS.fullmatch(text)), None),
        words=frozenset(words),
        message=message,
        param=next(filter(None, map(_param, parts)), ""),
        told_status=next(numbers, next(meanings, None)),
        wait_s=max(waits) if waits else prose_s(message),
        flagged=any(part.get("reasons") and "flagged_input" in part for part in parts),
        generation=next(filter(None, (_text(part.get("failed_generation")) for part in parts)), ""),
    )


def plain_word(text: str) -> str:
    """Normalize a code: remove case, separators and "error"."""
    word = re.sub(r"[^a-z0-9]", "", text.lower())
    for ending in ("error", "exception"):
        if word != ending:
            word = word.removesuffix(ending)
    return word


def _parts(value: object) -> Iterator[dict[str, Any]]:
    """Return the error objects of a body, the outermost first."""
    waiting: list[tuple[object, int]] = [(value, 0)]
    for _ in range(_PARTS_MAX):
        if not waiting:
            return
        found, depth = waiting.pop(0)
        if isinstance(found, str):
            found = _json_of(found) if depth else {"message": found}
        if depth > _DEPTH_MAX:
            continue
        if isinstance(found, list):
            waiting += [(item, depth + 1) for item in found[:4]]
        elif isinstance(found, dict):
            yield found
            waiting += [(found[name], depth + 1) for name in _INSIDE if found.get(name)]


def _json_of(text: str) -> object:
    """Read an error that is carried as text; what is no JSON is its message."""
    try:
        value = json.loads(text) if text.lstrip().startswith(("{", "[")) else text
    except (ValueError, RecursionError):
        value = text
    return {"message": value} if isinstance(value, str) else value


def _codes(part: dict[str, Any], secrets: Collection[str]) -> Iterator[str]:
    for name in _CODES:
        value = part.get(name)
        if isinstance(value, bool) or not isinstance(value, int | str):
            continue
        text = str(value) if isinstance(value, str) or abs(value) < 10**9 else ""
        told = _CODE_WORD.fullmatch(text) and redact(text, secrets) == text
        if told and plain_word(text) not in {"", "0", "200", "error"}:
            yield text


def _messages(part: dict[str, Any]) -> Iterator[str]:
    for name in _MESSAGES:
        text = _text(part.get(name)).strip()
        if text and not text.startswith(("{", "[")):
            yield text


def _param(part: dict[str, Any]) -> str:
    """Name the parameter that an error is about: OpenAI's `param`, the `loc` of Pydantic."""
    place = part.get("loc")
    if isinstance(place, list):
        return ".".join(str(step) for step in place[:8])
    return _text(part.get("param"))


def _plain(body: bytes, media_type: str) -> str:
    text = body[:_READ_BYTES_MAX].decode("utf-8", "replace")
    if "html" not in media_type and text.lstrip()[:1] != "<":
        return text
    title = _TITLE.search(text)
    return title[1] if title else _TAG.sub(" ", text)


def _one_line(text: str, secrets: Collection[str]) -> str:
    clean = redact(" ".join(text.split()), secrets)
    printable = "".join(c if c.isprintable() else "\ufffd" for c in clean)
    if len(printable) <= _WORDS_CHARS_MAX:
        return printable
    return printable[: _WORDS_CHARS_MAX - 1] + "…"


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
