r"""Rows about strings: what is escaped, what stands as it is, what is no string at all."""

from parity_cases.case import Case, items
from parity_cases.row_parts import attempt, body, finding, refused, row, same, settings, turned

ESCAPED = (
    'Strings: only ", \\ and U+0000–U+001F are escaped (\\b \\f \\n \\r \\t, else \\u00xx '
    "lowercase); DEL, C1, U+2028, /, < stand as they are."
)
RAW = "Raw values, carried with their own bytes for numbers, strings and member order."
STRICT = "Strict RFC 8259 in UTF-8: no lone surrogates (raw or escaped, in values or names)."
UTF8 = "Strict RFC 8259 in UTF-8: no byte order mark, no invalid or overlong sequences."


def _prompt(name: str, about: str, came: str, goes: str) -> Case:
    return turned(name, about, ESCAPED, row(prompt=came), row(prompt=goes))


def _with_bytes(data: bytes) -> bytes:
    """Put bytes into the prompt of a row without `crc`, which any writer may leave out."""
    return (body(prompt='"@"') + "}").encode("utf-8").replace(b"@", data)


TEXTS = [
    _prompt(
        "escapes_short_forms",
        "The five controls with a short form, in both spellings.",
        '"\\b\\f\\n\\r\\t|\\u0008\\u000C\\u000a\\u000D\\u0009"',
        '"\\b\\f\\n\\r\\t|\\b\\f\\n\\r\\t"',
    ),
    _prompt(
        "escapes_other_controls",
        "Every other control, in either case of its digits: four lowercase digits.",
        '"\\u0000\\u0001\\u0002\\u0003\\u0004\\u0005\\u0006\\u0007\\u000B\\u000E\\u000F\\u0010'
        "\\u0011\\u0012\\u0013\\u0014\\u0015\\u0016\\u0017\\u0018\\u0019\\u001A\\u001B\\u001c"
        '\\u001D\\u001e\\u001F"',
        '"\\u0000\\u0001\\u0002\\u0003\\u0004\\u0005\\u0006\\u0007\\u000b\\u000e\\u000f\\u0010'
        "\\u0011\\u0012\\u0013\\u0014\\u0015\\u0016\\u0017\\u0018\\u0019\\u001a\\u001b\\u001c"
        '\\u001d\\u001e\\u001f"',
    ),
    _prompt(
        "escapes_quote_and_backslash",
        "Quote and backslash by number: written in their short form.",
        '"\\u0022 \\u005C \\" \\\\ \\\\\\""',
        '"\\" \\\\ \\" \\\\ \\\\\\""',
    ),
    _prompt(
        "escapes_not_needed",
        "Escapes of characters that stand as themselves: solidus, space, letters, tilde.",
        '"\\/ \\u002F \\u0020\\u0041\\u007e \\u00e9\\u00E9 \\u6771"',
        '"/ /  A~ éé 東"',
    ),
    _prompt(
        "html_marks_stand",
        "What encoders made for web pages escape: <, >, & and the apostrophe.",
        '"<b>\\u003Ci\\u003e & \\u0026 \' \\u0027 =\\u003d"',
        "\"<b><i> & & ' ' ==\"",
    ),
    _prompt(
        "del_and_c1_stand",
        "DEL and the C1 controls are not escaped, however they came.",
        '"\\u007F\\u0080\\u0085\\u009f|\x7f\x80\x85\x9f"',
        '"\x7f\x80\x85\x9f|\x7f\x80\x85\x9f"',
    ),
    _prompt(
        "line_separators_stand",
        "U+2028 and U+2029 are no line breaks of a log.",
        '"\\u2028\\u2029|\u2028\u2029"',
        '"\u2028\u2029|\u2028\u2029"',
    ),
    _prompt(
        "astral_text",
        "Surrogate pairs in either case, the first and the last of them, and plain astral text.",
        '"\\uD83D\\uDE00\\ud83d\\ude00 \\ud800\\udc00 \\uDBFF\\uDFFF 😀𝔘"',
        '"😀😀 \U00010000 \U0010ffff 😀𝔘"',
    ),
    _prompt(
        "combining_text",
        "Nothing is normalized: composed and decomposed letters, jamo, marks out of order.",
        '"\\u00e9 e\\u0301 \\u1112\\u1161\\u11ab \\ud55c a\\u0323\\u0302 a\\u0302\\u0323 \\ufb01"',
        '"é e\u0301 \u1112\u1161\u11ab 한 a\u0323\u0302 a\u0302\u0323 \ufb01"',
    ),
    _prompt(
        "emoji_sequences",
        "Joiners, variation selectors, skin tones, flags and tags are characters like others.",
        '"\\ud83d\\udc69\\u200d\\ud83d\\udcbb ✈\\ufe0f 👋🏽 🇵🇹 \\u200b\\u200e\\u202e"',
        '"👩\u200d💻 ✈\ufe0f 👋🏽 🇵🇹 \u200b\u200e\u202e"',
    ),
    _prompt(
        "noncharacters",
        "A byte order mark inside a text, non-characters and U+FFFD are characters.",
        '"\\ufeff\\uFFFE\\uffff\\ufdd0\\ufffd \\ud83f\\udffe"',
        '"\ufeff\ufffe\uffff\ufdd0\ufffd \U0001fffe"',
    ),
    _prompt(
        "backslash_before_ud800",
        "An escaped backslash before the letters ud800 is no surrogate.",
        '"\\\\ud800 \\\\\\\\udfff"',
        '"\\\\ud800 \\\\\\\\udfff"',
    ),
    turned(
        "texts_in_every_member",
        "The same escape in every text that this page defines: each is written in our form.",
        ESCAPED,
        row(
            session_id='"\\u003c1"',
            trace_id='"\\u003c2"',
            row_id='"\\u003c3"',
            daemon='"\\u003c4"',
            kind='"\\u003c5"',
            model='"\\u003c6"',
            model_alias='"\\u003c7"',
            provider='"\\u003c8"',
            prompt='"\\u003c9"',
            messages='[{"role":"\\u0075ser","content":"\\u003c10"}]',
            system='"\\u003c11"',
            settings=settings(constrain='"\\u0061uto"'),
            attempts=items(
                attempt(
                    findings=items(finding(path='"/\\u003c12"', message='"\\u003c13"')),
                    told='"\\u003c14"',
                    output='"\\u003c15"',
                    thinking='"\\u003c16"',
                    repairs='[{"code":"\\u003c17","offset":0,"message":"\\u003c18"}]',
                    finish_reason='"st\\u006fp"',
                    span_id='"\\u003c19"',
                )
            ),
            error='{"code":"\\u0063onnect","message":"\\u003c20"}',
            conversation_id='"\\u003c21"',
            metadata='{"\\u003c22":"\\u003c23"}',
            config_digest='"\\u003c24"',
            kind_digest='"\\u003c25"',
            tables='{"\\u003c26":"\\u003c27"}',
        ),
        row(
            session_id='"<1"',
            trace_id='"<2"',
            row_id='"<3"',
            daemon='"<4"',
            kind='"<5"',
            model='"<6"',
            model_alias='"<7"',
            provider='"<8"',
            prompt='"<9"',
            messages='[{"role":"user","content":"<10"}]',
            system='"<11"',
            attempts=items(
                attempt(
                    findings=items(finding(path='"/<12"', message='"<13"')),
                    told='"<14"',
                    output='"<15"',
                    thinking='"<16"',
                    repairs='[{"code":"<17","offset":0,"message":"<18"}]',
                    span_id='"<19"',
                )
            ),
            error='{"code":"connect","message":"<20"}',
            conversation_id='"<21"',
            metadata='{"<22":"<23"}',
            config_digest='"<24"',
            kind_digest='"<25"',
            tables='{"<26":"<27"}',
        ),
    ),
    same(
        "raw_texts_keep_their_escapes",
        "Every spelling of a string in the raw values: values and names alike.",
        RAW,
        row(
            artifact='{"\\u0061":"\\/ \\u003c < \\u00E9 é \\ud83d\\ude00 😀","b\\n":["\\u0009"]}',
            inline_schema='{"const":"\\u0041\\/","\\u0024comment":"\\u2028"}',
            attempts=items(
                attempt(
                    artifact='"\\u0041"',
                    findings=items(finding(got='"\\u0041"', expected='{"\\u0063onst":"\\/"}')),
                )
            ),
        ),
    ),
    same(
        "empty_texts",
        "Empty is not absent and not null: every text empty that may be.",
        "Every member is always present; nothing = null.",
        row(
            session_id='""',
            trace_id='""',
            row_id='""',
            daemon='""',
            kind='""',
            model='""',
            model_alias='""',
            provider='""',
            prompt='""',
            messages='[{"role":"user","content":""}]',
            system='""',
            attempts=items(
                attempt(
                    findings=items(finding(message='""')),
                    told='""',
                    output='""',
                    thinking='""',
                    repairs='[{"code":"","offset":0,"message":""}]',
                    span_id='""',
                )
            ),
            conversation_id='""',
            metadata='{"":""}',
            config_digest='""',
            kind_digest='""',
            tables='{"":""}',
        ),
    ),
]

