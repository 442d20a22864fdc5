"""Bodies about extraction: which JSON value is taken from an answer, or why none is."""

from parity_cases.body_parts import accepted, body, nothing, reply, schema_finding
from parity_cases.case import Case

WHOLE = "The whole text if it is JSON, scalars too."
FENCE = (
    "Candidates: the whole content of each fenced block (three or more backticks or tildes, any "
    "info string), then, in prose, at each { or [ the balanced region, string-aware."
)
COMMONMARK = (
    "Fenced blocks are those of CommonMark 0.31, section 4.5. A region in prose ends at the next "
    "fence at the latest."
)
REGION = (
    "In prose, at each { or [ the balanced region, string-aware: it parses → candidate; it does "
    "not → the region is skipped, never looked into."
)
PROSE = "A [ that does not begin a JSON array is prose."
THINKING = (
    "Thinking (<think>, <thinking>, <reasoning> outside JSON; a closing tag without an opening one "
    "ends thinking that began at the start) is set aside."
)
CHOSEN = (
    "The candidate that passes the schema is judged on, those in fences first, else the last is "
    "reported."
)
AMBIGUOUS = (
    "Within one of the two classes equal values (as JSON) are one; different values that pass the "
    "schema are the finding ambiguous."
)
ITEM = "The marker of a list may stand before a fence, and the closing fence in by as much."
INNER = "A JSON fence inside another block is found."
TIGHT = "A fence that ends on the JSON's last line is found."
EMPTY = "empty: no text."
NO_JSON = "no_json: nothing that begins like an object or array."
INVALID = (
    "invalid_json: something does and does not parse; duplicate members, NaN, Infinity and lone "
    "surrogates do not parse."
)
CUT = (
    "truncated needs finish_reason length, an unclosed thinking block, or an end in the middle of a "
    "string, a literal or a member, and no whole candidate."
)
UNBALANCED = (
    "Brackets that never balance although the text ended by itself (finish_reason stop) are "
    "invalid_json."
)
STRICT = "Strict RFC 8259: Depth counts objects and arrays that are open at once; 64 is allowed, 65 is not."
A = '{"type":"object","required":["a"]}'
MISSING_A = '{"required":"a"}'


def takes(name: str, about: str, why: str, output: str, artifact: str, schema: str = "{}") -> Case:
    """Make a fixture in which `artifact` is taken, and holds."""
    return Case(name, about, why, body(output, schema=schema), reply(artifact))


def finds(name: str, about: str, why: str, output: str, code: str, schema: str = "{}") -> Case:
    """Make a fixture in which nothing is taken."""
    return Case(name, about, why, body(output, schema=schema), nothing(code))


WHOLE_TEXTS = [
    *(
        accepted(f"whole_{name}", "A scalar is JSON too.", WHOLE, output)
        for name, output in [
            ("number", "1.10"),
            ("text", '"\\u004cIS"'),
            ("true", "true"),
            ("false", "false"),
            ("null", "null"),
        ]
    ),
    takes(
        "whole_with_white_space",
        "Around the value and between its tokens.",
        WHOLE,
        ' \t\r\n{ "a" : [ 1 ,\n 2 ] }\n\n',
        '{"a":[1,2]}',
    ),
    accepted(
        "whole_keeps_its_bytes",
        "Numbers, escapes and member order of an artifact are its own.",
        "Raw values: artifact. 1.10 stays 1.10, 2^64 stays exact.",
        '{"b":1.10,"a":18446744073709551616,"\\u0063":"\\/","d":-0.0,"e":1E+2,"10":[],"9":{}}',
    ),
    accepted(
        "whole_text_with_a_fence_in_it",
        "Marks inside a JSON string are text.",
        WHOLE,
        '{"a":"```json\\n{}\\n``` <think>{}</think>"}',
    ),
    accepted(
        "whole_duplicate_names_elsewhere",
        "One name in two objects is no duplicate.",
        INVALID,
        '{"a":{"a":1},"b":{"a":1}}',
    ),
    accepted("whole_depth_64", "64 levels.", STRICT, "[" * 64 + "]" * 64),
]

