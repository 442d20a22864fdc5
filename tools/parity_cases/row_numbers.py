"""Rows about numbers: those of ours are integers of 64 bits, all others keep their bytes."""

from parity_cases.case import items, obj
from parity_cases.row_parts import (
    attempt,
    finding,
    marker,
    refused,
    row,
    same,
    settings,
    turned,
    usage,
)

OURS = 'Numbers of ours are JSON integers within 64 bits with sign: 1, not 1.0, 1e0, "1" or true.'
RAW = "Raw values, carried with their own bytes: 1.10 stays 1.10, 2^64 stays exact."
JSON = "Strict RFC 8259: no NaN, no infinities, no leading zeros or signs, digits around the point."
MAX = str(2**63 - 1)
MIN = str(-(2**63))

NUMBERS = [
    same(
        "integers_at_the_upper_edge",
        "2^63 - 1 in every number that this page defines.",
        OURS,
        row(
            max_iterations=MAX,
            settings=settings(max_tokens=MAX, seed=MAX, deadline_ms=MAX),
            iterations=MAX,
            accepted_iteration=MAX,
            attempts=items(
                attempt(
                    iteration=MAX,
                    repairs=items(obj({"code": '"c"', "offset": MAX, "message": '"m"'})),
                    usage=usage(MAX, MAX),
                    duration_ms=MAX,
                )
            ),
            usage=usage(MAX, MAX),
            duration_ms=MAX,
        ),
    ),
    same(
        "integers_at_the_lower_edge",
        "-2^63: readers take it, the schemas' bounds are for writers.",
        OURS,
        row(
            max_iterations=MIN,
            settings=settings(max_tokens=MIN, seed=MIN, deadline_ms=MIN),
            iterations=MIN,
            accepted_iteration=MIN,
            usage=usage(MIN, MIN),
            duration_ms=MIN,
        ),
    ),
    same(
        "integers_past_a_double",
        "2^53 + 1 and its like are not rounded.",
        OURS,
        row(
            settings=settings(seed="9007199254740993"),
            usage='{"prompt_tokens":9007199254740993,"completion_tokens":-9007199254740993}',
            duration_ms="9007199254740995",
        ),
    ),
    turned(
        "minus_zero_of_ours",
        "-0 is an integer, and is read as 0.",
        "-0 is read as 0.",
        row(duration_ms="-0", settings=settings(seed="-0")),
        row(duration_ms="0", settings=settings(seed="0")),
    ),
    same(
        "raw_numbers",
        "Every way to write a number, in an artifact: none is computed with.",
        RAW,
        row(
            artifact=(
                "[0,-0,0.0,-0.0,1.10,1.0,10e-1,1e5,1E5,1e+5,1E+05,1e-07,5e-324,1e400,-1e-400,"
                "0e0,0.1e0,123456789012345678901234567890.5,18446744073709551616,"
                "-9223372036854775809,9007199254740993,0.30000000000000004,1e999999999999999999999]"
            )
        ),
    ),
    same(
        "raw_number_of_many_digits",
        "An integer of 5,000 digits in a row is carried like any other.",
        "In rows such numbers are carried like any other.",
        row(artifact="[" + "9" * 5_000 + ",0." + "3" * 5_000 + "]"),
    ),
    same(
        "numbers_in_evidence",
        "got, expected, nearest and inline_schema keep their numbers.",
        RAW,
        row(
            inline_schema='{"maximum":1440.0,"minimum":-0,"multipleOf":1e-2}',
            attempts=items(
                attempt(
                    findings=items(
                        finding(got="1.50", expected='{"maximum":1440.0}', nearest="[1.5,1.50,2E0]")
                    )
                )
            ),
        ),
    ),
    *(
        same(
            f"temperature_{name}",
            "A raw number: it keeps its bytes.",
            "Raw values: settings.temperature. It is a number or null.",
            row(settings=settings(temperature=text)),
        )
        for name, text in [
            ("trailing_zero", "0.70"),
            ("exponent", "7E-1"),
            ("minus_zero", "-0.0"),
            ("huge", "1e400"),
            ("many_digits", "0." + "1" * 60),
        ]
    ),
    refused(
        "integer_over_64_bits",
        "2^63 in a number of ours.",
        OURS,
        row(duration_ms=str(2**63)),
    ),
    refused(
        "integer_under_64_bits",
        "-2^63 - 1 in a number of ours.",
        OURS,
        row(settings=settings(seed=str(-(2**63) - 1))),
    ),
    refused(
        "integer_past_all_bounds",
        "2^64 as tokens.",
        OURS,
        row(usage=('{"prompt_tokens":18446744073709551616,"completion_tokens":1}')),
    ),
    refused("integer_with_point", "1.0 is no integer of ours.", OURS, row(iterations="1.0")),
    refused("integer_with_exponent", "Nor is 1e0.", OURS, row(iterations="1e0")),
    refused("integer_as_text", "Nor is a string.", OURS, row(iterations='"1"')),
    refused("integer_as_boolean", "Nor is true.", OURS, row(max_iterations="true")),
    refused(
        "marker_bytes_with_point",
        "The same holds in a marker.",
        OURS,
        row(
            prompt='"cut"',
            attempts=items(attempt(',"output_truncated":' + marker(bytes="7.5"))),
        ),
    ),
    refused(
        "temperature_as_text",
        "A temperature is a number or null.",
        "settings.temperature is a number or null.",
        row(settings=settings(temperature='"0.7"')),
    ),
    refused(
        "temperature_as_boolean",
        "A temperature is a number or null.",
        "settings.temperature is a number or null.",
        row(settings=settings(temperature="true")),
    ),
    refused(
        "temperature_as_list",
        "A temperature is a number or null.",
        "settings.temperature is a number or null.",
        row(settings=settings(temperature="[0.7]")),
    ),
    refused(
        "temperature_as_object",
        "A temperature is a number or null.",
        "settings.temperature is a number or null.",
        row(settings=settings(temperature='{"value":0.7}')),
    ),
    *(
        refused(f"number_{name}", about, JSON, row(artifact=text))
        for name, about, text in [
            ("nan", "NaN is no JSON.", '{"a":NaN}'),
            ("infinity", "Infinity is no JSON.", '{"a":Infinity}'),
            ("minus_infinity", "Nor is -Infinity.", '{"a":-Infinity}'),
            ("leading_zero", "01 is no JSON number.", "[01]"),
            ("plus", "+1 is no JSON number.", "[+1]"),
            ("bare_point", ".5 is no JSON number.", "[.5]"),
            ("no_fraction", "1. is no JSON number.", "[1.]"),
            ("no_exponent", "1e is no JSON number.", "[1e]"),
            ("minus_alone", "- is no JSON number.", "[-]"),
            ("hexadecimal", "0x1F is no JSON number.", "[0x1F]"),
            ("underscore", "1_000 is no JSON number.", "[1_000]"),
        ]
    ),
]