SURROGATES = [
    refused(name, about, STRICT, line)
    for name, about, line in [
        ("surrogate_high_alone", "A lone high surrogate in a text.", row(prompt='"\\ud800"')),
        ("surrogate_low_alone", "A lone low surrogate in a text.", row(prompt='"a\\uDFFFb"')),
        (
            "surrogates_reversed",
            "A pair the wrong way round is two lone ones.",
            row(prompt='"\\ude00\\ud83d"'),
        ),
        (
            "surrogate_before_pair",
            "A lone one right before a pair.",
            row(prompt='"\\ud83d\\ud83d\\ude00"'),
        ),
        ("surrogate_in_artifact", "Raw values too.", row(artifact='{"a":["\\udc00"]}')),
        ("surrogate_in_name", "Names too.", row(metadata='{"\\ud800":"x"}')),
        (
            "surrogate_in_unknown_member",
            "Members that nobody knows too.",
            row(',"x_note":{"\\udbff":1}'),
        ),
    ]
] + [
    refused(
        "surrogate_as_bytes",
        "A surrogate encoded as three bytes is no UTF-8.",
        STRICT,
        _with_bytes(b"\xed\xa0\x80"),
    ),
    refused("utf8_overlong", "A solidus in two bytes.", UTF8, _with_bytes(b"\xc0\xaf")),
    refused("utf8_cut", "A character that lacks its end.", UTF8, _with_bytes(b"\xe2\x82")),
    refused(
        "utf8_beyond_unicode",
        "A code point past U+10FFFF.",
        UTF8,
        _with_bytes(b"\xf4\x90\x80\x80"),
    ),
    refused("latin1", "A byte of another encoding.", UTF8, _with_bytes(b"\xe9")),
    refused("byte_order_mark", "Before the row.", UTF8, "\ufeff" + body() + "}"),
    refused(
        "control_not_escaped",
        "A tab inside a string, as it is.",
        "Strict RFC 8259: U+0000–U+001F must be escaped.",
        row(prompt='"a\tb"'),
    ),
    refused("escape_unknown", "There is no escape \\x.", "Strict RFC 8259.", row(prompt='"\\x41"')),
    refused(
        "escape_cut", "Three digits where four belong.", "Strict RFC 8259.", row(prompt='"\\u04g"')
    ),
    refused(
        "single_quotes", "Strings stand in double quotes.", "Strict RFC 8259.", row(prompt="'a'")
    ),
]