FENCES = [
    takes(
        "fence_backticks",
        "A block with an info string.",
        FENCE,
        'So:\n```json\n{"a":1}\n```\n',
        '{"a":1}',
    ),
    takes("fence_bare", "A block without one.", FENCE, 'So:\n```\n{"a":1}\n```', '{"a":1}'),
    takes(
        "fence_tildes",
        "A block of tildes, with an info string of words.",
        FENCE,
        'So:\n~~~ some words\n{"a":1}\n~~~\nEnd.',
        '{"a":1}',
    ),
    takes(
        "fence_long",
        "Five backticks: three inside end nothing.",
        FENCE,
        'So:\n`````\n"```\\n"\n`````\n',
        '"```\\n"',
    ),
    takes(
        "fence_with_a_scalar",
        "The whole content of a block may be a scalar.",
        FENCE,
        "The number:\n```\n42\n```\n",
        "42",
    ),
    takes(
        "fence_before_prose",
        "A fenced block is looked at before the prose in front of it.",
        FENCE,
        'Not {"a":0} but:\n```\n{"a":1}\n```\n',
        '{"a":1}',
    ),
    takes(
        "fence_second_passes",
        "The first block does not pass the schema.",
        CHOSEN,
        '```\n{"b":1}\n```\nor\n```\n{"a":2}\n```\n',
        '{"a":2}',
        A,
    ),
    takes(
        "fence_fails_prose_passes",
        "No block passes, the prose does.",
        CHOSEN,
        '```\n{"b":1}\n```\nor {"a":3}.',
        '{"a":3}',
        A,
    ),
    takes(
        "fence_with_prose_inside",
        "A block is taken whole or not at all.",
        FENCE,
        '```\nhere: {"a":1}\n```\nand {"a":2}',
        '{"a":2}',
        A,
    ),
    takes(
        "fence_of_code_first",
        "A block of something else does not parse; the next one does.",
        FENCE,
        '```python\nprint({})\n```\n```json\n{"a":1}\n```\n',
        '{"a":1}',
        A,
    ),
    finds(
        "fence_with_broken_json",
        "A block that begins like an object and does not parse.",
        INVALID,
        "So:\n```json\n{'a': 1}\n```\n",
        "invalid_json",
    ),
    finds(
        "fence_two_backticks",
        "Two backticks are no fence, and what they enclose is prose.",
        FENCE,
        "So: ``42``",
        "no_json",
    ),
    takes("fence_three_spaces_in", "As far in as a fence may stand; its content keeps its own white space.", COMMONMARK, 'So:\n   ```\n   [1]\n   ```\n', "[1]"),
    finds("fence_four_spaces_in", "No fence: what stands there is prose, and a scalar is none of it.", COMMONMARK, "So:\n    ```\n42\n    ```\n", "no_json"),
    takes("fence_on_the_last_line", "The fence stands right behind the value.", TIGHT, 'So:\n```json\n{"a":\n1}```', '{"a":1}'),
    takes("fence_on_the_last_line_then_words", "What stands behind it is prose.", TIGHT, 'So:\n~~~~\r\n42 ~~~~~ and so on, [1]', "42"),
    takes("fence_on_the_last_line_then_a_block", "The next block is one of its own.", TIGHT, '```\n{"a":1}```\nby\n```\ncode\n```\n', '{"a":1}'),
    takes("fence_on_the_first_line", "The value begins where an info string would.", TIGHT, 'So:\n```json {"a":\n1}\n```\nDone.', '{"a":1}'),
    takes("fence_on_one_line", "All of it on one line, of tildes.", TIGHT, 'So:\n~~~json {"a":1} ~~~ Done.', '{"a":1}'),
    takes("fence_of_braces_in_its_info", "An info string with braces that is not the value.", FENCE, '```{r}\n{"a":1}\n```\n', '{"a":1}'),
    takes("fence_then_a_special_token", "A token of a chat format behind the closing fence.", COMMONMARK, "So:\n```\n42\n```<|return|>", "42"),
    finds("fence_on_the_last_line_of_a_cut_value", "Only a bracket is missing.", UNBALANCED, '```json\n{"a":[1]```', "invalid_json"),
    takes("fence_of_a_list_item", "The marker of a list stands before the fence.", ITEM, 'So:\n10. ```\n    42\n    ```\nDone.', "42"),
    finds("fences_of_list_items", "Two items, two answers.", AMBIGUOUS, '- ```json\n  {"a":1}\n  ```\n- ```json\n  {"a":2}\n  ```\n', "ambiguous"),
    takes("fence_in_a_block_of_prose", "A block of backticks in one of backticks.", INNER, '```\nHere it is:\n```json\n{"a":1}\n```\nDone.\n```\n', '{"a":1}'),
    takes("fence_in_a_longer_fence", "A block in a longer one.", INNER, '````md\n# Title\n~~~\n[1]\n~~~\nEnd.\n````\n[2]', "[1]"),
    takes("fence_four_deep", "As deep as blocks are looked for.", INNER, '``````\na\n`````\nb\n````\nc\n```\n42\n```\n````\n`````\n``````\n', "42"),
    finds("fence_five_deep", "Deeper than that.", INNER, '```````\na\n``````\nb\n`````\nc\n````\nd\n```\n42\n```\n````\n`````\n``````\n```````\n', "no_json"),
    finds("fences_in_a_block_with_two_answers", "They are one class with all blocks.", AMBIGUOUS, '````\na\n```\n[1]\n```\nb\n```\n[2]\n```\n````\n', "ambiguous"),
    takes("fence_not_closed", "A block that reaches the end, with a whole value.", COMMONMARK, 'So:\n```json\n{"a":1}\n', '{"a":1}'),
    takes("fence_closed_by_a_longer_one", "At least as long, with white space behind it.", COMMONMARK, "So:\n```\n[1]\n`````  \nSo {}", "[1]"),
    finds("fence_not_closed_by_words", "A fence with words behind it closes nothing.", COMMONMARK, "So:\n```\n42\n``` end\n", "no_json"),
    finds("fence_not_closed_by_another_mark", "Tildes do not close backticks.", COMMONMARK, "So:\n```\n42\n~~~\n", "no_json"),
    takes("fence_of_windows_lines", "Lines that end in a carriage return too.", COMMONMARK, 'So:\r\n```json\r\n{"a":1}\r\n```\r\n', '{"a":1}'),
    takes("fence_ends_a_region", "A brace of prose does not reach into a block.", COMMONMARK, 'An open { here.\n```\n{"a":1}\n```\n', '{"a":1}'),
    finds("fence_with_a_backtick_in_its_info", "No fence, but code within prose.", COMMONMARK, "So:\n``` x`\n42\n```", "no_json"),
]

