"""The sessions that flipped, told side by side, attempt by attempt."""

from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import Final

from lakehouse.core.session import Attempt
from lakehouse.replay.markup import safe
from lakehouse.replay.pairs import Pair, Side
from lakehouse.replay.report import Change, Flip, flips
from lakehouse.replay.statistics import state_of
from lakehouse.replay.summary import STATE_WORDS

_SESSIONS_SHOWN: Final = 60
_TEXT_SHOWN: Final = 4_000  # characters of one text; the log has the whole
_FINDINGS_SHOWN: Final = 20
_CHANGES: Final[dict[Change, str]] = {
    "lost": "no longer accepted",
    "gained": "newly accepted",
    "first_shot_lost": "no longer at the first shot",
    "first_shot_gained": "newly at the first shot",
}


def flipped_sessions(pairs: Sequence[Pair]) -> Iterable[str]:
    """Tell the first sixty, lost ones first; say how many more there are."""
    found = flips(pairs)
    yield f"<h2>Sessions that flipped: {len(found)}</h2>"
    yield from (_session(flip, pair) for flip, pair in found[:_SESSIONS_SHOWN])
    if len(found) > _SESSIONS_SHOWN:
        more = len(found) - _SESSIONS_SHOWN
        yield f'<p class="note">{more} more are in the JSON report.</p>'


def _session(flip: Flip, pair: Pair) -> str:
    attempts = zip_longest(pair.baseline.attempts, pair.candidate.attempts)
    cells = "".join(
        f"<div>{_attempt(ours)}</div><div>{_attempt(theirs)}</div>" for ours, theirs in attempts
    )
    if not cells:
        cells = '<p class="note">Its attempts are not in this report: lakehouse show.</p>'
    prompt = f'<p class="told">asked</p>{_text(pair.prompt)}' if pair.prompt else ""
    kind = "" if flip.kind is None else f" {safe(flip.kind)}"
    return (
        f'<details><summary><span class="{flip.change}">{_CHANGES[flip.change]}</span>'
        f"<code>{safe(flip.session_id)}</code>{kind}</summary>"
        f'<p class="note">row <code>{safe(flip.row_id)}</code></p>{prompt}'
        f'<div class="sides"><div>{_end("baseline", pair.baseline)}</div>'
        f"<div>{_end('candidate', pair.candidate)}</div>{cells}</div></details>"
    )


def _end(name: str, side: Side) -> str:
    told = f"{STATE_WORDS[state_of(side)]} after {side.iterations}, {side.duration_ms} ms"
    artifact = "" if side.artifact is None else _text(side.artifact.decode("utf-8", "replace"))
    label = "artifact" if side.accepted else "last artifact, rejected"
    if artifact:
        artifact = f'<p class="told">{label}</p>{artifact}'
    return (
        f'<h4><span class="name {name}">{name}</span> {safe(side.model)}</h4>'
        f'<p class="told">{safe(told)}</p>{artifact}'
    )


def _attempt(attempt: Attempt | None) -> str:
    if attempt is None:
        return ""
    told = "" if attempt.told is None else f'<p class="told">told</p>{_text(attempt.told)}'
    findings = "".join(
        f"<li>{safe(finding.code)} at <code>{safe(finding.path or 'the whole')}</code>: "
        f"{safe(_cut(finding.message))}</li>"
        for finding in attempt.findings[:_FINDINGS_SHOWN]
    )
    return (
        f"<h4>attempt {attempt.iteration}: {safe(attempt.outcome)}</h4>{told}"
        f'<p class="told">wrote</p>{_text(attempt.output)}'
        + (f"<ul>{findings}</ul>" if findings else "")
    )


def _text(text: str) -> str:
    return f"<pre>{safe(_cut(text))}</pre>"


def _cut(text: str) -> str:
    left_out = len(text) - _TEXT_SHOWN
    return text if left_out <= 0 else f"{text[:_TEXT_SHOWN]} … {left_out} more characters"
