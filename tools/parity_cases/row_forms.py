"""Rows about form: crc, depth, white space, what is no row, codes, sizes."""

from parity_cases.case import Case, items, sealed
from parity_cases.row_parts import (
    attempt,
    body,
    finding,
    refused,
    row,
    same,
    turned,
)

CRC = (
    'crc: the line, without its newlines, ends in exactly the 18 bytes ,"crc":"xxxxxxxx"}: '
    "CRC-32 (IEEE, lowercase hex) of all bytes before them."
)
DEPTH = (
    "Depth counts objects and arrays that are open at once. 64 is allowed, 65 is not. A row may be "
    "80 deep, since evidence of 64 levels stands five levels deep in it."
)
SPACE = (
    "White space between tokens is read and not written. A line break inside a line makes it no "
    "row, and so does anything at all after the closing brace of a row that has a crc."
)
JSON = "Strict RFC 8259: nothing after the value."
NOT_FORM = (
    "Readers do not check the form of ids, times and digests, nor whether members agree with each "
    "other."
)
INFRA = [
    "connect",
    "upstream_malformed",
    "upstream_status",
    "model_missing",
    "overloaded",
    "timeout",
    "model_loading",
    "table_unavailable",
    "rule_broken",
    "log_unavailable",
    "shutdown",
    "crashed",
]
FINDINGS = [
    "no_json",
    "invalid_json",
    "ambiguous",
    "truncated",
    "refused",
    "empty",
    "too_large",
    "schema",
    "rule",
    "ungrounded",
]


def _with_crc(text: str, crc: str) -> str:
    return f'{text},"crc":"{crc}"}}'


def _upper_crc() -> str:
    # A row whose crc has a letter in it, so that its case can be wrong.
    for number in range(100):
        line = row(duration_ms=str(number))
        if line[-10:-2].upper() != line[-10:-2]:
            return line[:-10] + line[-10:-2].upper() + '"}'
    raise AssertionError("no crc with a letter")


