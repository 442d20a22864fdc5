"""Extracts the JSON value from a model's text by the contract's rules, or gives the reason why not.

Strict: only valid JSON is extracted, and its bytes are kept. Two implementations of the contract
extract the same value from the same text. It never guesses: broken text is a finding, unless the
kind allows repair, and every repair is reported.

Decided here, where the contract leaves it open: - An `ambiguous` answer has no artifact: it is
unknown which of its values was meant. - Without the thinking, a rest in one piece may also be JSON
as a whole, scalars included. - An answer that is only thinking is `empty`. - `refused` and
`too_large` come before everything; `finish_reason` length without a candidate is `truncated`, also
when there is no text at all: a larger token budget is what helps. - Brackets of both kinds count
alike when the end of a region is searched; a region in prose ends at the next fence at the latest;
a broken value is `truncated` only where it meets the text's end and more is missing there than
brackets.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from lakehouse.core.finding import Finding, FindingCode, Repair
from lakehouse.core.json_text import (
    JsonError,
    JsonValue,
    compact,
    equal_values,
    parse,
    parse_compact,
)
from lakehouse.core.limits import OUTPUT_BYTES_MAX, REPAIR_REGIONS_MAX
from lakehouse.core.words import Word
from lakehouse.validation.regions import BLANK, Region, begins_like_json, is_cut_off
from lakehouse.validation.text_scan import Scan, scan

_AMBIGUOUS: Final = "the answer holds different JSON values that pass the schema; give one answer"


class Extraction(msgspec.Struct, frozen=True):
    """The result for one answer.

    `artifact` is the chosen candidate without white space between its tokens, or None; then
    `findings` has exactly one finding that says why, and `value` is meaningless. With an artifact
    `findings` is empty, whether or not the schema accepts it. `thinking` are the thinking blocks of
    the text, a blank line between them.
    """

    value: JsonValue
    artifact: msgspec.Raw | None
    findings: tuple[Finding, ...]
    repairs: tuple[Repair, ...] = ()
    thinking: str | None = None


def extract(
    text: str,
    *,
    finish_reason: Word,
    accepts: Callable[[JsonValue], bool],
    repair: bool = False,
    own_marks: tuple[tuple[str, str], ...] = (),
) -> Extraction:
    """Extract the artifact from an answer: the one value that `accepts` accepts, else the last.

    Candidates in fenced blocks come before those in prose. Where two different values of the same
    class are accepted, none is chosen: the finding is `ambiguous`.

    Args:
        text: The whole answer, thinking blocks included.
        finish_reason: What the provider said; `content_filter` is a refusal, `length` a cut.
        accepts: Whether the schema accepts a value. Called once for each distinct candidate.
        repair: Whether broken JSON may be repaired if nothing parses.
        own_marks: Additional reasoning marks of this model, as pairs.

    Cost: about 8 µs for 200 bytes that are JSON as a whole; linear in the text.
    """
    if len(text) * 4 > OUTPUT_BYTES_MAX:  # a character takes at most four bytes
        size = len(text.encode("utf-8", "surrogatepass"))
        if size > OUTPUT_BYTES_MAX:
            return _nothing("too_large", f"{size} bytes; at most {OUTPUT_BYTES_MAX} are read")
    if finish_reason == "content_filter":
        return _nothing("refused", "the provider refused to answer")
    try:
        value, artifact = parse_compact(text)
        return Extraction(value, msgspec.Raw(artifact), ())
    except JsonError:
        return _search(text, scan(text, own_marks), finish_reason, accepts, repair=repair)


def _search(
    text: str,
    parts: Scan,
    finish_reason: Word,
    accepts: Callable[[JsonValue], bool],
    *,
    repair: bool,
) -> Extraction:
    thinking = "\n\n".join(filter(None, map(str.strip, parts.thinking))) or None
    candidates = _Candidates(text, accepts)
    whole = _only_piece(text, parts)
    if whole is None or not candidates.take_whole(whole):
        candidates.take_from(parts.fenced, parts.prose)
    if candidates.ambiguous:
        return _nothing("ambiguous", _AMBIGUOUS, thinking)
    if candidates.chosen is not None:
        source, value = candidates.chosen
        return Extraction(value, msgspec.Raw(compact(source)), (), (), thinking)
    cut = finish_reason == "length" or parts.unfinished
    cut = cut or any(is_cut_off(text, region) for region in (*parts.fenced, *parts.prose))
    if repair and not cut:
        fixed = _repaired(text, candidates.broken, accepts)
        if fixed is not None:
            return msgspec.structs.replace(fixed, thinking=thinking)
    code, message = _reason(text, parts, candidates.broken, cut=cut)
    return _nothing(code, message, thinking)


class _Candidates:
    """The search for the one candidate; equal ones are parsed and judged once."""

    def __init__(self, text: str, accepts: Callable[[JsonValue], bool]) -> None:
        self.chosen: tuple[str, JsonValue] | None = None
        self.ambiguous = False
        self.broken: list[tuple[Region, str]] = []
        self._known: dict[str, tuple[JsonValue, bool] | None] = {}
        self._text = text
        self._accepts = accepts

    def take_whole(self, region: Region) -> bool:
        """Take a region as the only candidate, if it parses."""
        source = self._text[region.start : region.end]
        try:
            self.chosen = source, parse(source)
        except JsonError:
            return False
        return True

    def take_from(self, *classes: list[Region]) -> None:
        """Take what is accepted in the first class that holds such, else the last candidate.

        The first few regions that begin like JSON and do not parse are kept with the reason.
        """
        for regions in classes:
            if self._take_accepted(regions) or self.ambiguous:
                return

    def _take_accepted(self, regions: list[Region]) -> bool:
        accepted: tuple[str, JsonValue] | None = None
        for region in regions:
            source = self._text[region.start : region.end]
            known = self._read(source, region)
            if known is None:
                continue
            value, passes = known
            if accepted is None:
                self.chosen = source, value
                accepted = self.chosen if passes else None
            elif passes and not equal_values(value, accepted[1]):
                self.ambiguous = True
                return False
        return accepted is not None

    def _read(self, source: str, region: Region) -> tuple[JsonValue, bool] | None:
        """Return a candidate's value and whether it is accepted; None for what does not parse."""
        if source not in self._known:
            try:
                value = parse(source)
                self._known[source] = value, self._accepts(value)
            except JsonError as error:
                self._known[source] = None
                self._note(region, str(error))
        return self._known[source]

    def _note(self, region: Region, why: str) -> None:
        if len(self.broken) < REPAIR_REGIONS_MAX and begins_like_json(self._text, region):
            self.broken.append((region, why))