REGIONS = [
    takes(
        "region_in_prose",
        "An object in the middle of a sentence.",
        REGION,
        'The answer is {"a":1}, I think.',
        '{"a":1}',
    ),
    takes(
        "region_array_in_prose",
        "An array there.",
        REGION,
        'It is [ "LIS" , "OPO" ] again.',
        '["LIS","OPO"]',
    ),
    takes(
        "region_with_brackets_in_texts",
        "Brackets and quotes inside strings close nothing.",
        REGION,
        'So {"a":"}]\\"}","b":["[{"]} it is.',
        '{"a":"}]\\"}","b":["[{"]}',
    ),
    takes(
        "region_second_passes",
        "The first does not pass the schema, the second does.",
        CHOSEN,
        'Either {"b":1} or {"a":2} or {"c":3}.',
        '{"a":2}',
        A,
    ),
    Case(
        "region_none_passes",
        "No candidate passes: the last is reported.",
        CHOSEN,
        body('Either {"b":1} or {"c":2}.', schema=A),
        reply('{"c":2}', schema_finding("", '{"c":2}', MISSING_A)),
    ),
    finds(
        "region_two_of_all",
        "Different candidates pass: none of them is chosen.",
        AMBIGUOUS,
        'Either {"a":1} or {"a":2}.',
        "ambiguous",
    ),
    finds(
        "region_two_of_three",
        "One does not pass; the two others differ in a member.",
        AMBIGUOUS,
        'Not {"b":1}, but {"a":1,"b":null} or {"a":1}.',
        "ambiguous",
        A,
    ),
    takes(
        "region_twice_the_same",
        "Numbers are equal by value, members without order: the first one's bytes are kept.",
        AMBIGUOUS,
        'It is {"a":1.0,"b":[2]}. Again: { "b": [2.00], "a": 1 }.',
        '{"a":1.0,"b":[2]}',
    ),
    finds(
        "region_true_is_not_1",
        "Values of two types are different.",
        AMBIGUOUS,
        '{"a":true} or {"a":1}',
        "ambiguous",
    ),
    finds(
        "fences_with_two_answers",
        "The same within fences; what stands in prose does not matter.",
        AMBIGUOUS,
        '{"a":1}\n```\n{"a":2}\n```\n```\n{"a":3}\n```\n',
        "ambiguous",
        A,
    ),
    takes(
        "fences_twice_the_same",
        "Two blocks say the same, the prose something else.",
        AMBIGUOUS,
        '{"a":1}\n```\n{"a":2}\n```\n```\n{ "a":2.0 }\n```\n',
        '{"a":2}',
        A,
    ),
    takes(
        "region_skipped_whole",
        "A region that does not parse is never looked into; the next one counts.",
        REGION,
        'Set {x | {"a":1}} or {"a":2}',
        '{"a":2}',
    ),
    finds(
        "region_not_looked_into",
        "The object inside a region that does not parse is not taken.",
        REGION,
        'So {see {"a":1}} it is.',
        "invalid_json",
    ),
    takes(
        "region_nested_counts_once",
        "An object within an object is not a candidate of its own.",
        REGION,
        'So {"b":{"a":1}} or {"a":2}',
        '{"a":2}',
        A,
    ),
    takes("region_empty_object", "{} is an object.", REGION, "Nothing: {}.", "{}"),
    takes("region_empty_array", "[] is an array.", REGION, "Nothing: [].", "[]"),
    finds("region_of_other_brackets", "[1} is one region, which does not parse.", "Brackets of both kinds count alike when the end of a region is searched.", 'So [1} and ["a', "truncated"),
    takes(
        "region_footnote_then_object",
        "[1] is an array, and does not pass.",
        CHOSEN,
        'As said [1], it is {"a":1}.',
        '{"a":1}',
        A,
    ),
    takes(
        "prose_bracket_then_object",
        "A bracket of prose hides nothing behind it.",
        PROSE,
        '[see below] {"a":1}',
        '{"a":1}',
    ),
    finds(
        "prose_brackets_only",
        "Links and notes are prose.",
        PROSE,
        "See [the notice](x) and [sic].",
        "no_json",
    ),
]

