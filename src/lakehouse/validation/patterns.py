r"""Recognises RE2 patterns, and rewrites them unambiguously for our regex engine.

The contract's patterns are RE2 syntax, so that they mean the same in every runtime and matching
takes linear time. Our engine (Rust's `regex`, in `jsonschema-rs`) is linear too, but has a
different dialect: `\b` and `\s` are Unicode there, `[[:alpha:]]` and `{` are taken differently,
`(?x)`, `\u0041` and `a++` are allowed. So a pattern is parsed here as RE2 and rewritten in the
common part of both syntaxes.

Errors are look-around, backreferences, possessive and atomic groups, `\C`, and more than 1,000
repetitions, with nested counts multiplied.

Source: the RE2 syntax page of google/re2; its parser for what nested counts come to.
"""

import re
from typing import Final

_REPEAT = re.compile(r"\{(\d+)(?:(,)(\d*))?\}")
_REPEAT_MAX: Final = 1_000
_GROUP = re.compile(r"\(\?(?:P?<([A-Za-z_][A-Za-z0-9_]*)>|([imsU]*(?:-[imsU]+)?)([:)]))")
_SCRIPT = re.compile(r"[A-Z][A-Za-z_]+")
_HEX = re.compile(r"x(?:\{([0-9A-Fa-f]{1,6})\}|([0-9A-Fa-f]{2}))")
_OCTAL = re.compile(r"0[0-7]{0,2}|[1-7][0-7]{1,2}")
_CODE_POINT_MAX: Final = 0x10FFFF

_Ranges = tuple[tuple[int, int], ...]

_DIGIT: Final[_Ranges] = ((0x30, 0x39),)
_UPPER: Final[_Ranges] = ((0x41, 0x5A),)
_LOWER: Final[_Ranges] = ((0x61, 0x7A),)
_WORD: Final[_Ranges] = (*_DIGIT, *_UPPER, (0x5F, 0x5F), *_LOWER)
_PERL: Final[dict[str, _Ranges]] = {
    "d": _DIGIT,
    "s": ((0x09, 0x0A), (0x0C, 0x0D), (0x20, 0x20)),
    "w": _WORD,
}
_POSIX: Final[dict[str, _Ranges]] = {
    "alnum": (*_DIGIT, *_UPPER, *_LOWER),
    "alpha": (*_UPPER, *_LOWER),
    "ascii": ((0x00, 0x7F),),
    "blank": ((0x09, 0x09), (0x20, 0x20)),
    "cntrl": ((0x00, 0x1F), (0x7F, 0x7F)),
    "digit": _DIGIT,
    "graph": ((0x21, 0x7E),),
    "lower": _LOWER,
    "print": ((0x20, 0x7E),),
    "punct": ((0x21, 0x2F), (0x3A, 0x40), (0x5B, 0x60), (0x7B, 0x7E)),
    "space": ((0x09, 0x0D), (0x20, 0x20)),
    "upper": _UPPER,
    "word": _WORD,
    "xdigit": (*_DIGIT, (0x41, 0x46), (0x61, 0x66)),
}
_CONTROL: Final = {"a": 0x07, "f": 0x0C, "n": 0x0A, "r": 0x0D, "t": 0x09, "v": 0x0B}
_CATEGORIES: Final = (
    frozenset({"Any", "C", "Cc", "Cf", "Co", "L", "Ll", "Lm", "Lo", "Lt", "Lu"})
    | {"M", "Mc", "Me", "Mn", "N", "Nd", "Nl", "No", "S", "Sc", "Sk", "Sm", "So"}
    | {"P", "Pc", "Pd", "Pe", "Pf", "Pi", "Po", "Ps", "Z", "Zl", "Zp", "Zs"}
)
_ASSERTION: Final = {"b": r"(?-u:\b)", "B": r"(?-u:\B)", "A": r"\A", "z": r"\z"}
_REFUSED_GROUP: Final = {
    "=": "look-ahead",
    "!": "look-ahead",
    "<=": "look-behind",
    "<!": "look-behind",
    ">": "an atomic group",
    "#": "a comment",
    "P=": "a backreference",
}


