"""What a session offers its model of the tables: values that an answer can be made of.

Pure. Values are offered in the schema that the model decodes under (`decode`), where it can write
no others, or in its prompt (`hint`). A schema is narrowed only where a right answer stays possible:

- Values that the source names narrow by themselves. A source that names several leaves them all.
- Guesses are near spellings, numbers within a tolerance, rows without the other values that the
  source names, and the nearest values of a rejected answer. They stand in a schema only beside a
  way out: a named value, null, or, where `candidates = "decode"`, an open end.
- Where no row has the values together that the source names, nothing is offered.
- Where a rule `quote` is about the same place, only values that stand in the source are offered.
- Sentences are only a guess at what a rule `quote` wants. They are offered where it says
  `candidates = "decode"` itself.

The kind's own schema and rules judge the answer as before: an offer never decides a verdict.
"""

import asyncio
import logging
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from lakehouse.core.candidate import RuleCandidates
from lakehouse.core.chat import Offer, OfferMode
from lakehouse.core.errors import InfraError
from lakehouse.core.finding import Finding
from lakehouse.core.json_text import NULL, pointer_parts
from lakehouse.core.kind import EACH, CandidatesMode, GroundingRule, mode_of
from lakehouse.core.ports import TableSnapshot
from lakehouse.core.session import Narrowed
from lakehouse.engine.rule_offer import RuleOffer, rule_offer
from lakehouse.engine.task import SessionTask
from lakehouse.validation.narrowing import NarrowedSchema

_LOG = logging.getLogger(__name__)
_KEPT_MAX: Final = 512  # offers; texts name the same few values again and again
_KEPT_BYTES_MAX: Final = 8 << 10  # of the schema of an offer that is kept
_CHARS_INLINE_MAX: Final = 8_192  # up to here a search takes 2 ms a column, less than a hand-over
_SCHEMA_BYTES_INLINE_MAX: Final = 8 << 10  # each of up to 200 rows takes a copy of it
# Why a place was not narrowed although its values are known: the prompt can have them.
_HINTED: Final = frozenset({"only_guesses", "over_limits", "not_expressible"})


class AttemptOffer(msgspec.Struct, frozen=True):
    """What one attempt offers.

    `beside` are the rules in the offer's `beside`, `instead` those in its `hint`, and `decoded` is
    what stands in its schema.
    """

    offer: Offer | None = None
    beside: tuple[RuleOffer, ...] = ()
    instead: tuple[RuleOffer, ...] = ()
    decoded: tuple[Narrowed, ...] = ()

    def narrowed(self, offered: OfferMode | None) -> tuple[Narrowed, ...] | msgspec.UnsetType:
        """Return the row's records, by how the offer reached the model; unset: there are none."""
        if offered is None:
            return msgspec.UNSET
        hinted = (*self.beside, *self.instead) if offered == "hint" else self.beside
        found = [record for one in hinted for record in one.hinted()]
        if offered == "decode":
            found += self.decoded
        return tuple(sorted(found, key=_order)) if found else msgspec.UNSET


NOTHING: Final = AttemptOffer()


