"""Bodies about JSON Schema: what each keyword finds, where, and in what order."""

from parity_cases.body_parts import accepted, bad, body, fails, reply, schema_finding
from parity_cases.case import Case

ONE = (
    "Schema findings: one per failing keyword and place; path is the place in the artifact, "
    "expected is {keyword: value}, got the value."
)
NAMES = (
    "required, additionalProperties, dependentRequired: one per name; path is the object, for a "
    "missing or extra name."
)
BRANCHES = "anyOf, oneOf, not, if: one, branches not entered."
ENTERED = "One per failing keyword and place: every other applicator is entered."
ORDER = "Findings are ordered by path bytes, then code, then keyword."
GOT = "got the value, left out over 256 bytes."
FORMAT = "format is not asserted."
INSIDE = "JSON Schema 2020-12; a $ref out of the document is refused, nothing is ever fetched."
RE2 = "Patterns: RE2 syntax; others make the schema a 400."
DRAFT = "JSON Schema 2020-12."


def one(name: str, about: str, value: str, keyword: str, expected: str) -> Case:
    """Make a fixture of one keyword that fails for the whole artifact."""
    schema = f'{{"{keyword}":{expected}}}'
    return fails(name, about, ONE, value, schema, schema_finding("", value, schema))


KEYWORDS = [
    *(
        one(f"type_{name}_fails", f"Not of type {name}.", value, "type", f'"{name}"')
        for name, value in [
            ("string", "1"),
            ("number", '"1"'),
            ("integer", "1.5"),
            ("boolean", "0"),
            ("null", '""'),
            ("array", "{}"),
            ("object", "[]"),
        ]
    ),
    one("type_list_fails", "None of two types.", "true", "type", '["string","null"]'),
    accepted("type_number_is_no_text", "1 is a number and an integer.", DRAFT, "1", '{"type":["number"]}'),
    accepted("type_integer_with_point", "1.0 is an integer.", DRAFT, "1.0", '{"type":"integer"}'),
    accepted("type_integer_with_exponent", "1E2 is an integer.", DRAFT, "1E2", '{"type":"integer"}'),
    accepted("type_integer_past_64_bits", "2^64 + 1 is an integer.", DRAFT, "18446744073709551617", '{"type":"integer"}'),
    one("enum_fails", "None of the values; their bytes are kept.", "1.5", "enum", '["\\u0061",1.50e1,{"a":[]}]'),
    accepted("enum_by_value", "1.0 is 1.", DRAFT, "1.0", '{"enum":["1",1]}'),
    one("enum_text_is_no_number", "\"1\" is not 1.", '"1"', "enum", "[1,true,null]"),
    one("const_fails", "Another value.", '"a"', "const", '"A"'),
    one("const_false_is_not_0", "false is not 0.", "0", "const", "false"),
    accepted("const_object_in_any_order", "Members have no order.", DRAFT, '{"b":1,"a":[2.0]}', '{"const":{"a":[2],"b":1.0}}'),
    one("const_past_a_double", "2^53 + 1 is not 2^53.", "9007199254740993", "const", "9007199254740992"),
    one("multipleOf_fails", "7.5 is no multiple of 2.", "7.5", "multipleOf", "2"),
    accepted("multipleOf_fraction", "7.5 is a multiple of 2.5.", DRAFT, "7.5", '{"multipleOf":2.5}'),
    one("maximum_fails", "Over it.", "10.1", "maximum", "10"),
    accepted("maximum_holds", "Equal is not over, however it is written.", DRAFT, "1e1", '{"maximum":10.0}'),
    one("minimum_fails", "Under it.", "-1", "minimum", "-0.5"),
    one("exclusiveMaximum_fails", "Equal is too much.", "10.0", "exclusiveMaximum", "10"),
    one("exclusiveMinimum_fails", "Equal is too little.", "0", "exclusiveMinimum", "0.0"),
    one("maximum_past_64_bits", "2^64 + 1 is over 2^64.", "18446744073709551617", "maximum", "18446744073709551616"),
    one("maxLength_fails", "Four characters.", '"LISB"', "maxLength", "3"),
    accepted("maxLength_counts_characters", "Astral characters count once, combining marks by themselves.", DRAFT, '"😀e\u0301"', '{"maxLength":3,"minLength":3}'),
    one("minLength_fails", "One astral character, written as two escapes.", '"\\ud83d\\ude00"', "minLength", "2"),
    one("pattern_fails", "No match anywhere.", '"lis"', "pattern", '"[A-Z]"'),
    accepted("pattern_is_not_anchored", "A match inside is a match.", DRAFT, '"xxA1xx"', '{"pattern":"[A-Z]\\\\d"}'),
    accepted("pattern_d_is_ascii", "\\d is 0-9 in RE2, and \\D is every other character.", RE2, '"١"', '{"pattern":"^\\\\D$"}'),
    one("pattern_w_is_ascii", "\\w is ASCII in RE2.", '"é"', "pattern", '"^\\\\w$"'),
    accepted("pattern_class_of_unicode", "\\p{L} is a letter of any script.", RE2, '"é東"', '{"pattern":"^\\\\p{L}{2}$"}'),
    accepted("pattern_posix_class", "[[:upper:]] is one of RE2.", RE2, '"LIS"', '{"pattern":"^[[:upper:]]{3}$"}'),
    one("minItems_fails", "Too few.", "[1]", "minItems", "2"),
    one("maxItems_fails", "Too many.", "[1,2,3]", "maxItems", "2"),
    one("uniqueItems_fails", "1 and 1.0 are one value.", "[1,1.0]", "uniqueItems", "true"),
    accepted("uniqueItems_holds", "1, true, \"1\" and [1] are four.", DRAFT, '[1,true,"1",[1],0,false]', '{"uniqueItems":true}'),
    one("minProperties_fails", "Too few.", "{}", "minProperties", "1"),
    one("maxProperties_fails", "Too many.", '{"a":1,"b":2}', "maxProperties", "1"),
    one("contains_fails", "None of them.", '["a",1]', "contains", '{"type":"null"}'),
    one("propertyNames_fails", "One finding for the object.", '{"a":1,"B":2,"C":3}', "propertyNames", '{"pattern":"^[a-z]$"}'),
    one("anyOf_fails", "None of them; not entered.", '{"a":1}', "anyOf", '[{"type":"string"},{"properties":{"a":{"type":"null"}},"required":["b"]}]'),
    one("oneOf_none", "None of them.", "null", "oneOf", '[{"type":"string"},{"type":"number"}]'),
    one("oneOf_two", "Two of them.", "4", "oneOf", '[{"multipleOf":2},{"minimum":3}]'),
    one("not_fails", "It holds.", '"a"', "not", '{"type":"string"}'),
]

