"""Bodies about grounding: which values have no row behind them, and what stands near."""

from parity_cases.body_parts import AIRPORTS, bad, body, found, reply, text
from parity_cases.case import Case, items, obj

ABSENT = "An absent or null value or an empty array: the rule does not apply."
TYPES = (
    "Strings equal text columns by code points, numbers equal numeric columns by value, never "
    "across. nearest is left out for a value whose type is not the column's."
)
EACH = "path: JSON Pointer into the artifact; each element where it points at an array."
CASEFOLD = "casefold is Unicode simple case folding, no normalization."
WITHIN = "within (tolerance = n, absolute, to the nearest value)."
NEAREST = (
    "nearest: at most 3 values of the column, by edit distance on code points (numbers: absolute "
    "difference), ties by bytes."
)
GROUNDED = (
    "grounded: false if any ungrounded; true if at least one grounding rule applied and all held; "
    "else null."
)
ORDER = "Findings are ordered by path bytes, then code, then keyword."
TABLES = (
    "A column of an inline table holds numbers if all its cells that are not null are numbers, texts "
    "if all are strings; any other is refused (400). tables as name → list of objects."
)
FAULT = "Inline grounding rules as in the configuration; a bad request is a 400."
IATA = '[{"path":"/a","column":"airports.iata"}]'
EXACT_IATA = '{"column":"airports.iata","match":"exact"}'


def column(*cells: str) -> str:
    """Write tables of one column, `t.c`, from JSON texts."""
    return '{"t":' + items(*(f'{{"c":{cell}}}' for cell in cells)) + "}"


def rule(match: str = "exact", tolerance: str | None = None) -> str:
    """Write one rule that grounds `/a` in `t.c`."""
    members = {"path": '"/a"', "column": '"t.c"', "match": text(match)}
    if tolerance is not None:
        members["tolerance"] = tolerance
    return items(obj(members))


def expected(match: str = "exact", tolerance: str | None = None) -> str:
    """Write what a finding of that rule expects."""
    members = {"column": '"t.c"', "match": text(match)}
    if tolerance is not None:
        members["tolerance"] = tolerance
    return obj(members)


def holds(name: str, about: str, why: str, value: str, cells: list[str], *how: str) -> Case:
    """Make a fixture whose value at `/a` is in the column."""
    output = f'{{"a":{value}}}'
    came = body(output, grounding=rule(*how), tables=column(*cells))
    return Case(name, about, why, came, reply(output, grounded="true"))


def misses(
    name: str, about: str, why: str, value: str, cells: list[str], nearest: str | None, *how: str
) -> Case:
    """Make a fixture whose value at `/a` is not in the column."""
    output = f'{{"a":{value}}}'
    finding = found("ungrounded", "/a", value, expected(*how), nearest)
    came = body(output, grounding=rule(*how), tables=column(*cells))
    return Case(name, about, why, came, reply(output, finding, grounded="false"))


def whole(name: str, about: str, why: str, *, came: str, goes: str) -> Case:
    """Make a fixture from a body and its reply."""
    return Case(name, about, why, came, goes)


def airports(output: str, grounding: str = IATA, source: str | None = None) -> str:
    """Write a body over the table of airports."""
    tables = f'{{"airports":{AIRPORTS}}}'
    return body(output, grounding=grounding, tables=tables, source=source)


WORDS = ['"Lisbon"', '"Porto"', '"Faro"']

