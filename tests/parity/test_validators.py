"""Thousands of generated bodies through both validators: the same reply, or the same refusal."""

import pytest

from lakehouse.parity.normalization import normalized
from lakehouse.parity.peers import PeerOutcome
from parity.generated_bodies import Bodies
from parity.generated_elements import Elements
from parity.runtimes import NAMES, VALIDATORS, outcomes

BODIES = 3_000
BATCH = 750  # a helper has a minute for what it is asked at once
SEED = 20_260_302


def compared(outcome: PeerOutcome) -> tuple[str, bytes]:
    """Give what the gate compares: the reply without the messages of its findings."""
    output = normalized("validator", outcome.output) if outcome.kind == "result" else b""
    return outcome.kind, output


def replies(bodies: list[bytes]) -> list[tuple[str, bytes]]:
    """Ask every validator, and give what ours said; all others said the same."""
    answers: dict[str, list[PeerOutcome]] = {}
    for start in range(0, len(bodies), BATCH):
        for name, found in outcomes("validator", bodies[start : start + BATCH]).items():
            answers.setdefault(name, []).extend(found)
    own = [compared(outcome) for outcome in answers.pop("python")]
    assert set(answers) == set(NAMES) & set(VALIDATORS)
    for name, found in answers.items():
        theirs = map(compared, found)
        differ = [one for one in zip(bodies, own, theirs, strict=True) if one[1] != one[2]]
        assert differ == [], f"{name}: {len(differ)} of {len(bodies)}, such as {differ[0]}"
    return own


@pytest.mark.timeout(600)
def test_both_validators_say_the_same():
    """Of schemas, grounding and extraction; most are judged, most of these rejected."""
    source = Bodies(SEED)
    own = replies([source.body() for _ in range(BODIES)])
    accepted = sum(b'"verdict":"accepted"' in output for _, output in own)
    assert BODIES * 0.1 < accepted < BODIES * 0.5
    assert sum(kind == "result" for kind, _ in own) > BODIES * 0.8
    assert {kind for kind, _ in own} == {"result", "errored"}


@pytest.mark.timeout(600)
def test_both_validators_find_the_same_elements():
    """Many rules apply; some values hold, and some hold with what stands beside them."""
    source = Elements(SEED)
    own = replies([source.body() for _ in range(BODIES // 2)])
    assert {kind for kind, _ in own} == {"result"}
    for told, least in {"true": 30, "false": 150}.items():
        assert sum(b'"grounded":' + told.encode() in output for _, output in own) > least
