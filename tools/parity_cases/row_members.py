"""Rows about members: null and empty, unknown ones, order, duplicates, maps."""

from parity_cases.case import Case, items, sealed
from parity_cases.row_parts import (
    DIGEST,
    ROW,
    after,
    attempt,
    body,
    finding,
    marker,
    refused,
    row,
    same,
    settings,
    turned,
)

UNKNOWN = (
    "Unknown members, at every level this page defines, are kept raw and written after the known "
    "ones (in the row: before crc), in the order they came."
)
KNOWN = "A known member is known by its decoded name, and its name is written without escapes."
DUPLICATE = "No duplicate members at any level, names compared after their escapes are decoded."
MAPS = (
    "metadata keeps the order in which it came. tables is sorted by the bytes of its names in "
    "UTF-8. metadata and tables are maps: all their names are known."
)
NULLS = "nothing = null, lists [], metadata and tables {}; only got, expected, nearest and "
ALL = "Every member is always present; a row without one is refused."
REPAIR = '{"code":"trailing_comma","offset":16,"message":"dropped"'
USAGE = '{"prompt_tokens":187,"completion_tokens":41'
MARKS = '"x_b":[ 1.0 , "\\u0041" ],"x_a":{ "crc" : "0" , "b" : 1E1 }'
MARKS_KEPT = '"x_b":[1.0,"\\u0041"],"x_a":{"crc":"0","b":1E1}'


def _unknown(level: str, came: str, goes: str) -> Case:
    return turned(
        f"unknown_members_of_{level}",
        f"Two unknown members before the known ones of {level.replace('_', ' ')}: names, values "
        "and their order are kept, white space goes.",
        UNKNOWN,
        came,
        goes,
    )


def _attempt(text: str) -> str:
    return row(attempts=items(text))


def _front(text: str) -> str:
    """Put the unknown members first in an object."""
    return "{" + MARKS + "," + text[1:]


def _back(text: str) -> str:
    """Put them last, as they are written."""
    return text[:-1] + "," + MARKS_KEPT + "}"


SETTINGS = settings()
PLAIN_MARKER = marker()
MESSAGE = '{"role":"user","content":"LIS: late"}'