NAMED = [
    fails(
        "required_one_per_name",
        "Two names are missing; they stand in the order of their bytes.",
        NAMES,
        '{"b":1}',
        '{"required":["c","a","b"]}',
        schema_finding("", '{"b":1}', '{"required":"a"}'),
        schema_finding("", '{"b":1}', '{"required":"c"}'),
    ),
    fails(
        "required_name_keeps_its_bytes",
        "The missing name as it stands in the schema: expected is a raw value.",
        "Raw values, carried with their own bytes: expected.",
        "{}",
        '{"required":["\\u00e9\\/\\u0022"]}',
        schema_finding("", "{}", '{"required":"\\u00e9\\/\\u0022"}'),
    ),
    fails(
        "additionalProperties_one_per_name",
        "got is the extra name as it stands in the artifact; they are ordered by the decoded names.",
        "got is cut from the artifact, with its own bytes. Ordered by path, code, expected, then the "
        "name in got of an extra member.",
        '{"z":1,"a":2,"\\u00e9":3}',
        '{"properties":{"a":{}},"additionalProperties":false}',
        schema_finding("", '"z"', '{"additionalProperties":false}'),
        schema_finding("", '"\\u00e9"', '{"additionalProperties":false}'),
    ),
    fails(
        "additionalProperties_with_a_schema",
        "A schema is entered: the finding is the value's.",
        ENTERED,
        '{"a":1,"b":2}',
        '{"properties":{"a":{}},"additionalProperties":{"type":"string"}}',
        schema_finding("/b", "2", '{"type":"string"}'),
    ),
    fails(
        "additionalProperties_beside_patterns",
        "A name that a pattern takes is not extra.",
        NAMES,
        '{"x_a":1,"y":2}',
        '{"patternProperties":{"^x_":{}},"additionalProperties":false}',
        schema_finding("", '"y"', '{"additionalProperties":false}'),
    ),
    fails(
        "dependentRequired_one_per_name",
        "Two names are called for; a trigger that is absent calls for nothing.",
        NAMES,
        '{"a":1}',
        '{"dependentRequired":{"a":["c","b"],"x":["y"]}}',
        schema_finding("", '{"a":1}', '{"dependentRequired":"b"}'),
        schema_finding("", '{"a":1}', '{"dependentRequired":"c"}'),
    ),
    fails(
        "unevaluatedProperties_one_per_name",
        "What no other keyword took.",
        "additionalProperties, unevaluatedProperties: the object, the extra name, one per name.",
        '{"a":1,"b":2,"c":3}',
        '{"allOf":[{"properties":{"a":{}}}],"unevaluatedProperties":false}',
        schema_finding("", '"b"', '{"unevaluatedProperties":false}'),
        schema_finding("", '"c"', '{"unevaluatedProperties":false}'),
    ),
    fails(
        "patternProperties_entered",
        "Each name that matches, by each pattern that it matches.",
        ENTERED,
        '{"ab":1,"b":2}',
        '{"patternProperties":{"a":{"type":"string"},"b":{"minimum":2}}}',
        schema_finding("/ab", "1", '{"minimum":2}'),
        schema_finding("/ab", "1", '{"type":"string"}'),
    ),
    fails(
        "dependentSchemas_entered",
        "The schema behind a trigger that is there.",
        ENTERED,
        '{"a":1}',
        '{"dependentSchemas":{"a":{"required":["b"]},"x":{"required":["y"]}}}',
        schema_finding("", '{"a":1}', '{"required":"b"}'),
    ),
]

