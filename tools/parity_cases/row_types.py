"""Rows about types: closed lists, members that must be there, values of another type."""

from parity_cases.case import Case, items, sealed
from parity_cases.row_parts import ATTEMPT, FINDING, ROW, attempt, finding, refused, row, settings

LISTS = "Readers check form, members, types, closed lists and crc."
MEMBERS = "Every member of required in row.schema.json must be there; a row without one is refused."


def _without(name: str) -> str:
    return sealed("{" + ",".join(f'"{n}":{text}' for n, text in ROW.items() if n != name))


def _less(parts: dict[str, str], name: str) -> str:
    return "{" + ",".join(f'"{n}":{text}' for n, text in parts.items() if n != name) + "}"


TYPES: list[Case] = [
    *(
        refused(f"unknown_{name}", "A word that is not in the closed list.", LISTS, line)
        for name, line in [
            ("verdict", row(verdict='"rejected"')),
            ("outcome", row(attempts=items(attempt(outcome='"skipped"')))),
            ("role", row(messages='[{"role":"tool","content":"x"}]')),
            ("constrain", row(settings=settings(constrain='"on"'))),
        ]
    ),
    *(
        refused(f"lacks_{name}", f"Without `{name}`.", MEMBERS, _without(name))
        for name in ["row_id", "kind", "messages", "inline_schema", "usage", "metadata", "tables"]
    ),
    *(
        refused(f"lacks_{name}", about, MEMBERS, line)
        for name, about, line in [
            ("span_id", "An attempt without it.", row(attempts=items(_less(ATTEMPT, "span_id")))),
            ("told", "An attempt without it.", row(attempts=items(_less(ATTEMPT, "told")))),
            (
                "message_of_a_finding",
                "A finding without it.",
                row(attempts=items(attempt(findings=items(_less(FINDING, "message"))))),
            ),
            ("usage_part", "usage without a part.", row(usage='{"prompt_tokens":1}')),
            (
                "usage_part_of_an_attempt",
                "An attempt's usage without a part.",
                row(attempts=items(attempt(usage='{"completion_tokens":1}'))),
            ),
            ("content", "A message without it.", row(messages='[{"role":"user"}]')),
            (
                "seed",
                "settings without it.",
                row(
                    settings='{"constrain":"auto","temperature":null,"max_tokens":null,"deadline_ms":1}'
                ),
            ),
        ]
    ),
    *(
        refused(f"type_of_{name}", about, LISTS, line)
        for name, about, line in [
            ("prompt", "null where a text must be.", row(prompt="null")),
            ("kind", "A number where a text or null may be.", row(kind="7")),
            ("grounded", "A text where a boolean or null may be.", row(grounded='"true"')),
            ("trace_id_replaced", "null where a boolean must be.", row(trace_id_replaced="null")),
            ("attempts", "null where a list must be.", row(attempts="null")),
            ("attempts_entry", "null where an attempt must be.", row(attempts="[null]")),
            ("settings", "null where an object must be.", row(settings="null")),
            ("usage", "null where an object must be.", row(usage="null")),
            ("metadata", "null where an object must be.", row(metadata="null")),
            ("metadata_value", "A number where a text must be.", row(metadata='{"a":1}')),
            ("tables", "A list where an object must be.", row(tables="[]")),
            ("tables_value", "null where a text must be.", row(tables='{"a":null}')),
            ("messages", "An object where a list or null may be.", row(messages="{}")),
            ("error", "A text where an object or null may be.", row(error='"connect"')),
            ("iterations", "null where a number must be.", row(iterations="null")),
            ("marker", "A text where a marker must be.", row(',"prompt_truncated":"yes"')),
            (
                "truncated",
                "A text where a boolean must be.",
                row(',"prompt_truncated":{"truncated":"true","bytes":1,"sha256":"0"}'),
            ),
            (
                "findings",
                "An object where a list must be.",
                row(attempts=items(attempt(findings="{}"))),
            ),
            (
                "nearest",
                "A text where a list must be.",
                row(attempts=items(attempt(findings=items(finding(nearest='"LIS"'))))),
            ),
        ]
    ),
]
