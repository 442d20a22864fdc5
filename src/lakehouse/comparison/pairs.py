"""A pair: one logged session and its replay, side by side."""

from collections.abc import Iterable, Mapping

import msgspec

from lakehouse.core.chat import Usage
from lakehouse.core.session import Attempt, Verdict


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """How one side of a pair ended.

    `error_code` is set only with the verdict `infra_error`. `artifact` is the raw JSON of the row,
    None if it has none. `attempts` are only displayed, for flipped sessions; other sides may leave
    them empty to save memory.
    """

    model: str
    verdict: Verdict
    error_code: str | None = None
    iterations: int
    accepted_iteration: int | None
    grounded: bool | None = None
    artifact: bytes | None = None
    usage: Usage = Usage()
    duration_ms: int
    attempts: tuple[Attempt, ...] = ()

    @property
    def judged(self) -> bool:
        """Whether there was an answer to judge; an outage gives none."""
        return self.verdict != "infra_error"

    @property
    def accepted(self) -> bool:
        return self.verdict == "accepted"

    @property
    def first_shot(self) -> bool:
        return self.accepted and self.accepted_iteration == 0


class SessionPair(msgspec.Struct, frozen=True, kw_only=True):
    """One replayed session: `row_id` and `session_id` are the original's.

    `checked_artifact` is the answer that a person checked, as raw JSON; None if nobody did.
    `prompt` is only displayed.
    """

    row_id: str
    session_id: str
    conversation_id: str | None = None
    kind: str | None = None
    prompt: str = ""
    baseline: Side
    candidate: Side
    checked_artifact: bytes | None = None

    @property
    def judged(self) -> bool:
        """Whether both sides have an answer to judge, so that they can be compared."""
        return self.baseline.judged and self.candidate.judged

    @property
    def cluster(self) -> str:
        """The conversation, or else the session: pairs of one cluster depend on each other."""
        if self.conversation_id is not None:
            return f"conversation {self.conversation_id}"
        return f"session {self.session_id}"


def compare_runs(
    first: Iterable[SessionPair], second: Iterable[SessionPair]
) -> tuple[SessionPair, ...]:
    """Pair the candidates of two runs by the row that both replayed, in the order of `first`.

    The candidate of the first run becomes the baseline. Rows that only one run replayed are left
    out.
    """
    others: Mapping[str, SessionPair] = {pair.row_id: pair for pair in second}
    return tuple(
        msgspec.structs.replace(
            pair, baseline=pair.candidate, candidate=others[pair.row_id].candidate
        )
        for pair in first
        if pair.row_id in others
    )