class PatternError(ValueError):
    """Text that is not an RE2 pattern; the message says which part."""


def to_engine(pattern: str) -> str:
    """Rewrite an RE2 pattern so that it means the same in our engine.

    What is invalid in both dialects (an unclosed group, nothing to repeat) is left to the engine.

    Raises:
        PatternError: It is not RE2 syntax.
    """
    return _Reader(pattern).read()


class _Reader:
    """One pass over one pattern."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0
        self._repeated = False
        # How often the last piece repeats what stands in it, and the most of every open group.
        self._count = 1
        self._counts = [1]

    def read(self) -> str:
        written: list[str] = []
        while self._at < len(self._pattern):
            mark = self._pattern[self._at]
            repeat = self._repeat(mark)
            if repeat is not None:
                if self._repeated:
                    raise self._error("a repetition of a repetition")
                written.append(repeat)
                self._repeated = True
                continue
            self._repeated = False
            self._count = 1
            if mark == "\\":
                written.append(self._escape())
            elif mark == "[":
                written.append(self._class())
            elif mark == "(":
                written.append(self._group())
            elif mark == ")":
                self._at += 1
                written.append(mark)
                if len(self._counts) > 1:  # else it closes nothing, which the engine refuses
                    self._count = self._counts.pop()
                    self._counts[-1] = max(self._counts[-1], self._count)
            else:
                self._at += 1
                written.append(mark if mark in ".^$|" else _literal(ord(mark)))
        return "".join(written)

    def _error(self, what: str) -> PatternError:
        return PatternError(f"{what} at character {self._at} is not RE2 syntax")

    def _repeat(self, mark: str) -> str | None:
        """Take a repetition with its laziness; None where none stands, such as a literal `{`."""
        if mark in "*+?":
            text = mark
            self._at += 1
        elif mark == "{" and (match := _REPEAT.match(self._pattern, self._at)) is not None:
            low, comma, high = match.groups()
            least, most = int(low[:5]), int((high or "0")[:5])
            self._count *= max(most if high else least, 1)
            if max(least, most) > 1 and max(least, most, self._count) > _REPEAT_MAX:
                raise self._error(f"repetition over {_REPEAT_MAX}")
            self._counts[-1] = max(self._counts[-1], self._count)
            text = f"{{{least}{comma or ''}{most if high else ''}}}"
            self._at = match.end()
        else:
            return None
        if self._pattern.startswith("?", self._at):
            self._at += 1
            return text + "?"
        return text

    def _group(self) -> str:
        if not self._pattern.startswith("(?", self._at):
            self._at += 1
            self._counts.append(1)
            return "("
        match = _GROUP.match(self._pattern, self._at)
        if match is None:
            rest = self._pattern[self._at + 2 : self._at + 4]
            what = next(
                (name for sign, name in _REFUSED_GROUP.items() if rest.startswith(sign)),
                f"`(?{rest}`",
            )
            raise self._error(what)
        self._at = match.end()
        name, flags, end = match.groups()
        if end != ")":
            self._counts.append(1)
        return f"(?P<{name}>" if name else f"(?{flags}{end}"

    def _escape(self) -> str:
        sign = self._pattern[self._at + 1 : self._at + 2]
        if sign.lower() in _PERL:
            self._at += 2
            return f"[{_perl(sign)}]"
        if sign in _ASSERTION:
            self._at += 2
            return _ASSERTION[sign]
        if sign == "Q":
            literal, _, _ = self._pattern[self._at + 2 :].partition("\\E")
            self._at = min(self._at + 4 + len(literal), len(self._pattern))
            return "".join(_literal(ord(character)) for character in literal)
        if sign in {"p", "P"}:
            return self._unicode()
        return _literal(self._escaped_character())

    def _escaped_character(self) -> int:
        """Take one escape that stands for one character."""
        sign = self._pattern[self._at + 1 : self._at + 2]
        if (octal := _OCTAL.match(self._pattern, self._at + 1)) is not None:
            self._at = octal.end()
            return int(octal[0], 8)
        if (code := _HEX.match(self._pattern, self._at + 1)) is not None:
            value = int(code[1] or code[2], 16)
            if value > _CODE_POINT_MAX:
                raise self._error("a code point over 10FFFF")
            self._at = code.end()
            return value
        if sign in _CONTROL:
            self._at += 2
            return _CONTROL[sign]
        if sign and sign.isascii() and not sign.isalnum():
            self._at += 2
            return ord(sign)
        if sign.isdigit() or sign == "k":
            raise self._error("a backreference")
        if sign == "u":
            raise self._error(r"`\u` (write \x{...})")
        raise self._error(f"`\\{sign}`" if sign else "a lone backslash")

    def _unicode(self) -> str:
        r"""Take `\pN`, `\p{Greek}`, `\P{^Greek}`."""
        negated = self._pattern[self._at + 1] == "P"
        name = self._pattern[self._at + 2 : self._at + 3]
        end = self._at + 3
        if name == "{":
            close = self._pattern.find("}", end)
            name = self._pattern[end:close] if close > 0 else ""
            end = close + 1
        if name.startswith("^"):
            name = name[1:]
            negated = not negated
        if name not in _CATEGORIES:
            if _SCRIPT.fullmatch(name) is None or len(name) <= 2:
                raise self._error(f"the character class {name!r}")
            name = f"Script={name}"
        self._at = end
        return f"\\{'P' if negated else 'p'}{{{name}}}"

    def _class(self) -> str:
        start = self._at
        self._at += 1
        negated = self._pattern.startswith("^", self._at)
        self._at += negated
        first = self._at
        members: list[str] = []
        while not self._pattern.startswith("]", self._at) or self._at == first:
            if self._at >= len(self._pattern):
                self._at = start
                raise self._error("an unclosed character class")
            members.append(self._class_member())
        self._at += 1
        return f"[{'^' if negated else ''}{''.join(members)}]"

    def _class_member(self) -> str:
        close = self._pattern.find(":]", self._at + 2)
        if self._pattern.startswith("[:", self._at) and close > 0:
            name = self._pattern[self._at + 2 : close]
            ranges = _POSIX.get(name.removeprefix("^"))
            if ranges is None:
                raise self._error(f"the character class {name!r}")
            self._at = close + 2
            return _ranges(_complement(ranges) if name.startswith("^") else ranges)
        if self._pattern.startswith("\\", self._at):
            sign = self._pattern[self._at + 1 : self._at + 2]
            if sign and sign in "dDsSwW":
                self._at += 2
                return _perl(sign)
            if sign and sign in "pP":
                return self._unicode()
        low = self._class_character()
        if not self._pattern.startswith("-", self._at) or self._pattern.startswith("-]", self._at):
            return _ranges(((low, low),))
        start = self._at
        self._at += 1
        if self._at >= len(self._pattern):
            self._at = start
            raise self._error("an unclosed character class")
        high = self._class_character()
        if high < low:
            self._at = start
            raise self._error("a range that ends before it begins")
        return _ranges(((low, high),))

    def _class_character(self) -> int:
        if self._pattern[self._at] == "\\":
            return self._escaped_character()
        self._at += 1
        return ord(self._pattern[self._at - 1])


def _literal(code: int) -> str:
    character = chr(code)
    return character if character.isalnum() else f"\\x{{{code:X}}}"


def _perl(sign: str) -> str:
    ranges = _PERL[sign.lower()]
    return _ranges(_complement(ranges) if sign.isupper() else ranges)


def _ranges(ranges: _Ranges) -> str:
    return "".join(
        f"\\x{{{low:X}}}" if low == high else f"\\x{{{low:X}}}-\\x{{{high:X}}}"
        for low, high in ranges
    )


def _complement(ranges: _Ranges) -> _Ranges:
    gaps: list[tuple[int, int]] = []
    start = 0
    for low, high in ranges:
        if low > start:
            gaps.append((start, low - 1))
        start = high + 1
    return (*gaps, (start, _CODE_POINT_MAX))
