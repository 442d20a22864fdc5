"""Answers that a model gives in place of the right one, each for a reason; generated, repeatable.

The task is to tell an airport's event. A right answer has a code and city that belong together, a
quote of the text, and at most `MINUTES_MAX` minutes, which only the client's schema says.
"""

import json
import random
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

CITIES = {"LHR": "London", "OSL": "Oslo", "BCN": "Barcelona", "ZRH": "Zürich", "GRU": "São Paulo"}
MINUTES_MAX = 90
KIND_MINUTES_MAX = 600
KIND_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "code": {"type": "string"},
        "city": {"type": "string"},
        "quote": {"type": "string"},
        "minutes": {"type": "integer", "minimum": 0, "maximum": KIND_MINUTES_MAX},
    },
    "required": ["code", "city"],
    "additionalProperties": False,
}
CLIENT_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "code": {"type": "string"},
        "city": {"type": "string"},
        "quote": {"type": "string"},
        "minutes": {"type": "integer", "minimum": 0, "maximum": MINUTES_MAX},
    },
    "required": ["code", "city", "quote", "minutes"],
    "additionalProperties": False,
}


class WrongAnswer(NamedTuple):
    """A text, and why it is wrong. `surely`: whatever is taken from it, it is none that passes."""

    reason: str
    text: str
    surely: bool = True


def notice(code: str) -> str:
    """The text that a session is about."""
    return f"{code} {CITIES[code]}: VY3901 delayed 25 minutes, new gate soon."


def right_answer(code: str) -> dict[str, Any]:
    return {"code": code, "city": CITIES[code], "quote": "delayed 25 minutes", "minutes": 25}


def wrong_answers(chance: random.Random, code: str) -> Iterator[WrongAnswer]:
    """Yield one of each reason, at random, for ever."""
    makers: tuple[Callable[[random.Random, str], WrongAnswer], ...] = (
        *(_type, _missing, _extra, _ungrounded, _pair, _quote, _range, _number, _prose, _cut),
        *(_two, _wrapped, _trick, _syntax, _thought, _twice, _nearly),
    )
    while True:
        for maker in makers:
            yield maker(chance, code)


def _with(airport: str, /, **members: Any) -> str:
    return json.dumps(right_answer(airport) | members, ensure_ascii=False)


def _type(chance: random.Random, code: str) -> WrongAnswer:
    member = chance.choice(("code", "city", "quote", "minutes"))
    values: tuple[Any, ...] = (None, True, [], {}, [right_answer(code)[member]], {"value": 25})
    values += ("25", "twenty-five", "") if member == "minutes" else (25, 0, 2.5)
    return WrongAnswer(f"type of {member}", _with(code, **{member: chance.choice(values)}))


def _missing(chance: random.Random, code: str) -> WrongAnswer:
    answer = right_answer(code)
    for member in chance.sample(sorted(answer), chance.randint(1, 4)):
        del answer[member]
    return WrongAnswer("missing members", json.dumps(answer))


def _extra(chance: random.Random, code: str) -> WrongAnswer:
    name = chance.choice(("note", "Code", "code ", "", "__proto__", "minutes\u200b", "citý"))
    return WrongAnswer("extra member", _with(code, **{name: chance.choice((1, "x", None, {}))}))


def _ungrounded(chance: random.Random, code: str) -> WrongAnswer:
    forms: tuple[str, ...] = (
        "XXX",
        code.lower(),
        code + " ",
        " " + code,
        code[:2],
        code + code,
        "",
        code[::-1],
    )
    forms += (code.replace(code[0], chr(ord(code[0]) + 0xFEE0)), f"{code[0]}\u200b{code[1:]}")
    forms += (f"{code}\u0000", code[:2] + "\u0130", f"{code}/{CITIES[code]}")
    return WrongAnswer("ungrounded code", _with(code, code=chance.choice(forms)))


def _pair(chance: random.Random, code: str) -> WrongAnswer:
    others = [city for city in CITIES.values() if city != CITIES[code]]
    return WrongAnswer("wrong pair", _with(code, city=chance.choice((*others, "Atlantis", ""))))


def _quote(chance: random.Random, code: str) -> WrongAnswer:
    words = ("on time", "delayed 52 minutes", "delayed minutes", "cancelled", "gate is closed")
    return WrongAnswer("quote of nothing", _with(code, quote=chance.choice(words)))


def _range(chance: random.Random, code: str) -> WrongAnswer:
    """Some are within the kind's range, and out of the client's."""
    minutes = (91, 120, KIND_MINUTES_MAX, KIND_MINUTES_MAX + 1, -1, 1 << 64, -(1 << 63))
    return WrongAnswer("out of range", _with(code, minutes=chance.choice(minutes)))