VALUES = [
    holds("exact_text", "In the column.", TYPES, '"Porto"', WORDS),
    holds("exact_text_by_escape", "An escape equals its character.", TYPES, '"P\\u006frto"', WORDS),
    misses("exact_is_case_sensitive", "Another case is another text.", TYPES, '"porto"', WORDS, '["Porto","Faro","Lisbon"]'),
    misses("exact_keeps_white_space", "A blank is a character.", TYPES, '"Porto "', WORDS, '["Porto","Faro","Lisbon"]'),
    misses("exact_does_not_normalize", "A decomposed letter is not the composed one.", TYPES, '"e\u0301"', ['"é"'], '["é"]'),
    misses("exact_empty_text", "Empty is a text, and not in the column.", TYPES, '""', WORDS, '["Faro","Porto","Lisbon"]'),
    holds("exact_empty_text_in_the_column", "It may stand there.", TYPES, '""', ['""', '"a"']),
    holds("exact_number_by_value", "1.0 is 1.", TYPES, "1.0", ["1", "2"]),
    holds("exact_number_by_exponent", "2E1 is 20.0.", TYPES, "2E1", ["20.0"]),
    holds("exact_number_past_a_double", "2^64 + 1, exact.", TYPES, "18446744073709551617", ["18446744073709551617"]),
    misses("exact_number_near_a_double", "2^53 + 1 is not 2^53.", TYPES, "9007199254740993", ["9007199254740992"], "[9007199254740992]"),
    misses("number_in_a_text_column", "Never across: no nearest either.", TYPES, "1", ['"1"'], None),
    misses("text_in_a_number_column", "Never across.", TYPES, '"1"', ["1"], None),
    misses("boolean_is_no_number", "true is not 1.", TYPES, "true", ["1"], None),
    misses("object_is_in_no_column", "An object.", TYPES, '{"b":1}', WORDS, None),
    misses("no_rows", "A table without rows holds nothing.", "Of a table without a single cell nothing is known: its columns match nothing.", '"Porto"', [], None),
    whole(
        "no_cells",
        "Nor does one whose rows are empty objects.",
        "Of a table without a single cell nothing is known: its columns match nothing.",
        came=body('{"a":"x"}', grounding=rule(), tables='{"t":[{},{}]}'),
        goes=reply('{"a":"x"}', found("ungrounded", "/a", '"x"', expected()), grounded="false"),
    ),
    misses("null_cells_are_no_values", "null is not near anything.", NEAREST, '"Porto"', ["null", '"Faro"', "null"], '["Faro"]'),
    *(
        whole(
            f"not_applied_{name}",
            "The rule does not apply, and grounded is null.",
            ABSENT,
            came=airports(output),
            goes=reply(output),
        )
        for name, output in [
            ("absent", '{"b":"x"}'),
            ("null", '{"a":null}'),
            ("empty_array", '{"a":[]}'),
            ("array_of_nulls", '{"a":[null,null]}'),
            ("scalar_artifact", '"LIS"'),
        ]
    ),
    whole(
        "not_run_when_the_schema_fails",
        "Grounding runs only when the schema holds.",
        "grounding and rules; these two run only when the schema holds.",
        came=body('{"a":"ZZZ"}', schema='{"maxProperties":0}', grounding=rule(), tables=column(*WORDS)),
        goes=reply('{"a":"ZZZ"}', found("schema", "", '{"a":"ZZZ"}', '{"maxProperties":0}')),
    ),
    whole(
        "grounded_null_without_rules",
        "No rule, nothing grounded.",
        GROUNDED,
        came=body("{}", grounding="[]", tables="{}"),
        goes=reply("{}"),
    ),
]

ARRAYS = [
    whole(
        "array_each_element",
        "Two of four are not there; null is no value.",
        EACH,
        came=airports('{"a":["LIS","LISB",null,"OP"]}'),
        goes=reply(
            '{"a":["LIS","LISB",null,"OP"]}',
            found("ungrounded", "/a/1", '"LISB"', EXACT_IATA, '["LIS","LAX","OPO"]'),
            found("ungrounded", "/a/3", '"OP"', EXACT_IATA, '["OPO","LAX","LIS"]'),
            grounded="false",
        ),
    ),
    whole(
        "array_index_in_the_path",
        "A path into one element; an index past the end is absent.",
        EACH,
        came=airports(
            '{"a":[{"b":"OPO"},{"b":"X"}]}',
            '[{"path":"/a/1/b","column":"airports.iata"},{"path":"/a/7/b","column":"airports.iata"},'
            '{"path":"/a/01/b","column":"airports.iata"}]',
        ),
        goes=reply(
            '{"a":[{"b":"OPO"},{"b":"X"}]}',
            found("ungrounded", "/a/1/b", '"X"', EXACT_IATA, '["LAX","LIS","OPO"]'),
            grounded="false",
        ),
    ),
    whole(
        "array_at_the_root",
        "The empty path is the whole artifact.",
        EACH,
        came=airports('["LIS","XXX"]', '[{"path":"","column":"airports.iata"}]'),
        goes=reply(
            '["LIS","XXX"]',
            found("ungrounded", "/1", '"XXX"', EXACT_IATA, '["LAX","LIS","OPO"]'),
            grounded="false",
        ),
    ),
    whole(
        "two_rules_on_one_value",
        "Each of them finds; order by path, code, then the bytes of expected.",
        ORDER,
        came=airports(
            '{"a":"LIX"}',
            '[{"path":"/a","match":"quote"},{"path":"/a","column":"airports.iata"}]',
            source="To LIS.",
        ),
        goes=reply(
            '{"a":"LIX"}',
            found("ungrounded", "/a", '"LIX"', EXACT_IATA, '["LAX","LIS","OPO"]'),
            found("ungrounded", "/a", '"LIX"', '{"match":"quote"}'),
            grounded="false",
        ),
    ),
    whole(
        "one_rule_holds_one_does_not_apply",
        "grounded is true.",
        GROUNDED,
        came=airports(
            '{"a":"LIS"}', '[{"path":"/a","column":"airports.iata"},{"path":"/b","match":"quote"}]'
        ),
        goes=reply('{"a":"LIS"}', grounded="true"),
    ),
]