ARRAYS = [
    fails(
        "prefixItems_then_items",
        "The first by its own schema, the rest by items.",
        ENTERED,
        '[1,2,"c",4]',
        '{"prefixItems":[{"type":"string"}],"items":{"type":"integer"}}',
        schema_finding("/0", "1", '{"type":"string"}'),
        schema_finding("/2", '"c"', '{"type":"integer"}'),
    ),
    fails(
        "items_false",
        "A false schema is not: {}, which is what the standard says it is.",
        "a false schema: the value, {\"not\":{}}.",
        "[1,2]",
        '{"prefixItems":[true],"items":false}',
        schema_finding("/1", "2", '{"not":{}}'),
    ),
    fails(
        "minContains_fails",
        "One where two must be: the keyword is minContains.",
        ONE,
        "[1,null]",
        '{"contains":{"type":"null"},"minContains":2}',
        schema_finding("", "[1,null]", '{"minContains":2}'),
    ),
    fails(
        "maxContains_fails",
        "Two where one may be.",
        ONE,
        "[null,null]",
        '{"contains":{"type":"null"},"maxContains":1}',
        schema_finding("", "[null,null]", '{"maxContains":1}'),
    ),
    accepted("minContains_0", "Then none is enough.", DRAFT, "[1]", '{"contains":{"type":"null"},"minContains":0}'),
    fails(
        "unevaluatedItems_fails",
        "One finding for the array.",
        "unevaluatedItems are one finding for the array.",
        "[1,2,3]",
        '{"prefixItems":[{}],"unevaluatedItems":false}',
        schema_finding("", "[1,2,3]", '{"unevaluatedItems":false}'),
    ),
]