def _only_piece(text: str, parts: Scan) -> Region | None:
    """Return what is left when thinking is set aside, if that is one piece."""
    pieces = _pieces(text, parts)
    return pieces[0] if len(pieces) == 1 else None


def _pieces(text: str, parts: Scan) -> list[Region]:
    return [piece for piece in parts.rest if text[piece.start : piece.end].strip(BLANK)]


def _reason(
    text: str, parts: Scan, broken: list[tuple[Region, str]], *, cut: bool
) -> tuple[FindingCode, str]:
    if cut:
        return "truncated", "the answer ends in the middle and holds no whole JSON value"
    if not text.strip(BLANK) or (parts.thinking and not _pieces(text, parts)):
        return "empty", "there is no text"
    if broken:
        return "invalid_json", f"what begins like JSON does not parse: {broken[0][1]}"
    return "no_json", "nothing in the answer begins like a JSON object or array"


def _repaired(
    text: str,
    broken: list[tuple[Region, str]],
    accepts: Callable[[JsonValue], bool],
) -> Extraction | None:
    # Repair is rarely asked for, and its library costs more to import than all of this.
    from lakehouse.validation.repair import fix  # noqa: PLC0415 - see above

    found = fix(text, [region for region, _ in broken], accepts)
    if found is None:
        return None
    return Extraction(found.value, msgspec.Raw(compact(found.source)), (), found.repairs)


def _nothing(code: FindingCode, message: str, thinking: str | None = None) -> Extraction:
    return Extraction(
        None, None, (Finding(code=code, path="", message=message),), thinking=thinking
    )