FOLDED = [
    holds("casefold_ascii", "Capitals and small letters.", CASEFOLD, '"pORTO"', WORDS, "casefold"),
    holds("casefold_accents", "Accented letters fold.", CASEFOLD, '"ÉÑÇ"', ['"éñç"'], "casefold"),
    holds("casefold_sigma", "All three sigmas meet.", CASEFOLD, '"ΟΔΟΣ"', ['"οδος"'], "casefold"),
    holds("casefold_capital_sharp_s", "ẞ folds to ß.", CASEFOLD, '"STRAẞE"', ['"straße"'], "casefold"),
    misses("casefold_sharp_s_is_one", "ß does not become two letters.", CASEFOLD, '"STRASSE"', ['"straße"'], '["straße"]', "casefold"),
    holds("casefold_kelvin", "The Kelvin sign is a k.", CASEFOLD, '"\u212a"', ['"k"'], "casefold"),
    misses("casefold_dotted_i", "İ does not fold to i.", CASEFOLD, '"\u0130"', ['"i"'], '["i"]', "casefold"),
    misses("casefold_dotless_i", "Nor does ı.", CASEFOLD, '"\u0131"', ['"I"'], '["I"]', "casefold"),
    holds("casefold_astral", "Deseret has cases too.", CASEFOLD, '"𐐀"', ['"𐐨"'], "casefold"),
    holds("casefold_number", "Numbers have no case.", CASEFOLD, "1", ["1.0"], "casefold"),
    misses("casefold_nearest_of_folded_texts", "Distances are of the folded texts, values as they stand.", NEAREST, '"PORTOS"', ['"porto"', '"PORTTTTT"', '"x"'], '["porto","PORTTTTT","x"]', "casefold"),
]

NUMBERS = [
    holds("within_upper_edge", "The edge is within.", WITHIN, "119", ["114"], "within", "5"),
    holds("within_lower_edge", "So is the other.", WITHIN, "109.0", ["114"], "within", "5"),
    holds("within_decimal_edge", "1.1 is within 0.1 of 1.0, as it is written.", WITHIN, "1.1", ["1.0"], "within", "0.1"),
    holds("within_zero", "Tolerance 0 is equality.", WITHIN, "1.0", ["1"], "within", "0"),
    misses("within_just_outside", "A little more.", WITHIN, "119.01", ["114", "200"], "[114,200]", "within", "5"),
    misses("within_nearest_as_written", "Numbers stand as the table wrote them; at most three.", NEAREST, "0", ["4.50", "3e0", "-2", "9"], "[-2,3e0,4.50]", "within", "1"),
    misses("within_ties_by_bytes", "Equal distances: - before digits, 10 before 8.", NEAREST, "9", ["8", "10", "7", "11"], "[10,8,11]", "within", "0.5"),
    whole(
        "within_tolerance_in_its_form",
        "The tolerance in RFC 8785 form: 0.50 is 0.5.",
        "`within`: the tolerance in RFC 8785 form.",
        came=body('{"a":9}', grounding=rule("within", "0.50"), tables=column("7")),
        goes=reply(
            '{"a":9}',
            found("ungrounded", "/a", "9", expected("within", "0.5"), "[7]"),
            grounded="false",
        ),
    ),
    misses("within_text", "A text is within nothing.", TYPES, '"7"', ["7"], None, "within", "1"),
    misses("nearest_equal_numbers_once", "7, 7.0 and 7e0 are one value, as its first cell wrote it.", NEAREST, "6", ["7.0", "7", "7e0", "8"], "[7.0,8]"),
    misses("nearest_of_a_great_number", "Distances are exact.", NEAREST, "18446744073709551616", ["18446744073709551614", "18446744073709551619", "0"], "[18446744073709551614,18446744073709551619,0]"),
]