PLACES = [
    fails(
        "path_is_escaped",
        "~ and / in names, the empty name, a name of other letters, one like an index.",
        "path is a JSON Pointer (RFC 6901).",
        '{"a~b/c":{"":{"é😀":{"0":1}}}}',
        '{"properties":{"a~b/c":{"properties":{"":{"properties":{"é😀":{"properties":{"0":'
        '{"type":"null"}}}}}}}}}',
        schema_finding("/a~0b~1c//é😀/0", "1", '{"type":"null"}'),
    ),
    fails(
        "path_order_is_of_bytes",
        "/1 before /10 before /2; capitals before small letters before others.",
        ORDER,
        '{"l":[0,1,2,3,4,5,6,7,8,9,"x"],"é":0,"b":0,"B":0,"":0}',
        '{"properties":{"l":{"items":{"enum":[0,3,4,5,6,7,8,9]}}},"additionalProperties":'
        '{"type":"null"}}',
        schema_finding("/", "0", '{"type":"null"}'),
        schema_finding("/B", "0", '{"type":"null"}'),
        schema_finding("/b", "0", '{"type":"null"}'),
        schema_finding("/l/1", "1", '{"enum":[0,3,4,5,6,7,8,9]}'),
        schema_finding("/l/10", '"x"', '{"enum":[0,3,4,5,6,7,8,9]}'),
        schema_finding("/l/2", "2", '{"enum":[0,3,4,5,6,7,8,9]}'),
        schema_finding("/é", "0", '{"type":"null"}'),
    ),
    fails(
        "keyword_order",
        "At one place: by keyword.",
        ORDER,
        "7.5",
        '{"type":"string","multipleOf":2,"maximum":7,"enum":[1],"not":{"minimum":1}}',
        schema_finding("", "7.5", '{"enum":[1]}'),
        schema_finding("", "7.5", '{"maximum":7}'),
        schema_finding("", "7.5", '{"multipleOf":2}'),
        schema_finding("", "7.5", '{"not":{"minimum":1}}'),
        schema_finding("", "7.5", '{"type":"string"}'),
    ),
    fails(
        "got_of_256_bytes",
        "256 bytes with the quotes: it is there.",
        GOT,
        '"' + "é" * 127 + '"',
        '{"type":"null"}',
        schema_finding("", '"' + "é" * 127 + '"', '{"type":"null"}'),
    ),
    fails(
        "got_of_257_bytes",
        "One more: it is left out.",
        GOT,
        '"' + "é" * 127 + 'a"',
        '{"type":"null"}',
        schema_finding("", None, '{"type":"null"}'),
    ),
    fails(
        "expected_keeps_its_bytes",
        "Numbers, escapes and member order of the schema are its own; white space goes.",
        "expected: {keyword: value as it stands in the schema}.",
        "0",
        '{"enum":[ 1.50 , "\\u0041\\/" , { "b" : 1E1, "a" : [ ] } ]}',
        schema_finding("", "0", '{"enum":[1.50,"\\u0041\\/",{"b":1E1,"a":[]}]}'),
    ),
    fails(
        "equal_findings_are_one",
        "The same keyword with the same value from two branches of allOf.",
        "One per failing keyword and place.",
        '"a"',
        '{"allOf":[{"type":"null"},{"type":"null"},{"maxLength":0}]}',
        schema_finding("", '"a"', '{"maxLength":0}'),
        schema_finding("", '"a"', '{"type":"null"}'),
    ),
    fails(
        "if_then_fails",
        "The keyword is if, with its value.",
        "then, else: the value, {\"if\": …}.",
        '{"a":1}',
        '{"if":{"required":["a"]},"then":{"required":["b"]},"else":{"required":["c"]}}',
        schema_finding("", '{"a":1}', '{"if":{"required":["a"]}}'),
    ),
    fails(
        "if_else_fails",
        "The same where the condition does not hold.",
        "then, else: the value, {\"if\": …}.",
        "{}",
        '{"if":{"required":["a"]},"then":{"required":["b"]},"else":{"required":["c"]}}',
        schema_finding("", "{}", '{"if":{"required":["a"]}}'),
    ),
    fails(
        "ref_entered",
        "A reference inside the document, into $defs.",
        ENTERED,
        '{"a":{"b":1}}',
        '{"properties":{"a":{"$ref":"#/$defs/x~1y"}},"$defs":{"x/y":{"properties":{"b":'
        '{"type":"string"}}}}}',
        schema_finding("/a/b", "1", '{"type":"string"}'),
    ),
    fails(
        "ref_to_itself",
        "A tree, described by itself.",
        ENTERED,
        '{"v":1,"next":{"v":2,"next":{"v":"3"}}}',
        '{"required":["v"],"properties":{"v":{"type":"integer"},"next":{"$ref":"#"}}}',
        schema_finding("/next/next/v", '"3"', '{"type":"integer"}'),
    ),
    fails(
        "ref_to_an_anchor",
        "By name.",
        ENTERED,
        "[1]",
        '{"items":{"$ref":"#t"},"$defs":{"a":{"$anchor":"t","type":"string"}}}',
        schema_finding("/0", "1", '{"type":"string"}'),
    ),
    Case(
        "schema_false",
        "A schema that nothing holds.",
        "a false schema: the value, {\"not\":{}}.",
        body('{"a":1}', schema="false"),
        reply('{"a":1}', schema_finding("", '{"a":1}', '{"not":{}}')),
    ),
    accepted("schema_true", "A schema that everything holds.", DRAFT, "[null]", "true"),
    accepted("format_is_not_asserted", "No e-mail address.", FORMAT, '"none"', '{"format":"email","contentEncoding":"base64"}'),
    accepted("unknown_keywords_are_ignored", "Words that no standard knows.", DRAFT, "1", '{"colour":"red","$comment":"x","title":"y","default":2,"examples":[3]}'),
    accepted("keywords_of_another_type", "A keyword for texts says nothing of numbers.", DRAFT, "5", '{"minLength":9,"pattern":"x","required":["a"],"minItems":9,"items":false}'),
]

