"""Rows about what was cut: markers, where they stand, and lists that are none."""

from parity_cases.case import items, sealed
from parity_cases.row_parts import after, attempt, body, finding, marker, refused, row, same, turned

MARKERS = "Right after each: <name>_truncated {truncated: true, bytes, sha256}."
ALL = "Every member is always present; a row without one is refused."

CUT_BODY = after(
    after(
        body(
            messages=items('{"role":"user","content":"a","content_truncated":' + marker() + "}"),
            system='"s"',
            attempts=items(
                '{"iteration":0,"outcome":"rejected","findings":[{"code":"schema","path":"",'
                '"message":"m","message_truncated":@,"got":1}],"findings_truncated":@,'
                '"told":"t","told_truncated":@,"output":"o","output_truncated":@,'
                '"thinking":"k","thinking_truncated":@,"artifact":null,"artifact_truncated":'
                '@,"repairs":[],"repairs_truncated":@,"finish_reason":"stop","usage":'
                '{"prompt_tokens":1,"completion_tokens":2},"duration_ms":3,"span_id":"b7"}'.replace(
                    "@", marker()
                )
            ),
        ),
        "prompt",
        ',"prompt_truncated":' + marker(),
    ),
    "system",
    ',"system_truncated":' + marker(),
)
MOVED = body(
    f',"system_truncated":{marker()},"prompt_truncated":{marker()}',
    messages=items('{"content_truncated":' + marker() + ',"role":"user","content":"a"}'),
    system='"s"',
    attempts=items(
        '{"repairs_truncated":@,"artifact_truncated":@,"thinking_truncated":@,'
        '"output_truncated":@,"told_truncated":@,"findings_truncated":@,'
        '"iteration":0,"outcome":"rejected","findings":[{"message_truncated":@,'
        '"code":"schema","path":"","message":"m","got":1}],"told":"t","output":"o",'
        '"thinking":"k","artifact":null,"repairs":[],"finish_reason":"stop","usage":'
        '{"prompt_tokens":1,"completion_tokens":2},"duration_ms":3,"span_id":"b7"}'.replace(
            "@", marker(sha256='"\\u0035f' + "5f" * 31 + '"')
        )
    ),
)

CUT = [
    same(
        "markers_everywhere",
        "A marker right after each value that can be cut.",
        MARKERS,
        sealed(CUT_BODY),
    ),
    turned(
        "markers_moved_to_their_place",
        "The same markers elsewhere in their objects: they are written right after their values.",
        MARKERS,
        sealed(MOVED),
        sealed(CUT_BODY),
    ),
    refused(
        "marker_null",
        "A marker that is null.",
        "A marker (…_truncated) or nearest that is null is refused.",
        sealed(after(body(), "prompt", ',"prompt_truncated":null')),
    ),
    refused(
        "marker_without_digest",
        "A marker lacks its sha256.",
        ALL,
        sealed(after(body(), "prompt", ',"prompt_truncated":{"truncated":true,"bytes":9}')),
    ),
    refused(
        "nearest_null",
        "nearest that is null.",
        "A marker (…_truncated) or nearest that is null is refused.",
        row(attempts=items(attempt(findings=items(finding(nearest="null"))))),
    ),
    refused(
        "nearest_with_an_object",
        "nearest holds strings and numbers only.",
        "nearest is a list of strings and numbers.",
        row(attempts=items(attempt(findings=items(finding(nearest='["a",{}]'))))),
    ),
    refused(
        "nearest_with_a_boolean",
        "nearest holds strings and numbers only.",
        "nearest is a list of strings and numbers.",
        row(attempts=items(attempt(findings=items(finding(nearest='["a",true]'))))),
    ),
]
