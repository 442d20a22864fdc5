"""Bodies about answers that hold no JSON value, and the one reason why."""

from parity_cases.body_extraction import (
    CUT,
    EMPTY,
    INVALID,
    NO_JSON,
    STRICT,
    UNBALANCED,
    WHOLE,
    finds,
    takes,
)
from parity_cases.body_parts import accepted

NUMBERS = (
    "Answers, whose numbers are computed with: a number of more than 4,300 digits, or with an "
    "exponent of more than 17 digits, does not parse."
)

NOTHINGS = [
    finds("empty_text", "No text.", EMPTY, "", "empty"),
    finds("empty_white_space", "White space is no text.", EMPTY, " \n\t\r\n", "empty"),
    finds("no_json_prose", "A sentence.", NO_JSON, "The flight is late.", "no_json"),
    finds(
        "no_json_refusing_prose",
        "Refusing in words.",
        "refusing prose is no_json.",
        "I'm sorry, but I can't help with that.",
        "no_json",
    ),
    finds("no_json_two_scalars", "Scalars count only as the whole text.", WHOLE, "1 2", "no_json"),
    finds("no_json_bare_word", "NaN is a word.", NO_JSON, "NaN", "no_json"),
    *(
        finds(f"invalid_{name}", about, INVALID, output, "invalid_json")
        for name, about, output in [
            ("duplicate", "A member twice.", '{"a":1,"a":1}'),
            ("duplicate_by_escape", "Twice by its decoded name.", '{"a":1,"\\u0061":2}'),
            ("duplicate_deep", "Twice in an object within.", '[{"b":{"a":1,"a":2}}]'),
            ("nan", "NaN as a value.", '{"a":NaN}'),
            ("infinity", "Infinity as a value.", '{"a":[-Infinity]}'),
            ("surrogate", "A lone surrogate by escape.", '{"a":"\\ud800"}'),
            ("surrogate_name", "In a name.", '{"\\udc00":1}'),
            ("single_quotes", "No JSON strings.", "{'a': 1}"),
            ("trailing_comma", "A comma too many.", '{"a":1,}'),
            ("comment", "JSON has no comments.", '{"a":1 /* one */}'),
            ("bare_name", "Names are strings.", "{a: 1}"),
            ("control", "A line break inside a string.", '{"a":"x\ny"}'),
            ("escape", "No such escape.", '{"a":"\\x41"}'),
            ("leading_zero", "01 is no number.", '{"a":01}'),
            ("plus", "Nor is +1.", '{"a":+1}'),
            ("python", "True and None are not JSON's.", '{"a":True,"b":None}'),
            ("missing_comma", "Two members without a comma.", '{"a":1 "b":2}'),
        ]
    ),
    finds("invalid_depth_65", "65 levels.", STRICT, '{"a":' * 65 + "1" + "}" * 65, "invalid_json"),
    finds(
        "invalid_integer_of_4301_digits",
        "One digit more than is computed with.",
        NUMBERS,
        '{"a":' + "7" * 4_301 + "}",
        "invalid_json",
    ),
    accepted(
        "integer_of_4300_digits",
        "As many digits as are computed with.",
        NUMBERS,
        '{"a":' + "7" * 4_300 + "}",
    ),
    finds(
        "invalid_exponent_of_18_digits",
        "An exponent of 18 digits.",
        NUMBERS,
        '{"a":1e100000000000000000}',
        "invalid_json",
    ),
    *(
        finds(f"truncated_{name}", about, CUT, output, "truncated")
        for name, about, output in [
            ("object", "An object that is not closed.", '{"a":1,"b":'),
            ("array", "An array that is not closed.", 'It is ["LIS", "OP'),
            ("in_name", "The text ends in a name.", '{"a":1,"airp'),
            ("after_escape", "The text ends in an escape.", '{"a":"x\\'),
            ("in_literal", "The text ends in a literal.", '{"a":[true,fal'),
            ("in_number", "A number that ends with the text may lack digits.", '{"a":1'),
            ("behind_a_name", "A member without its value.", '[{"a":1},{"b"'),
            ("behind_a_comma", "A comma announces more.", '{"a":1,\n'),
            ("after_broken", "A region before it does not parse.", 'Not {x} but {"a":'),
        ]
    ),
    *(
        finds(f"unbalanced_{name}", about, UNBALANCED, output, "invalid_json")
        for name, about, output in [
            ("brace_alone", "A brace at the end of the text.", "The answer: {"),
            ("twice_opened", "A brace too many.", '{\n\n{\n"city":"Oslo","n":3\n}'),
            ("array", "An array whose last item is whole.", '["a","b"'),
            ("object", "An object whose last member is whole.", '{"a":{"b":true}'),
            ("number_and_space", "White space ends a number.", '{"a":[1 \n'),
            ("words", "A brace before prose.", "I use { to begin, and so on"),
        ]
    ),
    takes(
        "truncated_behind_a_whole_one",
        "A whole candidate was there before the text ended.",
        CUT,
        'First {"a":1}, then {"a":',
        '{"a":1}',
    ),
]
