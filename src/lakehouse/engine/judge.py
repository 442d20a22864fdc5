"""Judges one answer: extraction, schema, then grounding, rules and validators, in this order.

`/v1/iterate` and `/v1/validate` share it, so that their checks cannot differ.
"""

from collections.abc import Sequence

import msgspec

from lakehouse.core.clock import Clock
from lakehouse.core.finding import Finding, Repair, ordered, raw_evidence
from lakehouse.core.json_text import NULL, pointer
from lakehouse.core.kind import Kind, ModelFault
from lakehouse.core.observation import AttemptTimes
from lakehouse.core.ports import TableSnapshot
from lakehouse.core.words import Word
from lakehouse.grounding.check import check_grounding, check_rules
from lakehouse.validation.extract import extract
from lakehouse.validation.raw_tree import RawTree
from lakehouse.validation.schema import CompiledSchema


class Judgement(msgspec.Struct, frozen=True):
    """The result of the checks of one answer. No findings: accepted.

    `artifact` is raw JSON, `null` if nothing could be extracted; `findings` are in the order of
    the checks. `grounded` is null if no grounding rule applied or none was reached.
    """

    artifact: msgspec.Raw
    findings: tuple[Finding, ...]
    grounded: bool | None
    repairs: tuple[Repair, ...]
    thinking: str | None


async def judge(
    text: str,
    finish_reason: Word,
    *,
    kind: Kind,
    schema: CompiledSchema,
    sources: Sequence[str],
    tables: TableSnapshot,
    times: AttemptTimes,
    clock: Clock,
    reasoning_marks: tuple[tuple[str, str], ...] = (),
) -> Judgement:
    """Judge one answer.

    Grounding, rules and validators run only if the answer matches the schema; then all of them run.

    `reasoning_marks` are the marks that the model's configuration adds to the known ones. The
    times at which extraction and the schema check ended are written to `times`.

    Raises:
        InfraError: The answer could not be judged: `table_unavailable`, `rule_broken`, `timeout`.
    """
    found = extract(
        text,
        finish_reason=finish_reason,
        accepts=schema.accepts,
        repair=kind.repair,
        own_marks=reasoning_marks,
    )
    times.extracted_ms = clock.monotonic_ms()
    if found.artifact is None:
        return Judgement(NULL, found.findings, None, found.repairs, found.thinking)
    artifact = found.artifact
    findings = schema.findings(found.value, bytes(artifact))
    times.checked_ms = clock.monotonic_ms()
    grounded = None
    if not findings:
        more: list[Finding] = []
        if kind.grounding:
            grounding = await check_grounding(
                kind.grounding, found.value, bytes(artifact), sources, tables
            )
            more += grounding.findings
            if grounding.applied:
                grounded = not grounding.findings
        if kind.rules:
            more += await check_rules(kind.rules, found.value, bytes(artifact), tables)
        if kind.model_check is not None:
            more += model_findings(await kind.model_check.faults(bytes(artifact)), bytes(artifact))
        if more:
            findings = tuple(ordered(more))
    return Judgement(artifact, findings, grounded, found.repairs, found.thinking)


def model_findings(faults: Sequence[ModelFault], artifact: bytes) -> list[Finding]:
    """Return the findings that the faults of an artifact are."""
    tree = RawTree(artifact)
    found = []
    for fault in faults:
        try:
            got = raw_evidence(tree.at(fault.place))
        except KeyError:  # a member that the answer left out
            got = msgspec.UNSET
        finding = Finding(
            code="rule",
            path=pointer(*fault.place),
            message=fault.message,
            got=got,
            nearest=msgspec.Raw(fault.nearest) if fault.nearest else msgspec.UNSET,
        )
        found.append(finding)
    return found
