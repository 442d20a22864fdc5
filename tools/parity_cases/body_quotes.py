"""Bodies about `quote`: which values stand in the text word for word."""

from parity_cases.body_parts import body, found, reply
from parity_cases.case import Case

QUOTE = "quote: a non-empty substring of the prompt or of one user message (source in /v1/validate)."

QUOTE_RULE = '[{"path":"/a","match":"quote"}]'


def quotes(name: str, about: str, value: str, source: str | None, *, holds: bool) -> Case:
    """Make a fixture of one quote."""
    output = f'{{"a":{value}}}'
    came = body(output, grounding=QUOTE_RULE, source=source)
    if holds:
        return Case(name, about, QUOTE, came, reply(output, grounded="true"))
    finding = found("ungrounded", "/a", value, '{"match":"quote"}')
    return Case(name, about, QUOTE, came, reply(output, finding, grounded="false"))


QUOTES = [
    quotes("quote_inside", "A part of the text.", '"35 min"', "late 35 minutes", holds=True),
    quotes("quote_whole", "The whole text.", '"late\\n😀"', "late\n😀", holds=True),
    quotes("quote_by_escape", "An escape equals its character.", '"l\\u0061te"', "late", holds=True),
    quotes("quote_of_another_case", "Word for word.", '"Late"', "late", holds=False),
    quotes("quote_of_other_white_space", "A line break is no blank.", '"a b"', "a\nb", holds=False),
    quotes("quote_not_normalized", "A decomposed letter is not the composed one.", '"e\u0301"', "é", holds=False),
    quotes("quote_empty", "An empty quote stands nowhere.", '""', "late", holds=False),
    quotes("quote_without_source", "Nothing to quote from.", '"late"', None, holds=False),
    quotes("quote_number", "A number is no quote.", "35", "late 35 minutes", holds=False),
    quotes("quote_object", "Nor is an object.", '{"b":"late"}', "late", holds=False),
]
