"""The form for a label: it checks what is entered, saves it, and keeps the text on every error."""

import asyncio
from typing import Final, get_args

import msgspec

from lakehouse.core.clock import SystemClock
from lakehouse.core.errors import InfraError, LakehouseError, Refusal
from lakehouse.core.finding import Finding
from lakehouse.core.json_text import NULL, JsonError, compact, parse
from lakehouse.core.replay_row import Feedback, FeedbackLabel, FeedbackRequest
from lakehouse.core.row import Row
from lakehouse.core.row_codec import RowError, decode_row
from lakehouse.core.suggestion import did_you_mean
from lakehouse.core.visible import visible_json
from lakehouse.core.wording import listed
from lakehouse.engine.task import Catalog
from lakehouse.feedback.labels import UnfitCorrection, check_correction, feedback_of, give_feedback
from lakehouse.sessionlog.index.questions import FoundRow, FoundSession, Unlabelled
from lakehouse.sessionlog.reading.filters import REPLAY_DAEMON
from lakehouse.ui.artifact_tree import TreeLine, tree_lines
from lakehouse.ui.faults import Fault, fault_of
from lakehouse.ui.page import Form, FormRequest, Page, PageRequest, Shown
from lakehouse.ui.shown_text import ShownText, shown_text
from lakehouse.ui.sources import PageSources

_PATH: Final = "/feedback/{row_id}"
_OWN: Final = ("saved", "author")
_TEXT_CHARS_MAX: Final = 400_000  # of an artifact in a form; sent, it may take three times as much


class CheckedText(msgspec.Struct, frozen=True, kw_only=True):
    """What the checks say of a text; it fits if there is neither a fault nor a finding.

    `lines` are the artifact with the findings at their places, if there are any.
    """

    fault: Fault | None = None
    findings: tuple[Finding, ...] = ()
    lines: tuple[TreeLine, ...] = ()


class Entered(msgspec.Struct, frozen=True, kw_only=True):
    """What the fields hold, as it was sent or as the page begins."""

    label: str = ""
    text: str = ""
    comment: str = ""
    author: str = ""


class FeedbackFormPage(msgspec.Struct, frozen=True, kw_only=True):
    """One session to label. `closed` says why there is no form; empty if there is one.

    `answer` is the session's own artifact, empty if it has none. `known` is its latest label.
    `unlabelled` is what is left in the filter.
    """

    row_id: str
    session_id: str
    timestamp: str
    kind: str | None
    model: str
    verdict: str
    prompt: ShownText
    answer: str
    known: Feedback | None
    closed: str
    entered: Entered
    saved: bool
    check: CheckedText | None
    fault: Fault | None
    unlabelled: Unlabelled


class _Subject(msgspec.Struct, frozen=True):
    """The row that is labelled, its latest label, and what its form begins with."""

    row: Row
    known: Feedback | None
    text: str


def feedback_form(sources: PageSources) -> tuple[Page, tuple[Form, ...]]:
    """Return the page of the form, what it is sent to, and what checks it while it is filled in."""
    forms = _Forms(sources)
    page = Page(
        entry="feedback",
        path=_PATH,
        title="Feedback",
        template="feedback_form.html",
        model=forms.show,
        own=_OWN,
    )
    save = Form(
        entry="feedback",
        path=_PATH,
        title="Feedback",
        template="feedback_form.html",
        take=forms.save,
        own=_OWN,
    )
    check = Form(
        entry="feedback",
        path=f"{_PATH}/check",
        title="Feedback",
        template="feedback_check.html",
        take=forms.check,
    )
    return page, (check, save)


