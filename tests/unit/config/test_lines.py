"""Lines of fields: only what sets or opens something counts, not what a text or a list holds."""

import pytest

from lakehouse.config.lines import line_of

TEXT = '''\
[models.m]
url = "http://x"  # it's here

[kinds.event]
prompt = """
[models.fake]
url = 3
say "hi" and \\""" then
"""
pairs = [
  ["a", "b"],
  ["c", "d"],
]
example = \'\'\'
[[kinds.event.grounding]]
\'\'\'
schema = "a\u2028b.json"

[[kinds.event.grounding]]
table = "t"
with = { a = "b" }
[kinds.event.grounding.extra]
k = 1
[[kinds.event.grounding]]
table = "u"
"quoted" = 1
'''


@pytest.mark.parametrize(
    ("field", "line"),
    [
        ("models.m.url", 2),
        ("models.fake.url", None),
        ("kinds", 4),
        ("kinds.event.missing", 4),
        ("kinds.event.prompt", 5),
        ("kinds.event.pairs[1]", 10),
        ("kinds.event.schema", 17),
        ("kinds.event.grounding[0].table", 20),
        ("kinds.event.grounding[0].with.a", 21),
        ("kinds.event.grounding[0].extra.k", 23),
        ("kinds.event.grounding[1].missing", 24),
        ("kinds.event.grounding[1].table", 25),
        ("kinds.event.grounding[1].quoted", 26),
        ("kinds.other.prompt", None),
    ],
)
def test_a_field_stands_where_it_is_set(field: str, line: int | None) -> None:
    """Multi-line texts and lists hold lines that look like headers and keys."""
    assert line_of(TEXT, field) == line