NEAR = [
    misses("nearest_three_of_many", "The three at the least distance, ties by bytes.", NEAREST, '"abc"', ['"abd"', '"xyz"', '"abe"', '"ab"', '"bbc"', '"a"'], '["ab","abd","abe"]'),
    misses("nearest_distinct", "A value that stands twice is named once.", NEAREST, '"Oslo"', ['"Olso"', '"Olso"', '"Osl"'], '["Osl","Olso"]'),
    misses("nearest_by_code_points", "An astral character is one edit, as a letter is.", NEAREST, '"ab"', ['"a😀"', '"aéé"', '"ax"'], '["ax","a😀","aéé"]'),
    misses("nearest_in_our_form", "Texts of the table are written in our form.", NEAREST, '"a"', ['"\\u0062"', '"\\/"', '"\\u0001"'], '["\\u0001","/","b"]'),
    whole(
        "nearest_left_out_with_got",
        "A value of 257 bytes: neither got nor nearest.",
        "nearest is left out where got is.",
        came=body('{"a":"' + "x" * 255 + '"}', grounding=rule(), tables=column('"x"')),
        goes=reply(
            '{"a":"' + "x" * 255 + '"}',
            found("ungrounded", "/a", None, expected()),
            grounded="false",
        ),
    ),
    misses("got_keeps_its_bytes", "Evidence is cut from the artifact.", "got is cut from the artifact, with its own bytes.", '"\\u0058\\/"', ['"b"'], '["b"]'),
]

REFUSED_RULES = [
    bad(f"refused_rule_{name}", about, FAULT, airports('{"a":"LIS"}', grounding))
    for name, about, grounding in [
        ("without_column", "exact needs a column.", '[{"path":"/a"}]'),
        ("quote_with_column", "quote takes none.", '[{"path":"/a","match":"quote","column":"airports.iata"}]'),
        ("unknown_match", "No such match.", '[{"path":"/a","column":"airports.iata","match":"fuzzy"}]'),
        ("within_without_tolerance", "within needs one.", '[{"path":"/a","column":"airports.elevation","match":"within"}]'),
        ("exact_with_tolerance", "exact takes none.", '[{"path":"/a","column":"airports.iata","tolerance":1}]'),
        ("negative_tolerance", "At least 0.", '[{"path":"/a","column":"airports.elevation","match":"within","tolerance":-1}]'),
        ("without_path", "A rule is about a place.", '[{"column":"airports.iata"}]'),
        ("path_without_slash", "Not a JSON Pointer.", '[{"path":"a","column":"airports.iata"}]'),
        ("column_without_table", "table.column.", '[{"path":"/a","column":"iata"}]'),
        ("unknown_table", "No such table.", '[{"path":"/a","column":"cities.name"}]'),
        ("unknown_column", "No such column.", '[{"path":"/a","column":"airports.name"}]'),
        ("with_of_another_table", "with stays in its table.", '[{"path":"/a","column":"airports.iata","with":{"/b":"cities.name"}}]'),
        ("unknown_member", "A member that no rule has.", '[{"path":"/a","column":"airports.iata","nearest":3}]'),
    ]
] + [
    bad("refused_mixed_column", "A column of texts and numbers.", TABLES, body('{"a":1}', grounding=rule(), tables=column("1", '"1"'))),
    bad("refused_column_of_booleans", "Neither texts nor numbers.", TABLES, body('{"a":true}', grounding=rule(), tables=column("true", "null"))),
    bad("refused_table_of_lists", "Rows are objects.", TABLES, body('{"a":1}', grounding=rule(), tables='{"t":[[1]]}')),
    bad("refused_tables_too_large", "Over 64 KiB together.", "tables as name → list of objects, ≤ 64 KiB.", body('{"a":"x"}', grounding=rule(), tables=column('"' + "x" * 65_536 + '"'))),
]
