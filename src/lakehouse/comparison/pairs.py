"""A pair: one logged session and its replay, side by side. What everything after a run reads."""

from collections.abc import Iterable, Mapping

import msgspec

from lakehouse.core.chat import Usage
from lakehouse.core.session import Attempt, Verdict


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """How one side of a pair ended.

    `error_code` is there only with the verdict `infra_error`. `artifact` is raw JSON as the row has
    it, None where the row has none. `attempts` are only shown, never computed with, and may be left
    empty where nobody will look; of a flipped session they are told side by side.
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
        """Whether there was an answer to judge: an outage is not one."""
        return self.verdict != "infra_error"

    @property
    def accepted(self) -> bool:
        """Whether an answer passed every check."""
        return self.verdict == "accepted"

    @property
    def first_shot(self) -> bool:
        """Whether the first answer did."""
        return self.accepted and self.accepted_iteration == 0


class SessionPair(msgspec.Struct, frozen=True, kw_only=True):
    """One replayed session: `row_id` and `session_id` are the original's.

    `checked_artifact` is the answer that a person checked, raw JSON; None where nobody did.
    `prompt` is only shown.
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
        """Whether both sides have an answer to judge: only then can they be compared."""
        return self.baseline.judged and self.candidate.judged

    @property
    def cluster(self) -> str:
        """What the pair is not independent of: its conversation, else its session alone."""
        if self.conversation_id is not None:
            return f"conversation {self.conversation_id}"
        return f"session {self.session_id}"


def compare_runs(
    first: Iterable[SessionPair], second: Iterable[SessionPair]
) -> tuple[SessionPair, ...]:
    """Pair the candidates of two runs by the row that both replayed, in the order of `first`.

    The first run's candidate becomes the baseline. Rows that only one of the runs replayed are
    left out: there is nothing to compare them with.
    """
    others: Mapping[str, SessionPair] = {pair.row_id: pair for pair in second}
    return tuple(
        msgspec.structs.replace(
            pair, baseline=pair.candidate, candidate=others[pair.row_id].candidate
        )
        for pair in first
        if pair.row_id in others
    )
