"""Hypothesis strategies for rows: everything the types allow, raw values with odd bytes."""

import json
from typing import Any, get_args

import msgspec
from hypothesis import strategies as st

from lakehouse.core.chat import FinishReason, Role, Usage
from lakehouse.core.errors import InfraCode
from lakehouse.core.finding import Finding, FindingCode, Repair, Truncated
from lakehouse.core.kind import CandidatesMode
from lakehouse.core.row import LoggedError, Row, RowMessage, Settings
from lakehouse.core.session import SOURCE_COLUMN, Attempt, Constrain, Narrowed, Verdict

texts = st.text(max_size=12)
counts = st.integers(0, 2**63 - 1)
_hex = st.integers(1, 2**128 - 1).map(lambda number: f"{number:032x}")
_digests = st.integers(0, 2**256 - 1).map(lambda number: f"sha256:{number:064x}")
_number_texts = st.sampled_from(
    ["0", "-0", "1.10", "-0.0", "1e400", "1E-7", "18446744073709551616", "4.0E+1", "9" * 40]
) | st.integers().map(str)


def _string_texts() -> st.SearchStrategy[str]:
    forms = st.sampled_from(["\\u00e9", "\\/", "\\u0041", "\\ud83d\\ude00", "\\u2028", "\\\\ud800"])
    plain = texts.map(lambda text: json.dumps(text, ensure_ascii=False)[1:-1])
    return st.lists(plain | forms, max_size=3).map(lambda parts: '"' + "".join(parts) + '"')


def _objects(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    members = st.lists(
        st.tuples(_string_texts(), values), max_size=4, unique_by=lambda m: json.loads(m[0])
    )
    return members.map(lambda found: "{" + ",".join(f"{n}:{v}" for n, v in found) + "}")


json_texts = st.recursive(
    st.sampled_from(["null", "true", "false"]) | _number_texts | _string_texts(),
    lambda inner: (
        st.lists(inner, max_size=4).map(lambda items: "[" + ",".join(items) + "]") | _objects(inner)
    ),
    max_leaves=8,
)
"""Compact JSON text in every spelling that JSON allows."""

raws = json_texts.map(lambda text: msgspec.Raw(text.encode()))


def _enum(annotation: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from(get_args(annotation))


def _word(*listed: str) -> st.SearchStrategy[str]:
    """Give words of a list that grows: those that are listed, and those of a later version."""
    return st.sampled_from(listed) | st.text("abcz_", min_size=1, max_size=40)


def _maybe(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | values


def _unset(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.just(msgspec.UNSET) | values


truncated = st.builds(
    Truncated, truncated=st.just(True), bytes=counts, sha256=_hex.map(lambda text: text * 2)
)
usages = st.builds(Usage, _maybe(counts), _maybe(counts))
_nearest = st.lists(
    texts.map(lambda text: msgspec.json.encode(text).decode()) | _number_texts, max_size=3
).map(lambda items: msgspec.Raw(("[" + ",".join(items) + "]").encode()))
findings = st.builds(
    Finding,
    code=_word(*get_args(FindingCode)),
    path=st.sampled_from(["", "/a", "/a~1b/0"]),
    message=texts,
    message_truncated=_unset(truncated),
    got=_unset(raws),
    expected=_unset(raws),
    nearest=_unset(_nearest),
)
_narrowed = st.builds(
    Narrowed,
    path=st.sampled_from(["", "/a", "/a~1b/0"]),
    column=texts | st.just(SOURCE_COLUMN),
    mode=_word("decode", "hint"),
    candidates=counts,
    digest=_digests,
)
attempts = st.builds(
    Attempt,
    iteration=counts,
    outcome=st.sampled_from(["accepted", "rejected"]),
    findings=st.lists(findings, max_size=2).map(tuple),
    findings_truncated=_unset(truncated),
    told=_maybe(texts),
    told_truncated=_unset(truncated),
    output=texts,
    output_truncated=_unset(truncated),
    thinking=_maybe(texts),
    thinking_truncated=_unset(truncated),
    artifact=raws,
    artifact_truncated=_unset(truncated),
    repairs=st.lists(st.builds(Repair, texts, counts, texts), max_size=2).map(tuple),
    repairs_truncated=_unset(truncated),
    finish_reason=_word(*get_args(FinishReason)),
    usage=usages,
    duration_ms=counts,
    span_id=_hex.map(lambda text: text[:16]),
    narrowed=_unset(st.lists(_narrowed, max_size=2).map(tuple)),
)
_temperatures = (st.just("null") | _number_texts).map(lambda text: msgspec.Raw(text.encode()))
settings = st.builds(
    Settings,
    constrain=_enum(Constrain),
    temperature=_temperatures,
    max_tokens=_maybe(counts),
    seed=_maybe(st.integers(-(2**63), 2**63 - 1)),
    deadline_ms=counts,
    history=_unset(_word("answer_and_findings", "full")),
    candidates=_unset(_word(*get_args(CandidatesMode))),
    top_p=_unset(_number_texts.map(lambda text: msgspec.Raw(text.encode()))),
    stop=_unset(st.lists(texts, max_size=3).map(tuple)),
    assert_formats=_unset(st.just(True)),
)
messages = st.builds(
    RowMessage, role=_enum(Role), content=texts, content_truncated=_unset(truncated)
)
_tables = st.dictionaries(texts, _digests, max_size=3).map(
    lambda tables: dict(sorted(tables.items(), key=lambda item: item[0].encode()))
)
_inline_schemas = (st.sampled_from(["null", "true", "false"]) | _objects(json_texts)).map(
    lambda text: msgspec.Raw(text.encode())
)
rows = st.builds(
    Row,
    schema=st.just("session.iterate.v1"),
    session_id=_hex,
    trace_id=_hex,
    row_id=_hex,
    timestamp=st.just("2026-01-02T03:04:05.678901Z"),
    daemon=texts,
    kind=_maybe(texts),
    model=texts,
    model_alias=texts,
    provider=texts,
    prompt=texts,
    prompt_truncated=_unset(truncated),
    messages=_maybe(st.lists(messages, max_size=2).map(tuple)),
    system=_maybe(texts),
    system_truncated=_unset(truncated),
    max_iterations=counts,
    settings=settings,
    inline_schema=_inline_schemas,
    verdict=_enum(Verdict),
    iterations=counts,
    accepted_iteration=_maybe(counts),
    grounded=_maybe(st.booleans()),
    artifact=raws,
    attempts=st.lists(attempts, max_size=2).map(tuple),
    error=_maybe(st.builds(LoggedError, _word(*get_args(InfraCode)), texts, _maybe(texts))),
    usage=usages,
    duration_ms=counts,
    conversation_id=_maybe(texts),
    metadata=st.dictionaries(texts, texts, max_size=3),
    trace_id_replaced=st.booleans(),
    config_digest=_digests,
    kind_digest=_digests,
    tables=_tables,
)
"""Rows as we write them: raw values compact, `tables` sorted."""