FORMS = [
    turned(
        "crc_absent",
        "A row that carries none is read, and written with one.",
        "A row without crc can be read and is written with one.",
        body() + "}",
        row(),
    ),
    refused("crc_wrong", "One digit is another.", CRC, _with_crc(body(), "00000000")),
    refused(
        "crc_of_another_row",
        "A byte changed behind the crc's back.",
        CRC,
        row().replace("LIS: late", "LIS: latf"),
    ),
    refused("crc_in_capitals", "The right value in capitals.", CRC, _upper_crc()),
    refused("crc_short", "Seven digits.", CRC, row()[:-3] + '"}'),
    refused("crc_null", "A crc that is null.", CRC, body() + ',"crc":null}'),
    refused("crc_number", "A crc that is a number.", CRC, body() + ',"crc":12345678}'),
    refused(
        "crc_first",
        "A crc that is not the last member.",
        CRC,
        '{"crc":"00000000",' + body()[1:] + "}",
    ),
    refused(
        "crc_spaced",
        "White space within the 18 bytes.",
        CRC,
        row()[:-10].replace(',"crc":"', ',"crc": "') + row()[-10:],
    ),
    refused(
        "crc_by_escape", "Its name in another spelling.", CRC, row().replace('"crc"', '"cr\\u0063"')
    ),
    refused("after_the_row_space", "A blank after the closing brace.", SPACE, row() + " "),
    refused("after_the_row_row", "Two rows glued.", SPACE, row() + row()),
    refused(
        "after_the_row_row_without_crc", "Two rows glued that carry none.", JSON, (body() + "}") * 2
    ),
    turned(
        "space_around_the_row",
        "Before a row with a crc, which covers it, white space is white space between tokens.",
        SPACE,
        sealed(" \t" + body()),
        row(),
    ),
    turned(
        "space_after_a_row_without_crc",
        "Behind a row that has no crc too.",
        SPACE,
        body() + "} \t",
        row(),
    ),
    refused(
        "after_the_row_newline",
        "A newline after the closing brace is not the row's.",
        SPACE,
        row() + "\n",
    ),
    refused(
        "line_feed_between_tokens",
        "A line break inside the line.",
        SPACE,
        body().replace(',"kind"', ',\n"kind"') + "}",
    ),
    refused(
        "carriage_return_between_tokens",
        "The other one too.",
        SPACE,
        body().replace(',"kind"', ',\r"kind"') + "}",
    ),
    refused(
        "no_break_space_between_tokens",
        "U+00A0 is no white space of JSON.",
        "Strict RFC 8259.",
        body().replace(',"kind"', ',\u00a0"kind"') + "}",
    ),
    refused(
        "form_feed_between_tokens",
        "Nor is U+000C.",
        "Strict RFC 8259.",
        body().replace(',"kind"', ',\x0c"kind"') + "}",
    ),
    turned(
        "white_space_between_all_tokens",
        "Blanks and tabs around every token, in raw values too; those in strings stay.",
        SPACE,
        sealed(
            body(artifact='{ \t"a b"\t: [ 1 ,\t"c  d" ] , "e" : { } , "f":[\t] }', messages="[ ]")
            .replace(',"kind":', ' ,\t "kind"\t:  ')
            .replace("{", "{ ", 1)
        ),
        row(artifact='{"a b":[1,"c  d"],"e":{},"f":[]}', messages="[]"),
    ),
    same("depth_80", "A list of 79 levels in the row.", DEPTH, row(artifact="[" * 79 + "]" * 79)),
    same(
        "depth_of_evidence",
        "64 levels of evidence, five levels deep.",
        DEPTH,
        row(attempts=items(attempt(findings=items(finding(got='{"a":' * 64 + "1" + "}" * 64))))),
    ),
    same(
        "brackets_in_texts_are_no_depth",
        "A thousand brackets inside a string.",
        DEPTH,
        row(prompt='"' + "[{" * 500 + '"', artifact='"' + "[" * 500 + '"'),
    ),
    refused("depth_81", "One level more.", DEPTH, row(artifact="[" * 80 + "]" * 80)),
    refused(
        "depth_81_unknown",
        "In a member that nobody knows.",
        DEPTH,
        row(',"x":' + '{"a":' * 80 + "1" + "}" * 80),
    ),
    refused(
        "depth_20000",
        "Deep enough to break a parser that calls itself.",
        DEPTH,
        row(artifact="[" * 20_000 + "]" * 20_000),
    ),
    *(
        refused(f"not_a_row_{name}", about, "One JSON object.", text)
        for name, about, text in [
            ("null", "null.", "null"),
            ("list", "A list around a row.", items(row())),
            ("text", "A string.", '"session.iterate.v1"'),
            ("empty_object", "No members.", "{}"),
            ("blank", "White space alone.", " "),
            ("torn", "A row without its second half.", row()[:400]),
            ("headless", "The second half of a row.", row()[400:]),
        ]
    ),
    refused("trailing_comma", "A comma too many.", JSON, body() + ",}"),
    refused(
        "comment", "JSON has no comments.", JSON, body().replace(',"kind"', ',/*x*/"kind"') + "}"
    ),
    refused(
        "name_without_quotes", "Names are strings.", JSON, body().replace('"kind"', "kind") + "}"
    ),
    refused(
        "schema_of_another_version",
        "A row of version 2.",
        'schema "session.iterate.v1".',
        row(schema='"session.iterate.v2"'),
    ),
    refused(
        "schema_of_a_started_line",
        "A started line is no row.",
        'schema "session.iterate.v1".',
        row(schema='"session.started.v1"'),
    ),
    refused(
        "schema_in_capitals",
        "Names are compared as they are.",
        'schema "session.iterate.v1".',
        row(schema='"Session.Iterate.v1"'),
    ),
    *(
        same(
            f"infra_code_{code}",
            "One of the twelve reasons of an infra_error.",
            "Infra codes (closed for writers).",
            row(
                verdict='"infra_error"',
                iterations="0",
                accepted_iteration="null",
                artifact="null",
                error=f'{{"code":"{code}","message":"It could not be judged.","detail":null}}',
                usage='{"prompt_tokens":null,"completion_tokens":null}',
            ),
        )
        for code in INFRA
    ),
    same(
        "finding_codes",
        "All ten of them in one attempt.",
        "Finding codes (closed for writers).",
        row(
            verdict='"max_iter_exhausted"',
            accepted_iteration="null",
            grounded="false",
            attempts=items(
                attempt(findings=items(*(finding(code=f'"{code}"') for code in FINDINGS)))
            ),
        ),
    ),
    same(
        "finish_reasons",
        "All five of them, each in an attempt of its own, the last one accepted.",
        "finish_reason (stop|length|content_filter|tool_calls|other).",
        row(
            attempts=items(
                *(
                    attempt(
                        iteration=str(number),
                        finish_reason=f'"{reason}"',
                        outcome='"accepted"' if number == 4 else '"rejected"',
                    )
                    for number, reason in enumerate(
                        ["length", "content_filter", "tool_calls", "other", "stop"]
                    )
                )
            )
        ),
    ),
    same(
        "members_that_disagree",
        "Accepted without an artifact, with an error, after 7 of 3 iterations: each member has "
        "its form, and no more is asked.",
        NOT_FORM,
        row(
            iterations="7",
            accepted_iteration="9",
            artifact="null",
            error='{"code":"crashed","message":"?"}',
            messages='[{"role":"system","content":"a"},{"role":"assistant","content":"b"}]',
        ),
    ),
    same(
        "ids_times_and_digests_of_any_form",
        "Words where ids, times and digests stand.",
        NOT_FORM,
        row(
            session_id='"one two"',
            trace_id='"none"',
            row_id='"?"',
            timestamp='"yesterday"',
            config_digest='"md5"',
            kind_digest='"none"',
            tables='{"a":"none"}',
        ),
    ),
]


