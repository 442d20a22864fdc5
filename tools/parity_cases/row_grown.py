"""Rows of a contract that grew: words of tomorrow, and members that older rows lack."""

from collections.abc import Callable

from parity_cases.case import Case, items, obj
from parity_cases.row_parts import (
    DIGEST,
    attempt,
    finding,
    refused,
    row,
    same,
    settings,
    turned,
)

WORDS = (
    "Lists that grow: finding codes, infra codes, finish reasons and daemons' names are closed for "
    "writers of a version, open for readers: a reader takes any [a-z_]{1,40} as it stands."
)
CLOSED = "A word that is none of [a-z_]{1,40} makes it no row. Verdicts stay closed."
DETAIL = (
    "error in the row gains detail (or null) after message. A row of an older minor version is "
    "written again without adding what it lacks."
)
NARROWED = (
    "An attempt gains narrowed after span_id, a list of {path, column, mode, candidates, digest}, "
    "left out when nothing was narrowed."
)
HISTORY = (
    "history: what a later attempt saw of the earlier answers; left out where it saw none of them."
)
LONGEST = "a_word_of_tomorrow_with_forty_characters"
PLACES: dict[str, Callable[[str], str]] = {
    "finding_code": lambda word: row(
        verdict='"max_iter_exhausted"',
        accepted_iteration="null",
        artifact="null",
        attempts=items(attempt(findings=items(finding(code=word)))),
    ),
    "infra_code": lambda word: row(
        verdict='"infra_error"',
        iterations="0",
        accepted_iteration="null",
        artifact="null",
        error=f'{{"code":{word},"message":"no","detail":null}}',
    ),
    "finish_reason": lambda word: row(
        verdict='"max_iter_exhausted"',
        accepted_iteration="null",
        artifact="null",
        attempts=items(attempt(finish_reason=word)),
    ),
    "history": lambda word: row(settings=settings(f',"history":{word}')),
    "mode_of_narrowed": lambda word: row(
        verdict='"max_iter_exhausted"',
        accepted_iteration="null",
        artifact="null",
        attempts=items(_narrowed(one(mode=word))),
    ),
}
NO_WORDS = [
    ("empty", "No letter at all.", '""'),
    ("long", "41 letters.", '"' + "a" * 41 + '"'),
    ("in_capitals", "Capitals.", '"Schema"'),
    ("with_a_digit", "A digit.", '"h2"'),
    ("with_a_hyphen", "A hyphen.", '"not-known"'),
    ("with_a_line_break", "A line break after a word.", '"schema\\n"'),
    ("beyond_ascii", "A letter beyond ASCII.", '"größe"'),
    ("null", "null.", "null"),
]


def one(more: str = "", /, **changes: str) -> str:
    """Write one entry of narrowed."""
    members = {
        "path": '"/airport"',
        "column": '"airports.iata"',
        "mode": '"decode"',
        "candidates": "17",
        "digest": DIGEST,
    }
    return obj({**members, **changes})[:-1] + more + "}"


def _narrowed(*entries: str) -> str:
    return attempt()[:-1] + f',"narrowed":{items(*entries)}}}'


GROWN: list[Case] = [
    *(
        same(
            f"{name}_of_tomorrow",
            "A word that no version has yet.",
            WORDS,
            made('"one_of_tomorrow"'),
        )
        for name, made in PLACES.items()
    ),
    *(
        same(f"{name}_of_forty_letters", "The longest word.", WORDS, made(f'"{LONGEST}"'))
        for name, made in PLACES.items()
    ),
    same("finding_code_of_one_letter", "The shortest word.", WORDS, PLACES["finding_code"]('"_"')),
    turned(
        "words_in_escapes",
        "A word of tomorrow is a text of ours: it is written without escapes.",
        WORDS,
        PLACES["finding_code"]('"\\u006fne"'),
        PLACES["finding_code"]('"one"'),
    ),
    same(
        "daemon_of_tomorrow",
        "The name of a process that nobody knows yet.",
        WORDS,
        row(daemon='"batch_runner"'),
    ),
    *(
        refused(f"{name}_{how}", about, CLOSED, made(word))
        for name, made in PLACES.items()
        for how, about, word in (NO_WORDS if name == "finding_code" else NO_WORDS[:4])
    ),
    *(
        same(f"detail_{name}", about, DETAIL, row(error=error))
        for name, about, error in [
            ("null", "There is none.", '{"code":"connect","message":"no","detail":null}'),
            (
                "told",
                "The provider's own words.",
                '{"code":"upstream_status","message":"no","detail":"429: slow down, \\"friend\\""}',
            ),
            ("absent", "A row of before.", '{"code":"connect","message":"no"}'),
            (
                "absent_and_unknown",
                "A row of before, with a member that nobody knows.",
                '{"code":"connect","message":"no","x":1}',
            ),
        ]
    ),
    turned(
        "detail_moved_to_its_place",
        "It stands after message, unknown members after it.",
        DETAIL,
        row(error='{"x":1,"detail":"\\u0061","code":"connect","message":"no"}'),
        row(error='{"code":"connect","message":"no","detail":"a","x":1}'),
    ),
    refused(
        "detail_of_another_type",
        "A list where a text or null may be.",
        DETAIL,
        row(error='{"code":"connect","message":"no","detail":[]}'),
    ),
    same(
        "narrowed",
        "Two places, one in the schema that the model decoded under, one in the prompt.",
        NARROWED,
        row(
            attempts=items(_narrowed(one(), one(path='"/stops/0"', mode='"hint"', candidates="0")))
        ),
    ),
    *(
        same(f"history_{word}", "In force, and said.", HISTORY, PLACES["history"](f'"{word}"'))
        for word in ["answer_and_findings", "full"]
    ),
    turned(
        "history_moved_to_its_place",
        "It stands after deadline_ms, unknown members after it.",
        HISTORY,
        row(settings='{"x":1,"history":"full",' + settings()[1:]),
        row(settings=settings(',"history":"full","x":1')),
    ),
    same("narrowed_empty", "An empty list is kept.", NARROWED, row(attempts=items(_narrowed()))),
    turned(
        "narrowed_moved_to_its_place",
        "It stands after span_id; its own members in their order; unknown ones last.",
        NARROWED,
        row(
            attempts=items(
                '{"narrowed":[{"x":1.0,"digest":'
                + DIGEST
                + ',"candidates":17,"mode":"decode","column":"airports.iata","path":"/airport"}],'
                + attempt()[1:-1]
                + ',"y":2}'
            )
        ),
        row(attempts=items(_narrowed(one(',"x":1.0'))[:-1] + ',"y":2}')),
    ),
    *(
        refused(f"narrowed_{name}", about, NARROWED, row(attempts=items(text)))
        for name, about, text in [
            ("null", "null is no list.", attempt()[:-1] + ',"narrowed":null}'),
            (
                "without_a_member",
                "An entry without its column.",
                _narrowed(one().replace('"column":"airports.iata",', "")),
            ),
            (
                "candidates_of_another_type",
                "A list where a number must be.",
                _narrowed(one(candidates="[]")),
            ),
            (
                "candidates_beyond_64_bits",
                "One more than a number of ours may be.",
                _narrowed(one(candidates="9223372036854775808")),
            ),
        ]
    ),
]
