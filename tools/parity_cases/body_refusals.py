"""Bodies at the edge of what is refused: pointers, patterns, dynamic anchors, nulls."""

from parity_cases.case import Case

NULLS = "In requests, null is the same as absent, in the rules of grounding too."
POINTER = "path: JSON Pointer into the artifact."
RE2 = "Patterns: RE2 syntax; others make the schema a 400."
LENGTH = "A pattern, or a name in patternProperties, has at most 256 characters."
DYNAMIC = "A $dynamicRef to one that does is refused."
ANCHORS = "A $dynamicAnchor may stand in several resources."

EDGES = [
    Case(
        'rule_with_nulls',
        "As if they were not there.",
        NULLS,
        (
            '{"schema":{},"output":"{\\"a\\":1}","grounding":[{"path":"/a","column":"'
            't.c","match":null,"tolerance":null,"with":null}],"tables":{"t":[{"c":1'
            '}]}}'
        ),
        '{"verdict":"accepted","artifact":{"a":1},"grounded":true,"findings":[]}',
    ),
    Case(
        'refused_rule_path_with_a_lone_tilde',
        "~2 is no escape of RFC 6901.",
        POINTER,
        (
            '{"schema":{},"output":"{\\"a~2\\":1}","grounding":[{"path":"/a~2","colum'
            'n":"t.c"}],"tables":{"t":[{"c":1}]}}'
        ),
        None,
    ),
    Case(
        'refused_repeat_within_repeat',
        "1,500 times.",
        RE2,
        '{"schema":{"pattern":"(a{500}){3}"},"output":"1"}',
        None,
    ),
    Case(
        'repeat_within_repeat_of_1000',
        "1,000 times.",
        RE2,
        '{"schema":{"pattern":"^(?:a{2}|b){500}$"},"output":"1"}',
        '{"verdict":"accepted","artifact":1,"grounded":null,"findings":[]}',
    ),
    Case(
        'refused_pattern_of_257_characters',
        "One too many.",
        LENGTH,
        '{"schema":{"pattern":"' + "é" * 257 + '"},"output":"1"}',
        None,
    ),
    Case(
        'pattern_of_256_characters',
        "Characters, not bytes.",
        LENGTH,
        '{"schema":{"pattern":"' + "é" * 256 + '"},"output":"1"}',
        '{"verdict":"accepted","artifact":1,"grounded":null,"findings":[]}',
    ),
    Case(
        'refused_dynamicRef_to_an_anchor_of_two',
        "Its target depends on the way.",
        DYNAMIC,
        (
            '{"schema":{"$id":"https://a.example/","$dynamicAnchor":"x","$defs":{"y'
            '":{"$id":"https://b.example/","$dynamicAnchor":"x","$dynamicRef":"#x"}'
            '}},"output":"1"}'
        ),
        None,
    ),
    Case(
        'dynamicAnchor_in_two_resources',
        "Nothing refers to it dynamically.",
        ANCHORS,
        (
            '{"schema":{"$id":"https://a.example/","$dynamicAnchor":"x","$defs":{"y'
            '":{"$id":"https://b.example/","$dynamicAnchor":"x"}}},"output":"1"}'
        ),
        '{"verdict":"accepted","artifact":1,"grounded":null,"findings":[]}',
    ),
]