def _big_list() -> str:
    return items(*(f'{{"n":{n}.50,"é\\u0041":"{"x" * (n % 7)}"}}' for n in range(1_500)))


BIG: list[Case] = [
    same(
        "big_artifact_of_many_values",
        "1,500 objects, each with a number and an escaped name.",
        "Raw values, carried with their own bytes.",
        row(artifact=_big_list()),
    ),
    same(
        "big_artifact_of_one_text",
        "One string of 60,000 characters of one to four bytes each.",
        "Raw values, carried with their own bytes.",
        row(artifact='"' + "aé東😀\\u0041\\n" * 10_000 + '"'),
    ),
    turned(
        "big_texts_of_ours",
        "A prompt of many escapes that are not needed.",
        'Strings: only ", \\ and U+0000–U+001F are escaped.',
        row(prompt='"' + "\\u0061\\/\\ud83d\\ude00\\u0001" * 3_000 + '"'),
        row(prompt='"' + "a/😀\\u0001" * 3_000 + '"'),
    ),
    same(
        "many_members",
        "2,000 members of an artifact, in an order of their own, and 200 unknown ones of the row.",
        "Raw values, carried with their own bytes. Unknown members are written in the order they "
        "came.",
        row(
            "".join(f',"x{n * 37 % 200}":{n}' for n in range(200)),
            artifact="{" + ",".join(f'"{n * 37 % 2000}":{n}' for n in range(2_000)) + "}",
        ),
    ),
    same(
        "many_attempts",
        "Ten attempts of ten findings each.",
        "max_iterations: 1..10; attempts made.",
        row(
            attempts=items(
                *(
                    attempt(
                        iteration=str(n),
                        findings=items(*(finding(path=f'"/{n}/{k}"') for k in range(10))),
                    )
                    for n in range(10)
                )
            )
        ),
    ),
]
