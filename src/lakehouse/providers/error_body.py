"""What an endpoint said went wrong, in its own words, whatever the form of its error body."""

import re
from typing import Any, Final

import msgspec

from lakehouse.core.redaction import redact

_READ_BYTES_MAX: Final = 64 << 10  # of a body that is no JSON
_WORDS_CHARS_MAX: Final = 1_500  # of what an endpoint said: there is more to an error than that
_CODE_WORD = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_TITLE = re.compile(r"(?i)<title[^<>]{0,200}>([^<]{1,500})")
_TAG = re.compile(r"<[^<>]{0,2000}>")
_TEXT_MEMBERS: Final = ("message", "msg", "detail", "error_description", "title", "reason")
_DEPTH_MAX: Final = 4


class ErrorBody(msgspec.Struct, frozen=True):
    """`code` and `type` where they are words; `message` on one line, without `secret`s."""

    code: str | None = None
    type: str | None = None
    message: str = ""


def error_of(body: bytes, *, media_type: str = "", secret: str | None = None) -> ErrorBody:
    """Read an error body of any common form.

    OpenAI's and its likes' `{"error": {…}}`, a text under `error`, the members at the top,
    FastAPI's `detail`, lists of errors, a web page's title, or plain text.
    """
    try:
        value: Any = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ErrorBody(message=_one_line(_plain(body, media_type), secret))
    found = _members(value)
    kind = _word(found.get("type"), secret) or _word(found.get("status"), secret)
    return ErrorBody(
        code=_word(found.get("code"), secret) or kind,
        type=kind,
        message=_one_line(_text(value, _DEPTH_MAX), secret),
    )


def _members(value: Any) -> dict[str, Any]:
    if isinstance(value, list) and value:
        return _members(value[0])  # Google's endpoints wrap the error into a list
    if not isinstance(value, dict):
        return {}
    inner = value.get("error")
    return inner if isinstance(inner, dict) else value


def _text(value: Any, depth: int) -> str:
    """Find the words in an error, wherever they stand."""
    if isinstance(value, str):
        return value
    if depth == 0:
        return ""
    if isinstance(value, list):
        return "; ".join(filter(None, (_text(item, depth - 1) for item in value[:5])))
    if not isinstance(value, dict):
        return ""
    for name in ("error", *_TEXT_MEMBERS, "Message", "errors"):
        if found := _text(value.get(name), depth - 1):
            return found
    return ""


def _plain(body: bytes, media_type: str) -> str:
    text = body[:_READ_BYTES_MAX].decode("utf-8", "replace")
    if "html" not in media_type and text.lstrip()[:1] != "<":
        return text
    title = _TITLE.search(text)
    return title[1] if title else _TAG.sub(" ", text)


def _one_line(text: str, secret: str | None) -> str:
    clean = redact(" ".join(text.split()), () if secret is None else (secret,))
    printable = "".join(c if c.isprintable() else "\ufffd" for c in clean)
    if len(printable) <= _WORDS_CHARS_MAX:
        return printable
    return printable[: _WORDS_CHARS_MAX - 1] + "…"


def _word(value: object, secret: str | None) -> str | None:
    if not isinstance(value, str) or _CODE_WORD.fullmatch(value) is None:
        return None
    return value if redact(value, () if secret is None else (secret,)) == value else None
