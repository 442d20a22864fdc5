"""Bodies of `POST /v1/validate` from one source of chance: schemas, answers, grounding, prose."""

import json
import random
from collections.abc import Callable

SCALARS = [
    "null",
    "true",
    "false",
    "0",
    "1",
    "-1",
    "1.0",
    "1.50",
    "2",
    "3",
    "10",
    "1e1",
    "1E2",
    "100",
    "7.5",
    "0.1",
    "0.3",
    "-0.0",
    "1e400",
    "1e-7",
    "18446744073709551617",
    "9007199254740993",
    '""',
    '"a"',
    '"b"',
    '"ab"',
    '"aa"',
    '"\\u0061"',
    '"A"',
    '"é"',
    '"e\\u0301"',
    '"ß"',
    '"Σ"',
    '"😀"',
]
LONG = [
    "0.1",
    "0.10000000000000000001",
    "0.1000000000000000055511151231257827021181583404541015625",
    "10.000000000000000000001",
    "12345678901234567890",
    "12345678901234567890.5",
    "12345678901234567890.0",
    "9007199254740992",
    "9007199254740993.0",
    "9007199254740992.5",
    "1e23",
    "100000000000000000000000",
    "99999999999999991611392",
    "1e-400",
    "-1e-400",
    "1e400",
    "1.0e400",
    "1e99999999999999999",
    "5e-324",
    "1.2345e-320",
    "1.7976931348623158e308",
    "0.3",
    "0",
    "-0.0",
    "10",
]
NAMES = ["a", "b", "c", "é", "", "a/b", "0"]
TYPES = ["string", "number", "integer", "boolean", "null", "array", "object"]
PATTERNS = ["^a", "b$", r"\d", r"\w", "^.$", "[[:alpha:]]", r"\p{L}", "a|b", "(?i)A", "^$", "[^a]"]
BOUNDS = ["0", "1", "1.5", "10.0", "-1", "18446744073709551616", "1e400"]
TEXT_CELLS = [
    '"a"',
    '"b"',
    '"ab"',
    '"A"',
    '"ß"',
    '"é"',
    '"e\\u0301"',
    '"😀"',
    '"Σ"',
    '"aa"',
    '"abc"',
    '"xyz"',
    "null",
]
NUMBER_CELLS = [
    "0",
    "1",
    "1.0",
    "1.50",
    "2",
    "10",
    "1e1",
    "-1",
    "0.1",
    "0.3",
    "18446744073709551617",
    "7.5",
    "100",
    "null",
]
PROSE = [
    "text ",
    "[see] ",
    "{x}",
    "{",
    "}",
    '"',
    ":",
    ",",
    " ",
    "\n",
    "\t",
    "\r\n",
    "``",
    "null",
    "é",
]
PROSE += ['{"a":1}', '{"a":2,"b":[1]}', "[1]", "{}", "[]", '"x"', "1.10", '{"a":', '{"a":"}"}']
PROSE += [
    "\n```json\n",
    "\n```\n",
    "\n~~~\n",
    "\n````\n",
    "\n   ```\n",
    "\n    ```\n",
    '{"a":"```"}',
]
PROSE += [
    "```",
    "~~~",
    '{"a":1}```',
    "```json ",
    "\n``````\n",
    "\n- ```\n  ",
    "<|return|>",
    '"a"',
    "tru",
    '{"b"',
]
TAGS = ["<think>", "</think>", "<thinking>", "</Thinking>", "<reasoning>", "</REASONING>"]
TAGS += ["[THINK]", "[/THINK]", "◁think▷", "◁/think▷", "assistantfinal", "<|START_THINKING|>"]
TAGS += ["<|start|>", "assistant", "<|channel|>", "final", "analysis", "<|message|>", "<|end|>"]
TAGS += ["<|start|>assistant<|channel|>final<|message|>", "<|channel|>analysis<|message|>"]
TAGS += ["Here is my thought process:", "Here is my response:", "<|constrain|>", "<|START|>user"]
THOUGHTS = [
    *TAGS,
    "<think>hm</think>",
    "<think>{</think>\n",
    '<think>"</think>',
    '{"a":"<think>"}',
    '{"a":"</think>"}',
    '"<think>"',
    "[",
    "[[",
    "[ [true",
    "]",
    "[[x",
    "\u00a0",
    "\u001c",
]
SIMPLE = ['{"type":"null"}', "false", "true", '{"type":["array","string"]}', '{"const":3}']
RECURSIVE = '{"properties":{"v":{"$ref":"#/$defs/r"}},"required":["v"],"title":"r"}'
ANY = ["{}", '{"type":"object","required":["a"]}', '{"type":"array"}', "true"]


