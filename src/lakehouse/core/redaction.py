"""Makes text from outside safe for an error, a log line or a row: short, and without keys.

Endpoints repeat keys in messages, URLs contain them, and libraries quote both. Anything that looks
like a key is removed, known or not: losing a word too many is better than keeping a key. It does
not promise more: a key that looks like an ordinary word is found only after a telling name, or if
the caller names it.
"""

import json
import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Final
from urllib.parse import quote, quote_plus

TEXT_CHARS_MAX: Final = 2_000  # of one text in an error, a log line or a row
MARK: Final = "[key]"  # replaces a key

_READ_CHARS_MAX: Final = 16_000  # of a text are searched
_SECRET_CHARS_MIN: Final = 4  # a shorter "secret" would cut up ordinary words
_QUOTED_CHARS_MIN: Final = 8  # of a secret of which a peer quotes only the beginning
_LONG_SECRET_CHARS: Final = 16  # from this length on, a beginning is not an ordinary word
_KEY_CHARS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~+/=*%-"
_CUT: Final = "…"

_START = r"(?<![A-Za-z0-9])"
_QUOTE = r"(?:\\?[\"'`])?+"
# The text between a name and its value: `name=v`, `name: v`, `"name": "v"`, `name provided: v`.
_GAP = rf"{_QUOTE}\s{{0,8}}+(?:(?:provided|is|was|value)\s{{0,8}}+)?[:=]\s{{0,8}}+{_QUOTE}"
# Ordinary words in the place of a key, in sentences about keys.
_NO_KEY = (
    r"(?!(?:tokens?|auth\w*|scheme|realm|is|was|not|no|none|null|true|false|missing|invalid|empty"
    r"|expired|unknown|undefined|incorrect|malformed|required|headers?|error|format|prefix|keys?"
    r"|credentials?|access|challenge|model|usage|limits?|string|request)\b)"
)
_NAMES = (
    r"(?:(?:(?:api|access|secret|account|subscription|private|auth|signing|encryption|master)"
    r"[ _-]?(?:access[ _-]?)?(?:key|token)(?:[ _-]?id)?)|client[ _-]?secret"
    r"|(?:session|security|id|refresh|bearer)[ _-]?token|secret|password|passwd|pwd|passphrase)"
)
_QUERY = (
    r"key|k|api[_-]?key|[a-z_-]{0,30}token|sig|signature|secret|client_secret|password|passwd|pwd"
    r"|code|auth|authorization|subscription-key|x-amz-(?:signature|credential)"
    r"|x-goog-(?:signature|credential)|awsaccesskeyid|googleaccessid"
)