def _number(chance: random.Random, code: str) -> WrongAnswer:
    """Forms of numbers that are none of JSON's, or no integer, or too large."""
    forms = ["25.5", "1e400", "1e2", "2.5", "1e-1", "NaN", "Infinity", "-Infinity", "0x19", "+25"]
    forms += ["025", "25_0", "25.", ".25", "-0x1", "1e", "--1", "9" * 400, "25f", "٢٥", "1e9999999"]
    form = chance.choice(forms)
    return WrongAnswer(f"number {form[:12]}", _with(code).replace(": 25}", f": {form}}}"))


def _prose(chance: random.Random, code: str) -> WrongAnswer:
    texts = ["", " ", "\n\n", "I cannot do that.", f"The airport is {code}.", "null", "true", "25"]
    texts += [f'"{code}"', "{}", "[]", "{", "}", "```json\n```", "<answer>", "None", "undefined"]
    return WrongAnswer("no answer", chance.choice(texts))


def _cut(chance: random.Random, code: str) -> WrongAnswer:
    text = _with(code)
    return WrongAnswer("cut off", text[: chance.randrange(1, len(text) - 1)])


def _two(chance: random.Random, code: str) -> WrongAnswer:
    """Which one is meant cannot be said, unless one of them is no candidate at all."""
    other = chance.choice([each for each in CITIES if each != code])
    texts = [_with(code), _with(other, minutes=chance.randint(0, 90))]
    chance.shuffle(texts)
    joint = chance.choice(("\n", " or ", "\n\nBetter:\n", ", "))
    return WrongAnswer("two answers", joint.join(texts), surely=False)


def _wrapped(chance: random.Random, code: str) -> WrongAnswer:
    answer = right_answer(code)
    forms: tuple[Any, ...] = ({"event": answer}, {"items": [answer]}, json.dumps(answer))
    forms += ({"answer": json.dumps(answer)}, [answer, answer], {"code": answer}, [[answer]])
    return WrongAnswer("wrapped", json.dumps(chance.choice(forms)), surely=False)


def _trick(chance: random.Random, code: str) -> WrongAnswer:
    """What some parsers take, replace or cut: lone surrogates, NUL, look-alikes, decomposed."""
    text = _with(code)
    city = CITIES[code]
    swaps = (
        (f'"{code}"', '"\\ud800"'),
        (f'"{code}"', f'"{code}\\u0000"'),
        (f'"{code}"', f'"{code[0]}\\u0301{code[1:]}"'),
        (f'"{city}"', f'"{city}\\ud83d"'),
        (f'"{city}"', f'"\\u202e{city}"'),
        (f'"{city}"', f'"{city}\\ufeff"'),
        ('"minutes"', '"m\\u0456nutes"'),
        ('"code"', '"\\u0441ode"'),
        ('"delayed', '"\\udc00delayed'),
    )
    old, new = chance.choice(swaps)
    assert old in text
    return WrongAnswer("trick of Unicode", text.replace(old, new, 1))


def _syntax(chance: random.Random, code: str) -> WrongAnswer:
    """What is JSON for some readers only."""
    text = _with(code)
    forms = (
        text.replace('"', "'"),
        text.replace("}", ",}"),
        text.replace('"code"', "code"),
        text.replace(", ", " "),
        text.replace(": ", " = "),
        text.replace("{", "{/* the event */", 1),
        text.replace("25}", "25} }").replace("{", "{ {", 1),
        text.replace('"delayed 25', '"delayed\n25'),
        text[::-1],
    )
    return WrongAnswer("syntax", chance.choice(forms), surely=False)


def _thought(chance: random.Random, code: str) -> WrongAnswer:
    """A right answer that is only thought of, and a wrong one that is given."""
    wrong = chance.choice((_pair, _ungrounded, _range))(chance, code).text
    mark = chance.choice(("think", "thinking", "reasoning"))
    return WrongAnswer("right in thought only", f"<{mark}>{_with(code)}</{mark}>\n{wrong}", False)


def _twice(chance: random.Random, code: str) -> WrongAnswer:
    """A member that stands there twice has two values."""
    member = chance.choice(("code", "city", "minutes"))
    value = json.dumps({"code": "XXX", "city": "Oslo?", "minutes": 999}[member])
    text = _with(code)
    first = text.replace("{", f'{{"{member}": {value}, ', 1)
    last = text.replace("}", f', "{member}": {value}}}')
    return WrongAnswer("a member twice", chance.choice((first, last)))


def _nearly(chance: random.Random, code: str) -> WrongAnswer:
    """Several faults at once, some of each part of the contract."""
    members = {"code": "XXX", "city": "Nowhere", "quote": "never said", "minutes": 500, "more": 1}
    chosen = chance.sample(sorted(members), 3)
    return WrongAnswer("several faults", _with(code, **{name: members[name] for name in chosen}))
