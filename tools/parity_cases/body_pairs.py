"""Bodies about `with`: which values must stand in one row, and what stands near them."""

from parity_cases.body_grounding import EXACT_IATA, airports, whole
from parity_cases.body_parts import body, found, reply

WITH = (
    "with: by the same match, in the same row. with pairs are taken in the byte order of their "
    "pointers; they are looked at only where the main value is in the table; nearest from the "
    "rows that the other values left."
)

CITY = '[{"path":"/a","column":"airports.iata","with":{"/b":"airports.city"}}]'
CITY_EXPECTED = '{"column":"airports.city","match":"exact"}'
BOTH = (
    '[{"path":"/a","column":"airports.iata","with":{"/c":"airports.elevation",'
    '"/b":"airports.city"}}]'
)

PAIRS = [
    whole("with_holds", "One row has both.", WITH, came=airports('{"a":"LIS","b":"Lisbon"}', CITY), goes=reply('{"a":"LIS","b":"Lisbon"}', grounded="true")),
    whole(
        "with_of_another_row",
        "Both are in the table, in no row together; near is what that row has.",
        WITH,
        came=airports('{"a":"LIS","b":"Porto"}', CITY),
        goes=reply('{"a":"LIS","b":"Porto"}', found("ungrounded", "/b", '"Porto"', CITY_EXPECTED, '["Lisbon"]'), grounded="false"),
    ),
    whole("with_absent", "A pair that is absent does not apply.", WITH, came=airports('{"a":"LIS"}', CITY), goes=reply('{"a":"LIS"}', grounded="true")),
    whole("with_null", "Nor does one that is null.", WITH, came=airports('{"a":"LIS","b":null}', CITY), goes=reply('{"a":"LIS","b":null}', grounded="true")),
    whole(
        "with_not_looked_at",
        "The main value is not in the table: the pair says nothing.",
        WITH,
        came=airports('{"a":"LIX","b":"Nowhere"}', CITY),
        goes=reply('{"a":"LIX","b":"Nowhere"}', found("ungrounded", "/a", '"LIX"', EXACT_IATA, '["LAX","LIS","OPO"]'), grounded="false"),
    ),
    whole(
        "with_two_pairs",
        "Both pairs fail, each in its place; a number pairs by value.",
        WITH,
        came=airports('{"a":"LIS","b":"Faro","c":7}', BOTH),
        goes=reply(
            '{"a":"LIS","b":"Faro","c":7}',
            found("ungrounded", "/b", '"Faro"', CITY_EXPECTED, '["Lisbon"]'),
            found("ungrounded", "/c", "7", '{"column":"airports.elevation","match":"exact"}', "[114]"),
            grounded="false",
        ),
    ),
    whole(
        "with_narrows_in_byte_order",
        "/b leaves one row of two, /c must be of it.",
        WITH,
        came=body(
            '{"a":"x","c":2,"b":"p"}',
            grounding='[{"path":"/a","column":"t.a","with":{"/c":"t.c","/b":"t.b"}}]',
            tables='{"t":[{"a":"x","b":"p","c":1},{"a":"x","b":"q","c":2}]}',
        ),
        goes=reply(
            '{"a":"x","c":2,"b":"p"}',
            found("ungrounded", "/c", "2", '{"column":"t.c","match":"exact"}', "[1]"),
            grounded="false",
        ),
    ),
    whole(
        "with_any_row_of_the_value",
        "The value stands in two rows; the second has the pair.",
        WITH,
        came=body(
            '{"a":"x","b":"q"}',
            grounding='[{"path":"/a","column":"t.a","with":{"/b":"t.b"}}]',
            tables='{"t":[{"a":"x","b":"p"},{"a":"x","b":"q"}]}',
        ),
        goes=reply('{"a":"x","b":"q"}', grounded="true"),
    ),
    whole(
        "with_casefold",
        "By the same match.",
        WITH,
        came=airports('{"a":"lis","b":"LISBON"}', '[{"path":"/a","column":"airports.iata","match":"casefold","with":{"/b":"airports.city"}}]'),
        goes=reply('{"a":"lis","b":"LISBON"}', grounded="true"),
    ),
    whole(
        "with_one_value_for_all_elements",
        "A single value goes with every element.",
        WITH,
        came=airports('{"a":["LIS","OPO"],"b":"Lisbon"}', CITY),
        goes=reply('{"a":["LIS","OPO"],"b":"Lisbon"}', found("ungrounded", "/b", '"Lisbon"', CITY_EXPECTED, '["Porto"]'), grounded="false"),
    ),
]

PAIRS.append(
    whole(
        "with_element_by_element",
        "Two arrays: each element with the one at its index; one that is absent or null does not "
        "apply.",
        "Where the rule points at an array and the with pointer at another, they pair element by "
        "element.",
        came=airports('{"a":["LIS","OPO","LAX","LIS"],"b":["Lisbon","Lisbon",null]}', CITY),
        goes=reply(
            '{"a":["LIS","OPO","LAX","LIS"],"b":["Lisbon","Lisbon",null]}',
            found("ungrounded", "/b/1", '"Lisbon"', CITY_EXPECTED, '["Porto"]'),
            grounded="false",
        ),
    )
)
