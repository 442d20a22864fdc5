"""Bodies about thinking beside regions and blocks, and about brackets that begin no array."""

from parity_cases.body_extraction import UNBALANCED
from parity_cases.case import Case

THINKING = (
    'Thinking (<think>, <thinking>, <reasoning> outside JSON; a closing tag'
    ' without an opening one ends thinking that began at the start) is set '
    'aside.'
)
SKIPPED = (
    'it does not → the region is skipped, never looked into. invalid_json: '
    'something does and does not parse.'
)
CUT = (
    'truncated: the text ended in the middle (finish_reason length, an uncl'
    'osed value or thinking block) and holds no whole candidate.'
)
QUOTED = (
    'An opening tag in a closed block whose end does not come in that block'
    ' is content, not thinking.'
)
ONE_PIECE = (
    'In a fenced block that is not JSON as a whole, thinking is set aside, '
    'and what is left is its content if it is one piece.'
)
LINE = "Where thinking ended, a line begins, and so may a fence."
NO_JSON = (
    'A [ that does not begin a JSON array is prose. no_json: nothing that b'
    'egins like an object or array.'
)
PROSE = "A [ that does not begin a JSON array is prose."

THOUGHTS = [
    Case(
        'thinking_behind_a_lone_brace',
        "A brace that nothing closes is no JSON, and what stands behind it is outside of JSON.",
        THINKING,
        '{"schema":{},"output":"{\\"a\\":1} or { <think>hm</think>"}',
        '{"verdict":"accepted","artifact":{"a":1},"grounded":null,"findings":[]}',
    ),
    Case(
        'thinking_tags_in_a_broken_region',
        "A balanced region that does not parse is never looked into.",
        SKIPPED,
        '{"schema":{},"output":"{\\"a\\":\\"<think>x</think>\\",}"}',
        (
            '{"verdict":"rejected","artifact":null,"grounded":null,"findings":[{"co'
            'de":"invalid_json","path":"","message":""}]}'
        ),
    ),
    Case(
        'thinking_behind_a_value_without_its_brace',
        "Only a bracket is missing before the thinking, which ends the text.",
        UNBALANCED,
        '{"schema":{},"output":"{\\"a\\":1 <think>x</think>"}',
        (
            '{"verdict":"rejected","artifact":null,"grounded":null,"findings":[{"co'
            'de":"invalid_json","path":"","message":""}]}'
        ),
    ),
    Case(
        'thinking_behind_a_cut_value',
        "A member lacks its value when the text ends.",
        CUT,
        '{"schema":{},"output":"{\\"a\\": <think>x</think>"}',
        (
            '{"verdict":"rejected","artifact":null,"grounded":null,"findings":[{"co'
            'de":"truncated","path":"","message":""}]}'
        ),
    ),
    Case(
        'thinking_in_a_cut_text',
        "Tags in the text of a value that was cut off are text.",
        CUT,
        '{"schema":{},"output":"{\\"a\\":\\"<think>x</think>"}',
        (
            '{"verdict":"rejected","artifact":null,"grounded":null,"findings":[{"co'
            'de":"truncated","path":"","message":""}]}'
        ),
    ),
    Case(
        'thinking_not_closed_in_a_block',
        "A closed block that quotes a tag does not swallow the answer behind it.",
        QUOTED,
        '{"schema":{},"output":"Use\\n```\\n<think>\\n```\\nSo {\\"a\\":1}."}',
        '{"verdict":"accepted","artifact":{"a":1},"grounded":null,"findings":[]}',
    ),
    Case(
        'thinking_not_closed_in_an_open_block',
        "Both are cut off.",
        CUT,
        '{"schema":{},"output":"```json\\n<think>Maybe {\\"a\\":1}"}',
        (
            '{"verdict":"rejected","artifact":null,"grounded":null,"findings":[{"co'
            'de":"truncated","path":"","message":""}]}'
        ),
    ),
    Case(
        'thinking_in_a_block_then_a_scalar',
        "What is left of the block is its content.",
        ONE_PIECE,
        '{"schema":{},"output":"So:\\n```\\n<think>6 x 7</think>\\n42\\n```\\n"}',
        '{"verdict":"accepted","artifact":42,"grounded":null,"findings":[]}',
    ),
    Case(
        'thinking_tag_as_the_content_of_a_block',
        "A text that is JSON.",
        THINKING,
        '{"schema":{},"output":"So:\\n```\\n\\"<think>\\"\\n```\\n"}',
        '{"verdict":"accepted","artifact":"<think>","grounded":null,"findings":[]}',
    ),
    Case(
        'thinking_then_a_fence_on_its_line',
        "Once thinking is set aside, a line begins.",
        LINE,
        '{"schema":{},"output":"<think>hm</think>```\\n42\\n```\\nDone."}',
        '{"verdict":"accepted","artifact":42,"grounded":null,"findings":[]}',
    ),
    Case(
        'brackets_of_a_wiki_link',
        "[[ before a word begins no array.",
        NO_JSON,
        '{"schema":{},"output":"See [[Lisbon]]."}',
        (
            '{"verdict":"rejected","artifact":null,"grounded":null,"findings":[{"co'
            'de":"no_json","path":"","message":""}]}'
        ),
    ),
    Case(
        'brackets_before_an_object',
        "They do not swallow the object.",
        PROSE,
        '{"schema":{},"output":"See [[x and {\\"a\\":1}"}',
        '{"verdict":"accepted","artifact":{"a":1},"grounded":null,"findings":[]}',
    ),
    Case(
        'brackets_of_a_nested_array',
        "[[ before a number begins one.",
        PROSE,
        '{"schema":{},"output":"So [ [1],[2]]."}',
        '{"verdict":"accepted","artifact":[[1],[2]],"grounded":null,"findings":[]}',
    ),
]