# No nested repetition, so that no text makes a search slow.
_SHAPES: Final = (
    (
        r"-----BEGIN [A-Z ]{0,30}KEY-----[^-]{0,16000}(?:-----END [A-Z ]{0,30}KEY-----)?",
        MARK,
    ),
    # Headers that are secret as a whole: up to the end of the line, or of the quoted text.
    (
        (
            rf"(?i){_START}((?:authorization|cookie){_QUOTE}\s{{0,8}}+[:=]\s{{0,8}}+{_QUOTE})"
            r"[^\r\n\"'`\\]+"
        ),
        rf"\1{MARK}",
    ),
    (
        rf"(?i)\b(bearer|basic|apikey)(\s{{1,8}}+{_QUOTE}){_NO_KEY}[A-Za-z0-9._~+/=*-]{{6,}}",
        rf"\1\2{MARK}",
    ),
    (r"(?i)(\b[a-z][a-z0-9+.-]{0,20}://)[^\s/?#@\"'<>]{1,2000}@", rf"\1{MARK}@"),
    (rf"(?i)([?&;](?:{_QUERY})=)[^\s&#\"'`<>\\]+", rf"\1{MARK}"),
    (
        rf"(?i){_START}({_NAMES})({_GAP}){_NO_KEY}[^\s\"'`\\,;&<>(){{}}\[\]]{{4,}}",
        rf"\1\2{MARK}",
    ),
    # `API key abc123... is not valid`: a name, no mark between, and a word with a digit.
    (
        (
            rf"(?i){_START}((?:key|token|secret)[:=]?\s{{1,8}}+{_QUOTE})"
            r"(?=[A-Za-z._*-]{0,40}[0-9])[A-Za-z0-9._*-]{16,}"
        ),
        rf"\1{MARK}",
    ),
    # A key that its owner has masked: the visible rest is not useful either.
    (_START + r"[A-Za-z0-9_-]{0,40}+\*{4,}[A-Za-z0-9_-]{0,40}", MARK),
    # Keys with a known prefix.
    (_START + r"(?:sk|rk|pk|csk|ek|sess)[-_][A-Za-z0-9*._-]{8,}", MARK),
    (_START + r"eyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9._*-]{4,}", MARK),
    (_START + r"AIza[A-Za-z0-9_*-]{12,}", MARK),
    (_START + r"ya29\.[A-Za-z0-9_*.-]{8,}", MARK),
    (_START + r"(?:AKIA|ASIA|AROA|AIDA|ABIA|ACCA)[A-Z0-9*]{12,}", MARK),
    (
        _START + r"(?:hf|api_org|gsk|r8|fw|lh|gh[oprsu]|github_pat|npm|tgp_v1|dop_v1|jina)_"
        r"[A-Za-z0-9*._-]{8,}",
        MARK,
    ),
    (
        _START + r"(?:xai|pplx|nvapi|glpat|pypi|tvly|GOCSPX|xox[a-z]|xapp)-"
        r"[A-Za-z0-9*._-]{8,}",
        MARK,
    ),
    (_START + r"dapi[a-f0-9]{24,}", MARK),
    (_START + r"SG\.[A-Za-z0-9_*-]{8,}\.[A-Za-z0-9_*-]{8,}", MARK),
)
_SURROGATE = re.compile("[\ud800-\udfff]")


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Return `text` without keys and tokens, in at most 2,000 characters.

    `secrets` are removed everywhere: verbatim, as encoded in a URL or in JSON, and where a peer
    quotes only their beginning. Lone surrogates become U+FFFD, so that the result can always be
    encoded. It is idempotent. Cost: about 50 µs for a sentence, some milliseconds at most.
    """
    for secret in sorted(set(secrets), key=len, reverse=True):
        text = _without(text, secret)
    if len(text) > _READ_CHARS_MAX:
        # Not in the middle of a word: half a key may not look like a key.
        text = text[:_READ_CHARS_MAX].rstrip(_KEY_CHARS) + _CUT
    text = _SURROGATE.sub("\ufffd", text)
    for shape, replacement in _compiled_shapes():
        text = shape.sub(replacement, text)
    return text if len(text) <= TEXT_CHARS_MAX else text[: TEXT_CHARS_MAX - len(_CUT)] + _CUT


@cache  # compiling takes some milliseconds, and a start redacts nothing
def _compiled_shapes() -> tuple[tuple[re.Pattern[str], str], ...]:
    return tuple((re.compile(pattern), replacement) for pattern, replacement in _SHAPES)


def _without(text: str, secret: str) -> str:
    if len(secret) < _SECRET_CHARS_MIN:
        return text
    for form in _forms(secret):
        text = text.replace(form, MARK)
    if len(secret) < _LONG_SECRET_CHARS:
        return text
    pieces: list[str] = []
    start = 0
    while (at := text.find(secret[:_QUOTED_CHARS_MIN], start)) >= 0:
        pieces += text[start:at], MARK
        quoted = _QUOTED_CHARS_MIN
        while text.startswith(secret[quoted : quoted + 1] or MARK, at + quoted):
            quoted += 1
        start = at + quoted
    return "".join((*pieces, text[start:]))


def _forms(secret: str) -> Iterator[str]:
    yield secret
    yield quote(secret, safe="")
    yield quote_plus(secret)
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
