"""What can be asked about a log, and the answers: typed values, as they cross a pipe."""

from typing import Final, Literal, get_args

import msgspec

from lakehouse.sessionlog.index.filters import LogFilter
from lakehouse.sessionlog.index.trouble import IndexTrouble
from lakehouse.sessionlog.reading.counts import Stats

Bucket = Literal["minute", "hour", "day", "week", "month"]
BUCKETS: Final[tuple[Bucket, ...]] = get_args(Bucket)
"""The finest first."""
GroupBy = Literal[
    "model",
    "kind",
    "day",
    "provider",
    "daemon",
    "verdict",
    "offered",
    "door",
    "client",
    "api_key",
    "kind_digest",
    "config_digest",
    "error_code",
]
FindingBy = Literal["code", "path", "value", "kind", "model", "api_key"]
METADATA_GROUP: Final = "metadata."
"""Before the name of a member of the metadata, to group by its values: `metadata.team`."""

PARTS_MAX: Final = 5_000
"""Of one answer: groups, findings. What is beyond is left out, and `more` says so."""

UNREADABLE_FILES_MAX: Final = 5
"""That an answer names."""

TIMES_MAX: Final = 1_000
"""Parts of time of one answer, as many as a chart has room for: the newest, if there are more."""


class Question(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A question; `where` chooses the sessions it is about."""

    where: LogFilter = LogFilter()


class AskSessions(Question, frozen=True, kw_only=True):
    """One page of sessions by (timestamp, row id), newest first or, `oldest_first`, the other way.

    `cursor` is `next` or `previous` of a page with the same order. `count`: count all that match.
    """

    limit: int
    cursor: str | None = None
    oldest_first: bool = False
    count: bool = False


class AskRows(Question, frozen=True, kw_only=True):
    """A page like `AskSessions`, of the rows' own bytes. It ends early where they are many."""

    limit: int
    cursor: str | None = None
    oldest_first: bool = False


class AskNeighbours(Question, frozen=True, kw_only=True):
    """The row before and the row after one, in the order of lists, within the filter."""

    row_id: str


class AskSession(Question, frozen=True, kw_only=True):
    """The rows with an id: of a session, a row or a trace."""

    identity: str


class AskRates(Question, frozen=True, kw_only=True):
    """Counts, rates and intervals, by groups and over time. `by`: `GroupBy` or `metadata.NAME`."""

    by: tuple[str, ...] = ()
    bucket: Bucket | None = None


class AskFindings(Question, frozen=True, kw_only=True):
    """Findings of all attempts, counted by groups; `path` has `*` for indices.

    With a `bucket` also over time.
    """

    by: tuple[FindingBy, ...]
    limit: int
    bucket: Bucket | None = None


class AskValues(Question, frozen=True, kw_only=True):
    """Values that were not in the tables, the most frequent first. `path` as in `AskFindings`."""

    path: str | None = None
    limit: int


class AskLatency(Question, frozen=True, kw_only=True):
    """Quantiles of durations and tokens, by groups and over time. `by` as in `AskRates`."""

    by: tuple[str, ...] = ()
    bucket: Bucket | None = None


class AskOverview(Question, frozen=True, kw_only=True):
    """The numbers of the start page, in one answer."""

    bucket: Bucket


class AskLabels(Question, frozen=True, kw_only=True):
    """The labels of people, newest first. `cursor` is `next` of a page."""

    limit: int
    cursor: str | None = None


class AskUnlabelled(Question, frozen=True, kw_only=True):
    """The next session without a label: older than the row `after`, else the newest."""

    after: str | None = None


class UnreadableFile(msgspec.Struct, frozen=True):
    """How many lines of a file of the log could not be read; the name is the log's own."""

    file: str
    lines: int


class Progress(msgspec.Struct, frozen=True):
    """What an answer could not take into account yet: files of the log, and their bytes.

    These are zero once the index is there. `rows` are those that were taken into account.
    `lines_unreadable` are damaged, or too long, or gone from their files: no row is shown of them.
    `unreadable` are the files with most of them, at most `UNREADABLE_FILES_MAX`.
    `index_trouble`: why the index cannot be built; None while it can, or none is missing.
    `compacted_elsewhere`: the compacted table is in an object store, and its rows are not in the
    answer.
    """

    rows: int = 0
    files_missing: int = 0
    bytes_missing: int = 0
    lines_unreadable: int = 0
    files_unreadable: int = 0
    unreadable: tuple[UnreadableFile, ...] = ()
    index_trouble: IndexTrouble | None = None
    compacted_elsewhere: bool = False

    @property
    def complete(self) -> bool:
        return self.files_missing == 0


class SessionLine(msgspec.Struct, frozen=True, kw_only=True):
    """A session in a list. `timestamp` is UTC; texts are cut to their first 300 characters.

    `label` is the newest feedback.
    """

    session_id: str
    row_id: str
    trace_id: str
    timestamp: str
    daemon: str
    kind: str | None
    model: str
    model_alias: str
    provider: str
    verdict: str
    iterations: int
    accepted_iteration: int | None
    grounded: bool | None
    prompt_tokens: int | None
    completion_tokens: int | None
    duration_ms: int
    error_code: str | None
    conversation_id: str | None
    codes: tuple[str, ...]
    metadata: dict[str, str]
    prompt_start: str
    output_start: str | None
    label: str | None


class ReaderAnswer(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """An answer, and what it could not take into account."""

    progress: Progress = Progress()


class Sessions(ReaderAnswer, frozen=True, kw_only=True):
    """A page. `next` begins the rest; `previous` the page before, asked in the other order.

    `matching` is how many there are in all, if it was asked for.
    """

    sessions: tuple[SessionLine, ...]
    next: str | None
    previous: str | None
    matching: int | None = None


class Neighbours(ReaderAnswer, frozen=True, kw_only=True):
    """The row ids beside a row; None at an end. `known`: the row is in the log."""

    newer: str | None
    older: str | None
    known: bool


class FoundRow(msgspec.Struct, frozen=True):
    """A row's own bytes, its crc checked."""

    row_id: str
    line: msgspec.Raw
    label: str | None


class FoundSession(ReaderAnswer, frozen=True, kw_only=True):
    """The rows with an id, newest first; none if there is no such id.

    `more`: there are more than an answer holds.
    """

    rows: tuple[FoundRow, ...]
    more: bool = False


class RowPage(ReaderAnswer, frozen=True, kw_only=True):
    """A page of rows. `unreadable`: rows of it whose lines are damaged, or gone meanwhile."""

    rows: tuple[FoundRow, ...]
    next: str | None
    unreadable: int = 0


class Rates(ReaderAnswer, frozen=True, kw_only=True):
    """Of all, and of each group; a group's `bucket` is when its time begins, in UTC.

    `more`: groups are left out, of parts of time the oldest. `coarser` is then the finest bucket
    that leaves out no time; null if there is none. `first` and `last` are the times of the oldest
    and newest session.
    """

    total: Stats
    groups: tuple[Stats, ...]
    first: str | None
    last: str | None
    more: bool = False
    coarser: Bucket | None = None


class FindingGroup(msgspec.Struct, frozen=True):
    """`findings` in `sessions` sessions. `nearest` is the most frequent, raw JSON or `null`.

    `row_ids` are of the newest sessions, at most three.
    """

    group: dict[str, str | None]
    findings: int
    sessions: int
    nearest: msgspec.Raw
    last_seen: str
    row_ids: tuple[str, ...]


class FindingCount(msgspec.Struct, frozen=True):
    """`findings` in `sessions` sessions of one part of time, which begins at `bucket`, in UTC."""

    bucket: str | None
    findings: int
    sessions: int


class Findings(ReaderAnswer, frozen=True, kw_only=True):
    """Groups, the most frequent first. `times` do not depend on the limit of groups.

    `times_more` and `coarser` are of `times` what `more` and `coarser` of `Rates` are.
    """

    groups: tuple[FindingGroup, ...]
    times: tuple[FindingCount, ...] = ()
    more: bool = False
    times_more: bool = False
    coarser: Bucket | None = None


class Quantiles(msgspec.Struct, frozen=True):
    """Of one measure, over the sessions that have it; None where none has.

    `total` is at most 2^63 - 1.
    """

    p50: float | None
    p90: float | None
    p99: float | None
    total: int


class LatencyGroup(msgspec.Struct, frozen=True):
    """Whole sessions, outages included: choose by `verdict` what to leave out."""

    group: dict[str, str | None]
    sessions: int
    duration_ms: Quantiles
    prompt_tokens: Quantiles
    completion_tokens: Quantiles


class Latency(ReaderAnswer, frozen=True, kw_only=True):
    """Of all, and of each group; `more` and `coarser` as in `Rates`."""

    total: LatencyGroup
    groups: tuple[LatencyGroup, ...]
    more: bool = False
    coarser: Bucket | None = None


class Overview(ReaderAnswer, frozen=True, kw_only=True):
    """The start page."""

    rates: Rates
    latency: Latency
    findings: tuple[FindingGroup, ...]


class LabelLine(msgspec.Struct, frozen=True):
    """The newest label of a row; `given` is when, in UTC. Texts are cut to 300 characters."""

    row_id: str
    session_id: str
    kind: str | None
    verdict: str
    prompt_start: str
    label: str
    comment: str | None
    author: str | None
    given: str


class LabelCount(msgspec.Struct, frozen=True):
    """Sessions of one kind with this label; `kind` is null for schemas of requests."""

    kind: str | None
    label: str
    sessions: int


class Labels(ReaderAnswer, frozen=True, kw_only=True):
    """A page of labels. `counts` are of the filter without its `label`, and of all pages."""

    labels: tuple[LabelLine, ...]
    next: str | None
    counts: tuple[LabelCount, ...]


class Unlabelled(ReaderAnswer, frozen=True, kw_only=True):
    """How many judged sessions have no label; `next` is the row id of one of them."""

    sessions: int
    next: str | None


class Failed(ReaderAnswer, frozen=True, kw_only=True):
    """No answer. `refused`: the question is at fault, with the code of a `Refusal`."""

    message: str
    hint: str | None = None
    refused: bool = False
