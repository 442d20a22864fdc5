"""Cases of narrowing with several places a rule."""

import msgspec

from support.narrowing import (
    CODE,
    EVENT,
    NULLABLE,
    PAIRS,
    TEXT,
    Case,
    closed,
    event,
    one,
    rows,
)

ROW_CASES: dict[str, Case] = {
    "pairs": (
        EVENT,
        [PAIRS],
        [event("OSL", "Oslo"), event("BGO", "Bergen"), event("OSL", None)],
        [event("OSL", "Bergen"), event("TRD", "Oslo"), event("TRD", None)],
    ),
    "pairs in each element": (
        closed(l={"type": "array", "items": EVENT}),
        [rows("/l/*/airport /l/*/city", ("OSL", "Oslo"), ("BGO", "Bergen"))],
        [{"l": [event("OSL", "Oslo"), event("BGO", "Bergen"), event("OSL", None)]}],
        [{"l": [event("OSL", "Oslo"), event("BGO", "Oslo")]}, {"l": [event("TRD", "Oslo")]}],
    ),
    "pairs in each element of a list that is the answer, as an object below it": (
        {"type": "array", "items": closed(place=EVENT)},
        [rows("/*/place/airport /*/place/city", ("OSL", "Oslo"), ("BGO", "Bergen"))],
        [[{"place": event("OSL", "Oslo")}, {"place": event("BGO", "Bergen")}]],
        [[{"place": event("OSL", "Oslo")}, {"place": event("BGO", "Oslo")}]],
    ),
    "a value outside the list is of its column": (
        closed(city=TEXT, l={"type": "array", "items": closed(airport=TEXT)}),
        [rows("/l/*/airport /city", ("OSL", "Oslo"), ("FBU", "Oslo"), ("BGO", "Bergen"))],
        [
            {"city": "Oslo", "l": [{"airport": "OSL"}, {"airport": "FBU"}]},
            {"city": "Oslo", "l": [{"airport": "OSL"}, {"airport": "BGO"}]},
        ],
        [{"city": "Oslo", "l": [{"airport": "TRD"}]}, {"city": "x", "l": [{"airport": "OSL"}]}],
    ),
    "two levels": (
        closed(
            l={"type": "array", "items": closed(day=TEXT, legs={"type": "array", "items": EVENT})}
        ),
        [rows("/l/*/legs/*/airport /l/*/legs/*/city", ("OSL", "Oslo"), ("BGO", "Bergen"))],
        [{"l": [{"day": "1", "legs": [event("OSL", "Oslo"), event("BGO", "Bergen")]}]}],
        [{"l": [{"day": "1", "legs": [event("OSL", "Bergen")]}]}],
    ),
    "pairs of one main value": (
        EVENT,
        [rows("/airport /city", ("LON", "London"), ("LON", "Luton"), ("OSL", "Oslo"))],
        [event("LON", "London"), event("LON", "Luton")],
        [event("LON", "Oslo")],
    ),
    "a null at the main place leaves the other free": (
        closed(airport=NULLABLE, city=TEXT),
        [PAIRS],
        [{"airport": None, "city": "free"}, {"airport": "OSL", "city": "Oslo"}],
        [{"airport": "OSL", "city": "free"}, {"airport": "free", "city": "Oslo"}],
    ),
    "a cell without a value binds nothing": (
        closed(airport=TEXT, city=TEXT),
        [rows("/airport /city", ("OSL", None), ("BGO", "Bergen"))],
        [{"airport": "OSL", "city": "free"}, {"airport": "BGO", "city": "Bergen"}],
        [{"airport": "BGO", "city": "free"}],
    ),
    "a pair with a forbidden value": (
        closed(airport=CODE, city=TEXT),
        [rows("/airport /city", ("OSL", "Oslo"), ("bgo", "Bergen"))],
        [{"airport": "OSL", "city": "Oslo"}],
        [{"airport": "BGO", "city": "Bergen"}, {"airport": "OSL", "city": "Bergen"}],
    ),
    "a forbidden value beside the main one leaves null": (
        closed(airport=TEXT, city={"type": ["string", "null"], "maxLength": 4}),
        [PAIRS],
        [{"airport": "OSL", "city": "Oslo"}, {"airport": "BGO", "city": None}],
        [{"airport": "TRD", "city": None}],
    ),
    "a forbidden value beside the main one that may not lack": (
        closed(airport=TEXT, city={"type": "string", "maxLength": 4}),
        [PAIRS],
        [{"airport": "OSL", "city": "Oslo"}],
        [{"airport": "BGO", "city": "Berg"}],
    ),
    "a forbidden value beside the main one that may be left out": (
        {"properties": {"airport": TEXT, "city": {"type": "string", "maxLength": 4}}},
        [PAIRS],
        [{"airport": "OSL", "city": "Oslo"}, {"airport": "BGO"}],
        [{"airport": "TRD"}],
    ),
    "triples": (
        closed(a=TEXT, b=TEXT, c={"type": "integer"}),
        [rows("/a /b /c", ("x", "y", 1), ("x", "y", 2), ("x", "z", 3))],
        [{"a": "x", "b": "y", "c": 2}, {"a": "x", "b": "z", "c": 3}],
        [{"a": "x", "b": "y", "c": 3}, {"a": "x", "b": "z", "c": 1}],
    ),
    "pairs at the nearest parent": (
        closed(e=closed(airport=TEXT, place=closed(city=TEXT)), airport=TEXT),
        [rows("/e/airport /e/place/city", ("OSL", "Oslo"), ("BGO", "Bergen"))],
        [{"airport": "free", "e": {"airport": "OSL", "place": {"city": "Oslo"}}}],
        [{"airport": "free", "e": {"airport": "OSL", "place": {"city": "Bergen"}}}],
    ),
    "pairs in the branches": (
        {"anyOf": [EVENT, closed(none=TEXT)]},
        [PAIRS],
        [event("OSL", "Oslo"), {"none": "free"}],
        [event("OSL", "Bergen")],
    ),
    "pairs with a branch that is not followed": (
        {
            "properties": {"b": TEXT},
            "anyOf": [
                {"properties": {"a": {"type": "integer"}}},
                {
                    "oneOf": [
                        {"properties": {"a": TEXT}},
                        {"properties": {"a": {"type": "boolean"}}},
                    ]
                },
            ],
        },
        [rows("/a /b", ("x", "y"), (1, "z"))],
        [{"a": "x", "b": "y"}, {"a": 1, "b": "z"}],
        [{"a": "x", "b": "free"}, {"a": 2, "b": "free"}],
    ),
    "pairs over two parts of an allOf": (
        {"allOf": [{"properties": {"airport": TEXT}}, {"properties": {"city": TEXT}}]},
        [PAIRS],
        [{"airport": "OSL", "city": "Oslo"}, {"city": "Oslo"}],
        [{"airport": "OSL", "city": "Bergen"}],
    ),
    "two rules with pairs": (
        closed(a=TEXT, b=TEXT, c=TEXT, d=TEXT),
        [rows("/a /b", ("1", "2"), ("3", "4")), rows("/c /d", ("5", "6"), ("7", "8"))],
        [{"a": "1", "b": "2", "c": "7", "d": "8"}, {"a": "3", "b": "4", "c": "5", "d": "6"}],
        [{"a": "1", "b": "4", "c": "5", "d": "6"}, {"a": "1", "b": "2", "c": "5", "d": "8"}],
    ),
    "parallel arrays": (
        closed(airport={"type": "array", "items": TEXT}, city={"type": "array", "items": TEXT}),
        [PAIRS],
        [{"airport": ["OSL", "BGO"], "city": ["Oslo", "Bergen"]}],
        [{"airport": ["TRD"], "city": ["Oslo"]}, {"airport": ["OSL"], "city": ["free"]}],
    ),
    "a pair without its second place": (
        closed(airport=TEXT),
        [PAIRS],
        [{"airport": "OSL"}],
        [{"airport": "TRD"}],
    ),
    "open end": (
        closed(a=TEXT),
        [one("/a", "x", open_end=True)],
        [{"a": "x"}, {"a": "free"}],
        [],
    ),
    "open end of pairs": (
        EVENT,
        [msgspec.structs.replace(PAIRS, open_end=True)],
        [event("OSL", "Oslo"), event("OSL", "free")],
        [],
    ),
}