class _Forms:
    def __init__(self, sources: PageSources) -> None:
        self._sources = sources
        self._clock = SystemClock()

    async def show(self, request: PageRequest) -> FeedbackFormPage:
        subject = await self._subject(request)
        known = subject.known
        entered = Entered(
            label=known.label if known is not None else "",
            text=subject.text,
            comment=(known.comment or "") if known is not None else "",
            author=request.own("author") or "",
        )
        saved = known is not None and request.own("saved") is not None
        return await self._page(request, subject, entered, saved=saved)

    async def save(self, request: FormRequest) -> str | Shown:
        catalog = self._catalog()
        subject, entered = await self._subject(request), _entered(request)
        if request.fields.get("action") == "check":
            checked = await asyncio.to_thread(_checked, subject.row, entered.text, catalog)
            return Shown(await self._page(request, subject, entered, check=checked))
        try:
            asked = _asked(subject, entered, author=request.caller or entered.author)
            await asyncio.to_thread(
                give_feedback,
                self._sources.log,
                asked,
                catalog=catalog,
                clock=self._clock,
                once=True,
            )
        except UnfitCorrection as error:
            told = _told(compact(entered.text), error.findings)
            return Shown(await self._page(request, subject, entered, check=told), error.status)
        except (Refusal, InfraError) as error:
            fault = fault_of(error)
            shown = await self._page(request, subject, entered, fault=fault)
            return Shown(shown, fault.status)
        self._sources.readings.forget()
        return request.address.here(saved="yes", author=entered.author or None)

    async def check(self, request: FormRequest) -> Shown:
        catalog = self._catalog()
        subject = await self._subject(request)
        text = _entered(request).text
        return Shown(await asyncio.to_thread(_checked, subject.row, text, catalog))

    def _catalog(self) -> Catalog:
        stack = self._sources.stack
        if stack is None:
            raise Refusal("invalid_request", _NO_STACK, hint="`lakehouse up` serves these pages.")
        return stack.catalog

    async def _subject(self, request: PageRequest) -> _Subject:
        identity = request.path["row_id"]
        found = await self._sources.readings.ask(lambda reader: reader.session(identity))
        return await asyncio.to_thread(self._read, found, identity)

    def _read(self, found: FoundSession, identity: str) -> _Subject:
        row = _chosen(found, identity)
        known = feedback_of(self._sources.log, row.row_id)
        return _Subject(row, known, _text(row, known))

    async def _page(
        self,
        request: PageRequest,
        subject: _Subject,
        entered: Entered,
        *,
        saved: bool = False,
        check: CheckedText | None = None,
        fault: Fault | None = None,
    ) -> FeedbackFormPage:
        row, where = subject.row, request.where
        unlabelled = await self._sources.readings.ask(
            lambda reader: reader.unlabelled(where, after=row.row_id)
        )
        return FeedbackFormPage(
            row_id=row.row_id,
            session_id=row.session_id,
            timestamp=row.timestamp,
            kind=row.kind,
            model=row.model_alias,
            verdict=row.verdict,
            prompt=shown_text(row.prompt, row.prompt_truncated),
            answer="" if row.artifact == NULL else _editable(bytes(row.artifact)),
            known=subject.known,
            closed="" if self._sources.stack is not None else _NO_STACK,
            entered=entered,
            saved=saved,
            check=check,
            fault=fault,
            unlabelled=unlabelled,
        )


_NO_STACK: Final = (
    "These pages show a log without its stack, so nothing can check a corrected artifact: "
    "feedback is given at the gateway's pages."
)


def _chosen(found: FoundSession, identity: str) -> Row:
    """Return the row that an id of a row names, or of a session with one row.

    Raises:
        Refusal: `not_found`, `ambiguous_session`, or `invalid_request` for a replay.
        LakehouseError: The row is damaged.
    """
    exact = [row for row in found.rows if row.row_id == identity]
    rows = [_decoded(row) for row in exact or found.rows]
    own = [row for row in rows if row.daemon != REPLAY_DAEMON]
    if not rows:
        raise Refusal(
            "not_found",
            f"There is no session or row {identity[:64]!r} in the log.",
            hint="The list of sessions has all of them, newest first.",
        )
    if not own:
        raise Refusal(
            "invalid_request",
            f"{identity[:64]!r} is a replay: feedback is given on the session that it repeats.",
            hint=f"Open the session {rows[0].session_id}, and label it there.",
        )
    if len(own) > 1:
        named = listed([row.row_id for row in own])
        raise Refusal(
            "ambiguous_session",
            f"{identity[:64]!r} has {len(own)} rows: {named}.",
            hint="Open one of the rows from the list of sessions.",
        )
    return own[0]


