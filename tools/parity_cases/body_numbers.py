"""Bodies about numbers that no double holds: compared by value, exactly."""

from parity_cases.case import Case

EXACT = "Numbers are what is written, and compared exactly: not as doubles."
FIRST = (
    'Numbers are what is written, and compared exactly: not as doubles. The'
    ' first candidate that passes the schema is judged on.'
)
COLUMN = (
    'numbers equal numeric columns by value. Numbers are what is written, a'
    'nd compared exactly: not as doubles.'
)
WITHIN = (
    'within (tolerance = n, absolute, to the nearest value). Numbers are wh'
    'at is written, and compared exactly: not as doubles.'
)

NUMBERS = [
    Case(
        'number_type_integer_past_a_double',
        "Half beyond an integer, which a double does not see.",
        EXACT,
        '{"schema":{"type":"integer"},"output":"12345678901234567890.5"}',
        (
            '{"verdict":"rejected","artifact":12345678901234567890.5,"grounded":nul'
            'l,"findings":[{"code":"schema","path":"","message":"","got":1234567890'
            '1234567890.5,"expected":{"type":"integer"}}]}'
        ),
    ),
    Case(
        'number_maximum_past_a_double',
        "Greater by 10^-20.",
        EXACT,
        '{"schema":{"maximum":0.1},"output":"0.10000000000000000001"}',
        (
            '{"verdict":"rejected","artifact":0.10000000000000000001,"grounded":nul'
            'l,"findings":[{"code":"schema","path":"","message":"","got":0.10000000'
            '000000000001,"expected":{"maximum":0.1}}]}'
        ),
    ),
    Case(
        'number_maximum_of_an_integer',
        "Greater than an integer by 10^-21.",
        EXACT,
        '{"schema":{"maximum":10},"output":"10.000000000000000000001"}',
        (
            '{"verdict":"rejected","artifact":10.000000000000000000001,"grounded":n'
            'ull,"findings":[{"code":"schema","path":"","message":"","got":10.00000'
            '0000000000000001,"expected":{"maximum":10}}]}'
        ),
    ),
    Case(
        'number_exclusiveMinimum_underflow',
        "Greater than 0, though a double is 0.",
        EXACT,
        '{"schema":{"exclusiveMinimum":0},"output":"1e-400"}',
        '{"verdict":"accepted","artifact":1e-400,"grounded":null,"findings":[]}',
    ),
    Case(
        'number_minimum_underflow',
        "Less than 0, though a double is 0.",
        EXACT,
        '{"schema":{"minimum":0},"output":"-1e-400"}',
        (
            '{"verdict":"rejected","artifact":-1e-400,"grounded":null,"findings":[{'
            '"code":"schema","path":"","message":"","got":-1e-400,"expected":{"mini'
            'mum":0}}]}'
        ),
    ),
    Case(
        'number_minimum_with_many_digits',
        "A bound has its digits, too.",
        EXACT,
        '{"schema":{"minimum":0.10000000000000000001},"output":"0.1"}',
        (
            '{"verdict":"rejected","artifact":0.1,"grounded":null,"findings":[{"cod'
            'e":"schema","path":"","message":"","got":0.1,"expected":{"minimum":0.1'
            '0000000000000000001}}]}'
        ),
    ),
    Case(
        'number_const_past_a_double',
        "Not equal.",
        EXACT,
        '{"schema":{"const":0.1},"output":"0.10000000000000000001"}',
        (
            '{"verdict":"rejected","artifact":0.10000000000000000001,"grounded":nul'
            'l,"findings":[{"code":"schema","path":"","message":"","got":0.10000000'
            '000000000001,"expected":{"const":0.1}}]}'
        ),
    ),
    Case(
        'number_enum_by_many_digits',
        "Equal, zeros aside.",
        EXACT,
        '{"schema":{"enum":[0.10000000000000000001]},"output":"0.100000000000000000010"}',
        (
            '{"verdict":"accepted","artifact":0.100000000000000000010,"grounded":nu'
            'll,"findings":[]}'
        ),
    ),
    Case(
        'number_multipleOf_past_a_double',
        "Not a multiple by 10^-20.",
        EXACT,
        '{"schema":{"multipleOf":0.1},"output":"0.30000000000000000001"}',
        (
            '{"verdict":"rejected","artifact":0.30000000000000000001,"grounded":nul'
            'l,"findings":[{"code":"schema","path":"","message":"","got":0.30000000'
            '000000000001,"expected":{"multipleOf":0.1}}]}'
        ),
    ),
    Case(
        'number_multipleOf_of_an_integer',
        "Not a multiple by 10^-21.",
        EXACT,
        '{"schema":{"multipleOf":2},"output":"10.000000000000000000001"}',
        (
            '{"verdict":"rejected","artifact":10.000000000000000000001,"grounded":n'
            'ull,"findings":[{"code":"schema","path":"","message":"","got":10.00000'
            '0000000000000001,"expected":{"multipleOf":2}}]}'
        ),
    ),
    Case(
        'number_multipleOf_beyond_a_double',
        "10^400 is a multiple of 7 x 10^-3 only if 7 divided it.",
        EXACT,
        '{"schema":{"multipleOf":0.007},"output":"1e400"}',
        (
            '{"verdict":"rejected","artifact":1e400,"grounded":null,"findings":[{"c'
            'ode":"schema","path":"","message":"","got":1e400,"expected":{"multiple'
            'Of":0.007}}]}'
        ),
    ),
    Case(
        'number_uniqueItems_by_many_digits',
        "Two items that differ.",
        EXACT,
        '{"schema":{"uniqueItems":true},"output":"[0.1,0.10000000000000000001]"}',
        (
            '{"verdict":"accepted","artifact":[0.1,0.10000000000000000001],"grounde'
            'd":null,"findings":[]}'
        ),
    ),
    Case(
        'number_minLength_beyond_a_double',
        "1e400 is an integer.",
        EXACT,
        '{"schema":{"minLength":1e400},"output":"\\"a\\""}',
        (
            '{"verdict":"rejected","artifact":"a","grounded":null,"findings":[{"cod'
            'e":"schema","path":"","message":"","got":"a","expected":{"minLength":1'
            'e400}}]}'
        ),
    ),
    Case(
        'number_maxLength_with_a_point',
        "1.0 is an integer.",
        EXACT,
        '{"schema":{"maxLength":1.0},"output":"\\"a\\""}',
        '{"verdict":"accepted","artifact":"a","grounded":null,"findings":[]}',
    ),
    Case(
        'number_in_prose_past_a_double',
        "The first candidate does not pass.",
        FIRST,
        '{"schema":{"items":{"maximum":10}},"output":"[10.000000000000000000001] or [10.0]"}',
        '{"verdict":"accepted","artifact":[10.0],"grounded":null,"findings":[]}',
    ),
    Case(
        'exact_number_by_many_digits',
        "Not 10.",
        COLUMN,
        (
            '{"schema":{},"output":"{\\"a\\":10.000000000000000000001}","grounding":['
            '{"path":"/a","column":"t.c"}],"tables":{"t":[{"c":10}]}}'
        ),
        (
            '{"verdict":"rejected","artifact":{"a":10.000000000000000000001},"groun'
            'ded":false,"findings":[{"code":"ungrounded","path":"/a","message":"","'
            'got":10.000000000000000000001,"expected":{"column":"t.c","match":"exac'
            't"},"nearest":[10]}]}'
        ),
    ),
    Case(
        'exact_number_of_24_digits',
        "1e23, which no double is.",
        COLUMN,
        (
            '{"schema":{},"output":"{\\"a\\":1e23}","grounding":[{"path":"/a","column'
            '":"t.c"}],"tables":{"t":[{"c":100000000000000000000000}]}}'
        ),
        '{"verdict":"accepted","artifact":{"a":1e23},"grounded":true,"findings":[]}',
    ),
    Case(
        'within_by_many_digits',
        "Outside by 10^-20.",
        WITHIN,
        (
            '{"schema":{},"output":"{\\"a\\":1.10000000000000000001}","grounding":[{"'
            'path":"/a","column":"t.c","match":"within","tolerance":0.1}],"tables":'
            '{"t":[{"c":1}]}}'
        ),
        (
            '{"verdict":"rejected","artifact":{"a":1.10000000000000000001},"grounde'
            'd":false,"findings":[{"code":"ungrounded","path":"/a","message":"","go'
            't":1.10000000000000000001,"expected":{"column":"t.c","match":"within",'
            '"tolerance":0.1},"nearest":[1]}]}'
        ),
    ),
]
