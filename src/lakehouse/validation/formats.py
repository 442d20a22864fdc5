"""The formats that can be asserted: those of JSON Schema 2020-12, and those that Pydantic names.

A kind that asserts formats means their standards. A caller's own schema, and that of a Python kind,
describe values for a parser: so there, some are stricter, and what a standard allows and Python's
parsers refuse does not hold, such as second 60, the year 0, a port of 99999, or mail to a host
without a dot. The engine's own checks come first; its check of dates and times alone would take
`2026-03-01T08:1/:30Z`.
"""

import ipaddress
import re
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Final
from uuid import UUID

import jsonschema_rs
import msgspec

from lakehouse.core.kind import FormatMode

_OF_ENGINE: Final = (
    {"date", "date-time", "time", "duration", "email", "idn-email", "hostname", "idn-hostname"}
    | {"ipv4", "ipv6", "uri", "uri-reference", "iri", "iri-reference", "uri-template", "uuid"}
    | {"json-pointer", "relative-json-pointer", "regex"}
)
_ZONE: Final = r"(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})"
_CLOCK: Final = rf"[0-9]{{2}}:[0-9]{{2}}:[0-9]{{2}}{_ZONE}"
_PARSED_CLOCK: Final = rf"[0-9]{{2}}:[0-9]{{2}}:[0-5][0-9]{_ZONE}"
_DAY: Final = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
_PARSED_DAY: Final = rf"(?!0000){_DAY}"
_AMOUNT: Final = re.compile(r"0*([0-9]{1,12})[0-9]*([A-Z])")  # 12 digits are too many of any unit
_DAYS: Final = {"Y": 365, "M": 30, "W": 7, "D": 1}
_SECONDS: Final = {"H": 3_600, "M": 60, "S": 1}
_DAYS_MAX: Final = 999_999_999  # of Python's timedelta
_SECONDS_MAX: Final = 2**32 - 1  # of the part with hours, minutes and seconds, in Pydantic
_HOSTED: Final = frozenset({"http", "https", "ws", "wss", "ftp"})
_AUTHORITY: Final = re.compile(r"(?:([^/?#]*)@)?(\[[^]]*\]|[^/?#:@]*)(?::([0-9]{0,5}))?(?=[/?#]|$)")
_PORT_MAX: Final = 65_535
_NUMBER: Final = re.compile("[0-9]+|0x[0-9a-f]*")
_MAIL: Final = re.compile(r"[^\"@]{1,64}@[^@\[\]]+\.([^@.]*[A-Za-z])")
_NO_MAIL: Final = frozenset({"arpa", "invalid", "local", "localhost", "onion", "test"})
_MAIL_CHARS_MAX: Final = 254


def _form(pattern: str) -> Callable[[str], bool]:
    compiled = cache(partial(re.compile, pattern))  # few processes meet all formats
    return lambda text: compiled().fullmatch(text) is not None


def _duration(text: str) -> bool:
    days, _, clock = text.partition("T")
    full = sum(int(count) * _DAYS[unit] for count, unit in _AMOUNT.findall(days))
    rest = sum(int(count) * _SECONDS[unit] for count, unit in _AMOUNT.findall(clock))
    return rest <= _SECONDS_MAX and full + rest // 86_400 <= _DAYS_MAX


def _email(text: str) -> bool:
    match = _MAIL.fullmatch(text)
    return match is not None and match[1].lower() not in _NO_MAIL and len(text) <= _MAIL_CHARS_MAX


def _uri(text: str) -> bool:
    """Return whether a URI of RFC 3986 is a URL, too, where it names a host."""
    name, _, rest = text.partition(":")
    scheme = name.lower()
    hosted = scheme in _HOSTED
    if not hosted and not rest.startswith("//"):
        return True
    match = _AUTHORITY.match(rest.lstrip("/") if hosted else rest[2:])
    if match is None:
        return False
    user, host, port = match.groups()
    bare = user is None and port is None
    if int(port or 0) > _PORT_MAX or (scheme == "file" and not bare):
        return False
    if not host:
        return not hosted and bare
    if host.startswith("["):
        return _reads(ipaddress.IPv6Address, host[1:-1])
    return not (hosted or scheme == "file") or _domain(host.removesuffix("."))


def _domain(host: str) -> bool:
    labels = host.lower().split(".")
    if _NUMBER.fullmatch(labels[-1]):
        return _reads(ipaddress.IPv4Address, host)
    return "%" not in host and not any(label.startswith("xn--") for label in labels)


def _reads(read: Callable[[str], object], text: str) -> bool:
    try:
        read(text)
    except ValueError:
        return False
    return True


def _uuid(version: int, text: str) -> bool:
    return UUID(text).version == version


def _base64(last_two: str) -> Callable[[str], bool]:
    digit = rf"[A-Za-z0-9{last_two}]"
    return _form(rf"(?:{digit}{{4}})*(?:{digit}{{2}}==|{digit}{{3}}=)?")


def _engine(name: str) -> Callable[[str], bool]:
    validator = jsonschema_rs.Draft202012Validator({"format": name}, validate_formats=True)
    return validator.is_valid


def _both(name: str, ours: Callable[[str], bool]) -> Callable[[str], bool]:
    theirs = _engine(name)
    return lambda text: theirs(text) and ours(text)


_STANDARD: Final[dict[str, Callable[[str], bool]]] = {
    "date": _both("date", _form(_DAY)),
    "date-time": _both("date-time", _form(f"{_DAY}[Tt]{_CLOCK}")),
    "time": _both("time", _form(_CLOCK)),
    **{f"uuid{number}": _both("uuid", partial(_uuid, number)) for number in (1, 3, 4, 5, 6, 7, 8)},
    "ipv4network": partial(_reads, ipaddress.IPv4Network),
    "ipv6network": partial(_reads, ipaddress.IPv6Network),
    "ipv4interface": partial(_reads, ipaddress.IPv4Interface),
    "ipv6interface": partial(_reads, ipaddress.IPv6Interface),
    "ipvanyaddress": partial(_reads, ipaddress.ip_address),
    "ipvanynetwork": partial(_reads, ipaddress.ip_network),
    "ipvanyinterface": partial(_reads, ipaddress.ip_interface),
    "base64": _base64("+/"),
    "base64url": _base64("_-"),
}
_PARSED: Final[dict[str, Callable[[str], bool]]] = {
    **_STANDARD,
    "date": _both("date", _form(_PARSED_DAY)),
    "date-time": _both("date-time", _form(f"{_PARSED_DAY}[Tt]{_PARSED_CLOCK}")),
    "time": _both("time", _form(_PARSED_CLOCK)),
    "duration": _both("duration", _duration),
    "email": _both("email", _email),
    "uri": _both("uri", _uri),
}

FORMATS: Final = frozenset(_OF_ENGINE | _STANDARD.keys())
"""All that can be asserted."""


class AssertedFormats(msgspec.Struct, frozen=True):
    """Which formats are asserted, and how those are checked that the engine leaves to us."""

    names: frozenset[str] = frozenset()
    checks: Mapping[str, Callable[[str], bool]] = {}

    @classmethod
    def of(cls, mode: FormatMode) -> "AssertedFormats":
        return _MODES[mode]


NO_FORMATS: Final = AssertedFormats()
_MODES: Final[dict[FormatMode, AssertedFormats]] = {
    "off": NO_FORMATS,
    "known": AssertedFormats(FORMATS, _PARSED),
    "all": AssertedFormats(FORMATS, _STANDARD),
}