class Offers:
    """The offers of one session, attempt by attempt."""

    def __init__(self, task: SessionTask, tables: TableSnapshot) -> None:
        self._task = task
        self._tables = tables
        self._modes = list(_modes(task)) if task.kind.grounding else []
        self._nearest: dict[str, list[msgspec.Raw]] = {}

    async def first(self) -> AttemptOffer:
        """Return what the first attempt offers; a long text, or a large schema, takes a thread.

        Raises:
            TableUnavailable: A rule names a missing table or column.
        """
        return await self._offered() if self._modes else NOTHING

    async def after(self, findings: Sequence[Finding], last: AttemptOffer) -> AttemptOffer:
        """Return what the attempt after a rejected answer offers: the nearest values too."""
        found = False
        for finding in findings:
            if finding.nearest is msgspec.UNSET:
                continue
            for column in {column for rule, _ in self._modes for column in _at(rule, finding.path)}:
                values = msgspec.json.decode(finding.nearest, type=list[msgspec.Raw])
                self._nearest.setdefault(column, []).extend(values)
                found = True
        return await self._offered() if found else last

    async def _offered(self) -> AttemptOffer:
        try:
            chars, schema = sum(map(len, self._task.sources)), bytes(self._task.schema.decoding)
            if chars <= _CHARS_INLINE_MAX and len(schema) <= _SCHEMA_BYTES_INLINE_MAX:
                return self._made()
            return await asyncio.to_thread(self._made)
        except InfraError:
            raise
        except Exception:  # noqa: BLE001  what we add ends no session
            # An offer is an addition of ours: without it the session is as good as before.
            _LOG.exception("no values of the tables are offered to the model")
            return NOTHING

    def _made(self) -> AttemptOffer:
        task, kept = self._task, self._task.kept_offers
        offering = [rule for rule, _ in self._modes]
        found = self._tables.candidates(offering, task.sources, self._nearest)
        quoted = {rule.path for rule in task.kind.grounding if rule.column is None}
        if quoted:  # then the text itself decides what is offered
            return self._sorted(found, quoted)
        # By a caller's schema the same kind is narrowed otherwise.
        joint = b"" if task.inline_schema == NULL else bytes(task.schema.decoding)
        kind = (task.kind.digest, task.kind.carried)
        asked = (kind, joint, task.schema.formats, task.candidates, task.model.decoding)
        key = (*asked, *map(_same, found))
        offer = kept.get(key)
        if offer is None:
            offer = self._sorted(found, quoted)
            size = 0 if offer.offer is None else len(bytes(offer.offer.schema))
            if max(size, len(joint)) <= _KEPT_BYTES_MAX:
                kept[key] = offer
                if len(kept) > _KEPT_MAX:
                    kept.pop(next(iter(kept)), None)
        return offer

    def _sorted(self, found: Sequence[RuleCandidates], quoted: set[str]) -> AttemptOffer:
        """Decide what of the candidates goes into the schema, and what into the prompt."""
        task, narrowing = self._task, self._task.schema.narrowing
        every = [
            rule_offer(
                one,
                mode,
                quoted=quoted,
                sources=task.sources,
                takes_null=narrowing.takes_null(one.rule.path),
            )
            for one, (_, mode) in zip(found, self._modes, strict=True)
        ]
        if any(one.rule.candidates_required for one in found):
            bounds = [(one.rule.path, one.required()) for one in every]
            required = {path: values for path, values in bounds if values is not None}
            every = [one.within(required) for one in every]
        if len(every) > 1:
            every = [one.beside(every) for one in every]
        decoding, narrowed = self._narrow(every)
        left = dict(narrowed.left) if narrowed is not None else {}
        instead: list[RuleOffer] = []
        beside: list[RuleOffer] = []
        for one in every:
            if one.mode == "decode":
                continue
            if one not in decoding or left.get(one.rule.path) in _HINTED:
                beside.append(one)
            elif one.rule.path not in left:
                apart = not one.pairs_stand(task.model.decoding)
                (beside if apart else instead).append(one)
        text = _text(beside)
        if narrowed is None or not narrowed.narrowed:
            return AttemptOffer(Offer(NULL, beside=text), tuple(beside)) if text else NOTHING
        offer = Offer(msgspec.Raw(narrowed.schema), _text(instead), text)
        return AttemptOffer(offer, tuple(beside), tuple(instead), narrowed.narrowed)

    def _narrow(self, every: list[RuleOffer]) -> tuple[list[RuleOffer], NarrowedSchema | None]:
        """Narrow the schema to what the rules offer; returns those that took part."""
        limits = self._task.model.decoding
        if limits is None:
            return [], None
        pairs = [(one, one.candidates()) for one in every if one.mode != "hint"]
        taking = [(one, candidates) for one, candidates in pairs if candidates is not None]
        if not taking:
            return [], None
        narrowed = self._task.schema.narrowing.narrow([each for _, each in taking], limits)
        return [one for one, _ in taking], narrowed


def _modes(task: SessionTask) -> Iterator[tuple[GroundingRule, CandidatesMode]]:
    """List the rules that offer something, each with its mode."""
    if task.settings.constrain == "off":
        return
    asked = task.candidates
    for rule in task.kind.grounding:
        own = mode_of(rule, task.kind)
        if "off" in (own, asked):
            continue
        mode = asked or own
        if rule.column is not None:
            yield rule, mode
        elif rule.candidates == "decode" and mode != "hint":
            yield rule, "decode"


def _at(rule: GroundingRule, path: str) -> Iterator[str]:
    """Return the columns of a rule that a finding is about."""
    places = {} if rule.column is None else {rule.path: rule.column, **rule.with_}
    parts = pointer_parts(path)
    for place, column in places.items():
        at = pointer_parts(place)
        above = [
            EACH if one == EACH and part.isdigit() else part
            for one, part in zip(at, parts, strict=False)
        ]
        rest = parts[len(at) :]
        if above == at and (not rest or (len(rest) == 1 and rest[0].isdigit())):
            yield column


def _same(found: RuleCandidates) -> tuple[object, ...]:
    """Return all of a rule's candidates that an offer depends on: everything but their places."""
    return (
        found.complete,
        found.total,
        found.rows_total,
        *[(bytes(one.value), one.spelling) for one in found.values],
        *[
            (bytes(one.main.value), one.main.spelling, one.joined, *map(bytes, one.values))
            for one in found.rows
        ],
    )


def _text(offers: Sequence[RuleOffer]) -> str:
    return "\n".join(line for one in offers if (line := one.hint()))


def _order(one: Narrowed) -> tuple[bytes, bytes, str]:
    return one.path.encode(), one.column.encode(), one.mode