REFUSED = [
    bad("refused_ref_to_the_web", "A reference out of the document.", INSIDE, body("1", schema='{"$ref":"https://example.invalid/x.json"}')),
    bad("refused_ref_to_a_file", "Nor to a file.", INSIDE, body("1", schema='{"$ref":"file:///etc/hostname"}')),
    bad("refused_ref_to_nowhere", "A reference that leads nowhere.", INSIDE, body("1", schema='{"$ref":"#/$defs/none"}')),
    bad("refused_look_ahead", "Not RE2.", RE2, body("1", schema='{"pattern":"(?=a)b"}')),
    bad("refused_look_behind", "Not RE2.", RE2, body("1", schema='{"pattern":"(?<!a)b"}')),
    bad("refused_backreference", "Not RE2.", RE2, body("1", schema='{"pattern":"(a)\\\\1"}')),
    bad("refused_possessive", "Not RE2.", RE2, body("1", schema='{"pattern":"a++"}')),
    bad("refused_unclosed_group", "No pattern at all.", RE2, body("1", schema='{"patternProperties":{"(a":{}}}')),
    bad("refused_repeat_1001", "RE2 repeats 1,000 times at most.", RE2, body("1", schema='{"pattern":"a{1001}"}')),
    bad("refused_type_of_a_keyword", "A keyword of the wrong type.", DRAFT, body("1", schema='{"type":"text"}')),
    bad("refused_required_of_numbers", "A keyword of the wrong type.", DRAFT, body("1", schema='{"required":[1]}')),
    bad("refused_schema_number", "A schema is an object or a boolean.", DRAFT, body("1", schema="1")),
    bad("refused_schema_list", "A schema is an object or a boolean.", DRAFT, body("1", schema="[]")),
    bad("refused_other_dialect", "Draft 7.", DRAFT, body("1", schema='{"$schema":"http://json-schema.org/draft-07/schema#"}')),
    bad("refused_schema_too_large", "One byte over 64 KiB.", "schema 64 KiB.", body("1", schema='{"$comment":"' + "x" * (65_536 + 1 - 15) + '"}')),
    bad("refused_schema_too_deep", "65 levels.", "JSON depth 64.", body("1", schema='{"not":' * 64 + "{}" + "}" * 64)),
    bad("refused_duplicate_in_schema", "A keyword twice.", "No duplicate members at any level.", body("1", schema='{"type":"string","type":"number"}')),
    bad("refused_no_schema", "Neither kind nor schema.", "kind or schema.", '{"output":"1"}'),
    bad("refused_kind_and_schema", "Both.", "kind or schema, not both.", '{"kind":"a","schema":{},"output":"1"}'),
    bad("refused_no_output", "Nothing to judge.", "{kind or schema, output, …}", '{"schema":{}}'),
    bad("refused_output_object", "output is a text.", "output: string.", '{"schema":{},"output":{"a":1}}'),
    bad("refused_output_null", "output is a text.", "output: string.", '{"schema":{},"output":null}'),
    bad("refused_unknown_field", "By its name.", "Unknown request fields are refused by name.", '{"schema":{},"output":"1","colour":"red"}'),
    bad("refused_duplicate_field", "A field twice.", "No duplicate members at any level.", '{"schema":{},"output":"1","output":"2"}'),
    bad("refused_surrogate", "A lone surrogate in the answer.", "A lone surrogate is a 400.", '{"schema":{},"output":"\\ud800"}'),
    bad("refused_not_utf8", "A byte that is no UTF-8.", "JSON in and out, UTF-8.", b'{"schema":{},"output":"\xff"}'),
    bad("refused_no_object", "A body is an object.", "JSON in and out.", '[{"schema":{},"output":"1"}]'),
    bad("refused_torn_body", "A body that ends in the middle.", "JSON in and out.", '{"schema":{},"output":"1'),
]