class Bodies:
    """Draws bodies; the same ones for the same seed."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)

    def body(self) -> bytes:
        """Draw one kind: schemas, tables, answers in prose or with thinking, long numbers."""
        kinds: list[Callable[[], str]] = [
            self._of_schema,
            self._of_union,
            self._of_table,
            self._of_prose,
            self._of_thinking,
            self._of_long_numbers,
        ]
        return self._chance.choice(kinds)().encode("utf-8")

    def _of_schema(self) -> str:
        return f'{{"schema":{self._schema(3)},"output":{json.dumps(self._value(3))}}}'

    def _of_union(self) -> str:
        """Draw a union whose branches may be told apart by members, and a value for it."""
        choice = self._chance.choice
        values = ['"a"', '"b"', '"c"', "1", "1.0", "null", "true", "[1]", "{}"]

        def constants() -> str:
            listed = ",".join(self._some(values, 1, 3, distinct=True))
            named = '{"$ref":"#/$defs/k"}'
            return choice(
                [
                    f'{{"const":{choice(values)}}}',
                    f'{{"enum":[{listed}]}}',
                    f'{{"type":"string","const":{choice(values)},"title":"t"}}',
                    f'{{"anyOf":[{{"const":{choice(values)}}},{{"enum":[{listed}]}}]}}',
                    choice([named, f'{{"allOf":[{named}]}}', '{"type":"string"}']),
                ]
            )

        def branch(depth: int = 1, to: str = "xyr") -> str:
            tags = self._some(["k", "l", "é"], 1, 2, distinct=True)
            members = self._object(tags, constants)[:-1] + ',"v":{"type":"integer"}}'
            required = json.dumps(choice([tags, tags, tags[:1], [*tags, "v"], ["v"]]))
            extra = choice(
                ["", ',"type":"object"', ',"additionalProperties":false', ',"maxProperties":1']
            )
            plain = f'{{"properties":{members},"required":{required}{extra}}}'
            inner = (
                f'{{"{choice(["anyOf", "oneOf"])}":[{plain},{branch(0, to)}]}}' if depth else plain
            )
            return choice(
                [
                    plain,
                    plain,
                    inner,
                    f'{{"allOf":[{plain}]}}',
                    choice(SIMPLE),
                    f'{{"$ref":"#/$defs/{choice(to)}"}}',
                ]
            )

        def union(to: str = "xyr") -> str:
            branches = ",".join(branch(1, to) for _ in self._times(1, 3))
            return f'"{choice(["anyOf", "oneOf"])}":[{branches}]'

        condition = f'"if":{branch(0)},"then":{branch()},"else":{branch()}'
        closed = '"unevaluatedProperties":false'
        here = choice(
            [union(), union(), f"{union()},{closed}", condition, f"{union()},{condition}"]
        )
        named = self._joined(
            {
                "x": branch(0, "r"),
                "y": f'{{"type":"object",{union("xr")}}}',
                "k": f'{{"enum":[{choice(values)},{choice(values)}]}}',
                "r": RECURSIVE,
            }
        )
        members = self._some(["k", "l", "é", "v", "w"], 0, 4, distinct=True)
        answer = choice([self._object(members, lambda: choice([*values, "2"]))] * 4 + ["3", "[]"])
        if choice([True, False]):
            here, answer = f'"items":{{{here}}}', f"[{answer}]"
        schema = f'{{{here},"$defs":{named}}}'
        return f'{{"schema":{schema},"output":{json.dumps(answer)}}}'

    def _of_prose(self) -> str:
        answer = "".join(self._some(PROSE, 1, 8))
        return f'{{"schema":{self._chance.choice(ANY)},"output":{json.dumps(answer)}}}'

    def _of_thinking(self) -> str:
        answer = "".join(self._some([*PROSE, *THOUGHTS, *TAGS], 2, 9))
        return f'{{"schema":{self._chance.choice(ANY)},"output":{json.dumps(answer)}}}'

    def _of_long_numbers(self) -> str:
        choice = self._chance.choice
        answer = json.dumps(f'{{"a":{choice(LONG)},"b":[{choice(LONG)},{choice(LONG)}]}}')
        bound = choice(["maximum", "minimum", "exclusiveMaximum", "exclusiveMinimum", "multipleOf"])
        number = choice([one for one in LONG if bound != "multipleOf" or _is_positive(one)])
        one = choice(
            [
                f'{{"{bound}":{number}}}',
                '{"type":"integer"}',
                f'{{"const":{choice(LONG)}}}',
                f'{{"enum":[{choice(LONG)},"x",{choice(LONG)}]}}',
            ]
        )
        schema = choice(
            [
                f'{{"properties":{{"a":{one},"b":{{"uniqueItems":true,"items":{one}}}}}}}',
                f'{{"properties":{{"b":{{"contains":{one},"maxContains":1}}}},"not":{one}}}',
                f'{{"properties":{{"a":{{"$ref":"#/$defs/x"}}}},"$defs":{{"x":{one}}}}}',
                "{}",
            ]
        )
        match = choice(
            ['"exact"', '"casefold"', '"within","tolerance":' + choice(["0", "0.1", "1"])]
        )
        rows = ",".join(f'{{"c":{choice(LONG)}}}' for _ in self._times(1, 5))
        rule = f'{{"path":"{choice(["/a", "/b"])}","match":{match},"column":"t.c"}}'
        return (
            f'{{"schema":{schema},"output":{answer},'
            f'"grounding":[{rule}],"tables":{{"t":[{rows}]}}}}'
        )

    def _of_table(self) -> str:
        choice = self._chance.choice
        cells = choice([TEXT_CELLS, NUMBER_CELLS])
        rows = [f'{{"c":{choice(cells)},"d":{choice(cells)}}}' for _ in self._times(0, 6)]
        match = choice(["exact", "casefold", "within", "quote"])
        rule = {"path": json.dumps(choice(["/a", "/b", "", "/a/0", "/c/a"])), "match": f'"{match}"'}
        if match != "quote":
            rule["column"] = '"t.c"'
            if match == "within":
                rule["tolerance"] = choice(["0", "0.1", "1", "0.5", "1e1"])
            if self._chance.random() < 0.4:
                rule["with"] = '{"/b":"t.d"}'
        members = self._some(["a", "b", "c"], 1, 3, distinct=True)
        answer = self._object(members, lambda: self._value(2))
        return (
            f'{{"schema":{{}},"output":{json.dumps(answer)},"source":"a ab é 😀",'
            f'"grounding":[{self._joined(rule)}],"tables":{{"t":[{",".join(rows)}]}}}}'
        )

    def _value(self, depth: int) -> str:
        kind = self._chance.random() if depth else 0.0
        if kind < 0.5:
            return self._chance.choice(SCALARS)
        if kind < 0.75:
            return f"[{','.join(self._value(depth - 1) for _ in self._times(0, 3))}]"
        names = self._some(NAMES, 0, 3, distinct=True)
        return self._object(names, lambda: self._value(depth - 1))

    def _schema(self, depth: int) -> str:
        if depth == 0 or self._chance.random() < 0.08:
            return self._chance.choice(["true", "false", '{"type":"string"}', '{"minimum":1}'])
        keywords: dict[str, str] = {}
        for _ in self._times(1, 3):
            keywords |= self._keyword(depth)
        if "contains" in keywords and self._chance.random() < 0.5:
            keywords |= {"minContains": self._chance.choice("012"), "maxContains": "1"}
        return self._joined(keywords)

    def _keyword(self, depth: int) -> dict[str, str]:
        choice = self._chance.choice

        def inner() -> str:
            return self._schema(depth - 1)

        def named(names: list[str]) -> str:
            return self._object(self._some(names, 1, 2, distinct=True), inner)

        def listed(one: Callable[[], str]) -> str:
            return f"[{','.join(one() for _ in self._times(1, 3))}]"

        name = choice(["limit", "bound", "named", "single", "listed", "names", "alone", "if"])
        match name:
            case "limit":
                keyword = choice(["Length", "Items", "Properties"])
                return {choice(["min", "max"]) + keyword: choice(["0", "1", "2", "3", "1.0"])}
            case "bound":
                keyword = choice(["maximum", "minimum", "exclusiveMaximum", "exclusiveMinimum"])
                return {keyword: choice(BOUNDS)}
            case "named":
                return {choice(["properties", "dependentSchemas"]): named(NAMES)}
            case "single":
                keyword = choice(["items", "contains", "not", "propertyNames"])
                extra = choice(
                    ["additionalProperties", "unevaluatedProperties", "unevaluatedItems"]
                )
                return choice([{keyword: inner()}, {extra: choice(["false", inner()])}])
            case "listed":
                return {choice(["prefixItems", "anyOf", "oneOf", "allOf"]): listed(inner)}
            case "names":
                names = json.dumps(self._some(NAMES, 1, 2, distinct=True))
                return choice([{"required": names}, {"dependentRequired": f'{{"a":{names}}}'}])
            case "if":
                return {"if": inner(), "then": inner(), "else": inner()}
            case _:
                kinds = self._some(TYPES, 1, 2, distinct=True)
                return choice(
                    [
                        {"type": json.dumps(kinds)},
                        {"type": json.dumps(kinds[0])},
                        {"enum": listed(lambda: self._value(1))},
                        {"const": self._value(1)},
                        {"multipleOf": choice(["1", "2", "0.5", "2.5", "0.1", "0.01", "3"])},
                        {"pattern": json.dumps(choice(PATTERNS))},
                        {"patternProperties": named(["a", "^b", ".", "^$"])},
                        {"uniqueItems": "true"},
                    ]
                )

    def _some(self, pool: list[str], least: int, most: int, *, distinct: bool = False) -> list[str]:
        count = self._chance.randint(least, most)
        return self._chance.sample(pool, count) if distinct else self._chance.choices(pool, k=count)

    def _times(self, least: int, most: int) -> range:
        return range(self._chance.randint(least, most))

    def _object(self, names: list[str], one: Callable[[], str]) -> str:
        ascii_only = self._chance.random() < 0.3
        members = [f"{json.dumps(name, ensure_ascii=ascii_only)}:{one()}" for name in names]
        return f"{{{','.join(members)}}}"

    def _joined(self, members: dict[str, str]) -> str:
        return "{" + ",".join(f'"{name}":{text}' for name, text in members.items()) + "}"


def _is_positive(number: str) -> bool:
    return not number.startswith("-") and number != "0"
