"""Thousands of generated bodies through both validators: the same reply, or the same refusal."""

import pytest

from lakehouse.parity.normalization import normalized
from lakehouse.parity.peers import PeerOutcome
from parity.generated_bodies import Bodies
from parity.runtimes import NAMES, VALIDATORS, outcomes

BODIES = 3_000
BATCH = 750  # a helper has a minute for what it is asked at once
SEED = 20_260_302


def compared(outcome: PeerOutcome) -> tuple[str, bytes]:
    """Give what the gate compares: the reply without the messages of its findings."""
    output = normalized("validator", outcome.output) if outcome.kind == "result" else b""
    return outcome.kind, output


@pytest.mark.timeout(600)
def test_both_validators_say_the_same():
    """Of schemas, grounding and extraction; most are judged, most of these rejected."""
    source = Bodies(SEED)
    bodies = [source.body() for _ in range(BODIES)]
    answers: dict[str, list[PeerOutcome]] = {}
    for start in range(0, BODIES, BATCH):
        for name, found in outcomes("validator", bodies[start : start + BATCH]).items():
            answers.setdefault(name, []).extend(found)

    own = [compared(outcome) for outcome in answers.pop("python")]
    assert set(answers) == set(NAMES) & set(VALIDATORS)
    accepted = sum(b'"verdict":"accepted"' in output for _, output in own)
    assert BODIES * 0.1 < accepted < BODIES * 0.5
    assert sum(kind == "result" for kind, _ in own) > BODIES * 0.8
    assert {kind for kind, _ in own} == {"result", "errored"}
    for name, found in answers.items():
        theirs = map(compared, found)
        differ = [one for one in zip(bodies, own, theirs, strict=True) if one[1] != one[2]]
        assert differ == [], f"{name}: {len(differ)} of {BODIES}, such as {differ[0]}"