THOUGHTS = [
    *(
        takes(
            f"thinking_{tag}",
            "JSON inside it is not an answer.",
            THINKING,
            f'<{tag}>Maybe {{"a":0}}?</{tag}>\n{{"a":1}}',
            '{"a":1}',
        )
        for tag in ["think", "thinking", "reasoning"]
    ),
    takes(
        "thinking_that_began_at_the_start",
        "A closing tag alone.",
        THINKING,
        'Maybe {"a":0}?</think>{"a":1}',
        '{"a":1}',
    ),
    takes(
        "thinking_then_a_scalar",
        "What is left is JSON as a whole.",
        THINKING,
        "<think>Six times seven.</think>\n42\n",
        "42",
    ),
    takes(
        "thinking_tag_in_a_text",
        "A tag inside a JSON string is text.",
        THINKING,
        'So {"a":"<think>"} it is.',
        '{"a":"<think>"}',
    ),
    takes("thinking_inside_a_block", "A block that begins with thinking holds the answer behind it.", THINKING, '```json\n<think>Maybe {"a":0}?</think>\n{"a":1}\n```\n', '{"a":1}'),
    takes("thinking_at_the_end_of_a_block", "A block that ends with thinking holds the answer before it.", THINKING, '```json\n{"a":1}\n<think>That was it.</think>\n```\n', '{"a":1}'),
    takes("thinking_with_a_block_in_it", "A fenced block inside thinking is thinking.", THINKING, '<think>```\n{"a":0}\n```</think>{"a":1}', '{"a":1}'),
    takes("thinking_from_the_start_with_a_block", "The same without an opening tag.", THINKING, 'Maybe:\n```\n{"a":0}\n```\nNo.</think>\n```\n{"a":1}\n```\n', '{"a":1}'),
    takes("thinking_behind_the_answer", "It is set aside there too.", THINKING, '{"a":1}\n<think>That was it.</think>', '{"a":1}'),
    takes("thinking_not_closed_behind_the_answer", "A whole candidate was there before the text ended.", CUT, '{"a":1}\n<think>That was', '{"a":1}'),
    finds("thinking_ended_behind_an_answer", "All before a closing tag that nothing opened is thinking, JSON too.", THINKING, '{"a":1}</think>', "empty"),
    takes("thinking_within_thinking", "The first closing tag ends it.", THINKING, '<think>a<think>b {"a":0}</think>{"a":1}', '{"a":1}'),
    takes(
        "thinking_with_a_lone_brace",
        "What stands in thinking opens nothing.",
        THINKING,
        '<think>Is it { or [?</think>So {"a":1}.',
        '{"a":1}',
    ),
    finds("thinking_only", "Nothing is left.", EMPTY, '<think>{"a":1}</think>\n', "empty"),
    finds(
        "thinking_not_closed",
        "The text ended while thinking.",
        CUT,
        '<think>It may be {"a":1}',
        "truncated",
    ),
    finds(
        "thinking_then_prose",
        "No JSON behind it.",
        NO_JSON,
        '<think>{"a":1}</think>It is late.',
        "no_json",
    ),
]