MEMBERS = [
    _unknown(
        "the_row",
        sealed("{" + MARKS + "," + body()[1:]),
        row("," + MARKS_KEPT),
    ),
    _unknown("settings", row(settings=_front(SETTINGS)), row(settings=_back(SETTINGS))),
    _unknown(
        "error",
        row(error=_front('{"code":"connect","message":"no"}')),
        row(error=_back('{"code":"connect","message":"no"}')),
    ),
    _unknown("usage_of_the_row", row(usage=_front(USAGE + "}")), row(usage=_back(USAGE + "}"))),
    _unknown(
        "a_message",
        row(messages=items(_front(MESSAGE))),
        row(messages=items(_back(MESSAGE))),
    ),
    _unknown("an_attempt", _attempt(_front(attempt())), _attempt(_back(attempt()))),
    _unknown(
        "usage_of_an_attempt",
        _attempt(attempt(usage=_front(USAGE + "}"))),
        _attempt(attempt(usage=_back(USAGE + "}"))),
    ),
    _unknown(
        "a_finding",
        _attempt(attempt(findings=items(_front(finding())))),
        _attempt(attempt(findings=items(_back(finding())))),
    ),
    _unknown(
        "a_repair",
        _attempt(attempt(repairs=items(_front(REPAIR + "}")))),
        _attempt(attempt(repairs=items(_back(REPAIR + "}")))),
    ),
    _unknown(
        "a_marker",
        after(body(), "prompt", ',"prompt_truncated":' + _front(PLAIN_MARKER)) + "}",
        sealed(after(body(), "prompt", ',"prompt_truncated":' + _back(PLAIN_MARKER))),
    ),
    turned(
        "unknown_members_between_known_ones",
        "Scattered through the row: they end up together, in their order of coming.",
        UNKNOWN,
        sealed(
            after(
                after(after(body(), "daemon", ',"z":1'), "prompt", ',"\\u006d":null'),
                "kind",
                ',"a":2',
            )
        ),
        row(',"z":1,"a":2,"\\u006d":null'),
    ),
    same(
        "unknown_names_keep_their_escapes",
        "The bytes of an unknown name are its own: escapes, astral text, the empty name.",
        "An unknown member is kept raw as a whole: the bytes of its name, escapes included.",
        row(',"\\u0078_a":1,"\\ud83d\\ude00":2,"😀b":3,"":4,"\\/":5,"Prompt":6,"prompt ":7'),
    ),
    same(
        "unknown_members_named_like_known_ones_elsewhere",
        "A name is known at its own level only.",
        UNKNOWN,
        row(
            ',"constrain":"off","iteration":7,"code":"x","told":1',
            settings=settings(',"prompt":1,"crc":"ffffffff"'),
        ),
    ),
    same(
        "unknown_names_that_languages_own",
        "Names that some languages give every object.",
        UNKNOWN,
        row(
            ',"__proto__":1,"constructor":2,"toString":{"__proto__":[]},"hasOwnProperty":4',
            settings=settings(',"__proto__":null,"valueOf":1'),
            artifact='{"__proto__":{"a":1},"constructor":2}',
            metadata='{"__proto__":"1","constructor":"2"}',
        ),
    ),
    same(
        "unknown_marker",
        "A marker of a member that is never cut is an unknown member.",
        UNKNOWN,
        row(',"kind_truncated":null,"artifact_truncated":{"x":1}'),
    ),
    turned(
        "known_names_in_escapes",
        "A known member is known however its name is written.",
        KNOWN,
        sealed(
            body()
            .replace('"prompt":', '"pr\\u006Fmpt":')
            .replace('"seed":', '"\\u0073eed":')
            .replace('"schema":', '"sch\\u0065ma":')
        ),
        row(),
    ),
    turned(
        "members_in_reverse",
        "All members of the row from last to first.",
        "One JSON object, members in this order.",
        sealed("{" + ",".join(f'"{name}":{text}' for name, text in reversed(ROW.items()))),
        row(),
    ),
    turned(
        "members_in_reverse_inside",
        "Members of settings, usage, error, attempts, findings, repairs and messages, from last "
        "to first.",
        "Objects inside list their members in the order of this page.",
        row(
            messages='[{"content":"LIS: late","role":"user"}]',
            settings='{"deadline_ms":120000,"seed":null,"max_tokens":256,"temperature":null,'
            '"constrain":"auto"}',
            attempts='[{"span_id":"b7ad6b7169203331","duration_ms":405,"usage":{"completion_tokens"'
            ':41,"prompt_tokens":187},"finish_reason":"stop","repairs":[{"message":"dropped",'
            '"offset":16,"code":"trailing_comma"}],"artifact":{"z":1,"a":2},"thinking":null,'
            '"output":"It is late.","told":null,"findings":[{"nearest":["b","a"],"expected":{"z":1,'
            '"a":2},"got":{"z":1,"a":2},"message":"no","path":"","code":"schema"}],'
            '"outcome":"rejected","iteration":0}]',
            error='{"message":"no","code":"connect"}',
            usage='{"completion_tokens":41,"prompt_tokens":187}',
        ),
        row(
            messages=items(MESSAGE),
            attempts=items(
                attempt(
                    findings=items(
                        finding(got='{"z":1,"a":2}', expected='{"z":1,"a":2}', nearest='["b","a"]')
                    ),
                    artifact='{"z":1,"a":2}',
                    repairs=items(REPAIR + "}"),
                )
            ),
            error='{"code":"connect","message":"no"}',
        ),
    ),
    same(
        "null_everywhere",
        "Null wherever this page allows it.",
        NULLS + "…_truncated are left out when there is none.",
        row(
            kind="null",
            settings=settings(temperature="null", max_tokens="null", seed="null"),
            accepted_iteration="null",
            artifact="null",
            attempts=items(attempt(usage='{"prompt_tokens":null,"completion_tokens":null}')),
            usage='{"prompt_tokens":null,"completion_tokens":null}',
        ),
    ),
    same(
        "null_is_evidence",
        "got and expected may be null, which is a value; left out is left out.",
        "got and expected may be null, which is a value; left out is left out.",
        _attempt(
            attempt(
                findings=items(
                    finding(got="null"),
                    finding(expected="null"),
                    finding(got="null", expected="null"),
                    finding(),
                )
            )
        ),
    ),
    same(
        "empty_lists_and_objects",
        "Empty is kept: messages, artifact, evidence, metadata, tables.",
        NULLS + "…_truncated are left out when there is none.",
        row(
            messages="[]",
            inline_schema="{}",
            artifact="{}",
            attempts=items(
                attempt(artifact="[]", findings=items(finding(got="{}", expected="[]")))
            ),
        ),
    ),
    *(
        same(
            f"artifact_{name}",
            "An artifact may be any JSON value.",
            "artifact, got, expected and inline_schema may be any JSON to a reader.",
            row(artifact=text, inline_schema=text, attempts=items(attempt(artifact=text))),
        )
        for name, text in [
            ("number", "1.10"),
            ("text", '"\\u004cIS"'),
            ("true", "true"),
            ("false", "false"),
            ("list", '[[],{},[{"a":[]}],""]'),
        ]
    ),
    same(
        "metadata_keeps_its_order",
        "Names that a sorting or numbering map would move.",
        MAPS,
        row(metadata='{"z":"1","a":"2","10":"3","9":"4","":"5","é":"6","crc":"7","prompt":"8"}'),
    ),
    turned(
        "metadata_in_our_form",
        "Names and values of metadata are texts of ours.",
        MAPS,
        row(metadata='{ "\\u0062\\/" : "\\u003c" , "a\\u0009" : "\\u00e9" }'),
        row(metadata='{"b/":"<","a\\t":"é"}'),
    ),
    turned(
        "tables_sorted_by_bytes",
        "Capitals before small letters, U+FF5E before U+1F600 (not so in UTF-16), short before "
        "long, names compared after their escapes.",
        MAPS,
        row(
            tables='{"b":%s,"\\ud83d\\ude00":%s,"～":%s,"a":%s,"B":%s,"ab":%s,"é":%s,"\\u0061a":%s}'
            % ((DIGEST,) * 8)
        ),
        row(
            tables='{"B":%s,"a":%s,"aa":%s,"ab":%s,"b":%s,"é":%s,"～":%s,"😀":%s}' % ((DIGEST,) * 8)
        ),
    ),
    turned(
        "nearest_in_our_form",
        "nearest is a list of ours: strings in our form, numbers with their bytes.",
        "nearest is a list of strings and numbers, its strings are written in our form; its "
        "numbers keep their bytes.",
        _attempt(
            attempt(
                findings=items(
                    finding(nearest='[ "\\u004cIS" , "a\\/b","\\ud83d\\ude00" ]'),
                    finding(nearest="[ 1.10 , -0 , 1E2 ]"),
                )
            )
        ),
        _attempt(
            attempt(
                findings=items(
                    finding(nearest='["LIS","a/b","😀"]'), finding(nearest="[1.10,-0,1E2]")
                )
            )
        ),
    ),
]

DUPLICATES = [
    refused(f"duplicate_{name}", about, DUPLICATE, line)
    for name, about, line in [
        ("in_the_row", "A known member twice, with one value.", row(',"kind":"airport_event"')),
        ("unknown", "An unknown member twice.", row(',"x":1,"x":1')),
        ("by_escape", "Twice by its decoded name.", row(',"pr\\u006fmpt":"LIS: late"')),
        ("in_artifact", "Inside a raw value.", row(artifact='{"a":1,"b":{"c":1,"c":1}}')),
        (
            "in_artifact_by_escape",
            "There too by decoded names.",
            row(artifact='{"a":1,"\\u0061":2}'),
        ),
        ("in_metadata", "In metadata.", row(metadata='{"a":"1","a":"2"}')),
        ("in_tables", "In tables.", row(tables=f'{{"a":{DIGEST},"a":{DIGEST}}}')),
        ("in_settings", "In settings.", row(settings=settings(',"seed":null'))),
        ("in_unknown_value", "Inside an unknown member.", row(',"x":[{"a":1,"a":1}]')),
        ("crc", "A second crc is a duplicate.", row(',"crc":"00000000"')),
    ]
]