def _decoded(found: FoundRow) -> Row:
    try:
        return decode_row(bytes(found.line))
    except RowError as error:
        raise LakehouseError(
            f"The row {found.row_id} cannot be read: {error}.",
            hint="`lakehouse log verify` checks the whole log.",
        ) from error


def _text(row: Row, known: Feedback | None) -> str:
    """Return what a person begins to correct: the latest of what there is."""
    answers = [attempt.artifact for attempt in reversed(row.attempts)]
    corrected = () if known is None else (known.artifact,)
    for artifact in (*corrected, row.artifact, *answers):
        if artifact != NULL:
            return _editable(bytes(artifact))
    output = row.attempts[-1].output if row.attempts else ""
    return output if len(output) <= _TEXT_CHARS_MAX else ""


def _editable(artifact: bytes) -> str:
    """Indent an artifact, each value as it was written; too long a one is left out."""
    text = visible_json(msgspec.json.format(artifact, indent=2).decode("utf-8"))
    return text if len(text) <= _TEXT_CHARS_MAX else ""


def _entered(request: FormRequest) -> Entered:
    fields = {
        name: request.fields.get(name, "").replace("\r\n", "\n")
        for name in ("label", "artifact", "comment", "author")
    }
    return Entered(
        label=fields["label"],
        text=fields["artifact"],
        comment=fields["comment"],
        author=fields["author"].strip(),
    )


def _asked(subject: _Subject, entered: Entered, *, author: str) -> FeedbackRequest:
    """Read what was entered.

    Raises:
        Refusal: `invalid_request`, naming the field.
    """
    allowed: tuple[FeedbackLabel, ...] = get_args(FeedbackLabel)
    label = next((one for one in allowed if one == entered.label), None)
    if label is None:
        given = f"`label` is {entered.label[:64]!r}" if entered.label else "No label is chosen"
        raise Refusal(
            "invalid_request",
            f"{given}{did_you_mean(entered.label, allowed)}; choose {', '.join(allowed)}.",
        )
    artifact = NULL
    if label == "corrected":
        artifact = _raw(entered.text)
    elif _differs(entered.text, subject.text):
        raise Refusal(
            "invalid_request",
            f"The artifact was changed, but the label is {label}.",
            hint="Save it as a correction, or undo it.",
        )
    return FeedbackRequest(
        session_id=subject.row.session_id,
        row_id=subject.row.row_id,
        label=label,
        artifact=artifact,
        comment=entered.comment.strip() or None,
        author=author or None,
    )


def _raw(text: str) -> msgspec.Raw:
    try:
        parse(text)
    except JsonError as error:
        what = f"not JSON: {error}" if text.strip() else "empty"
        raise Refusal(
            "invalid_request",
            f"`artifact` is {what}.",
            hint="Write the whole right artifact as JSON.",
        ) from error
    return msgspec.Raw(compact(text))


def _differs(text: str, begun: str) -> bool:
    if text.strip() == begun.strip():
        return False
    try:
        return bytes(_raw(text)) != bytes(_raw(begun))
    except Refusal:
        return True


def _checked(row: Row, text: str, catalog: Catalog) -> CheckedText:
    """Check a text as saving does; writes nothing. Blocks."""
    try:
        raw = _raw(text)
        return _told(bytes(raw), check_correction(row, raw, catalog))
    except (Refusal, InfraError) as error:
        return CheckedText(fault=fault_of(error))


def _told(artifact: bytes, findings: tuple[Finding, ...]) -> CheckedText:
    lines = tree_lines(artifact, [one.path for one in findings]) if findings else ()
    return CheckedText(findings=findings, lines=lines)
