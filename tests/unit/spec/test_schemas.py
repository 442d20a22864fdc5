"""The JSON Schemas under spec/v1 say what the types say: neither can drift from the other."""

import ast
import json
from pathlib import Path
from typing import Any, get_args

import jsonschema_rs
import msgspec
import pytest
from msgspec import inspect

from lakehouse.core.chat import ChatReply, ChatRequest, FinishReason, History, OfferMode
from lakehouse.core.errors import InfraCode, ProblemCode
from lakehouse.core.finding import FindingCode
from lakehouse.core.kind import CandidatesMode
from lakehouse.core.ports import ValidateRequest
from lakehouse.core.replay_row import Feedback, FeedbackRequest, ReplayRun
from lakehouse.core.row import LoggedError, Row, SegmentHeader, Started
from lakehouse.core.row_codec import encode_line
from lakehouse.core.session import IterateRequest, SessionReply, ValidateReply
from lakehouse.core.words import WORD_PATTERN
from lakehouse.reports.report import ReplayReport
from lakehouse.transport.problem import Problem
from support.rows import make_feedback, make_replay_run, make_row, make_started
from support.spec_files import fixtures, schema, schema_names, schema_validator

ROOT = Path(__file__).parents[3]
TYPES: dict[str, type[msgspec.Struct]] = {
    "row": Row,
    "started": Started,
    "segment": SegmentHeader,
    "iterate.request": IterateRequest,
    "iterate.reply": SessionReply,
    "validate.request": ValidateRequest,
    "validate.reply": ValidateReply,
    "chat.request": ChatRequest,
    "chat.reply": ChatReply,
    "replay.run": ReplayRun,
    "feedback": Feedback,
    "feedback.request": FeedbackRequest,
    "problem": Problem,
    "replay.report": ReplayReport,
}
GROWN = {(LoggedError, "detail")}  # members that rows of before do not have; every row of ours has
LINES = {"row", "started", "segment", "replay.run", "feedback"}  # the codec adds `crc` to these
SCALARS: dict[type[inspect.Type], str] = {
    inspect.StrType: "string",
    inspect.IntType: "integer",
    inspect.FloatType: "number",
    inspect.BoolType: "boolean",
}


class Comparison:
    """Walks a type and its schema together and collects where they differ."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.differences: list[str] = []
        root = inspect.type_info(TYPES[name])
        assert isinstance(root, inspect.StructType)
        self.struct(root, schema(name), name, ["crc"] if name in LINES else [])

    def _say(self, at: str, what: object) -> None:
        self.differences.append(f"{at}: {what}")

    def _resolved(self, node: dict[str, Any], file: str) -> tuple[dict[str, Any], str]:
        while (reference := node.get("$ref")) is not None:
            target, _, pointer = reference.partition("#/$defs/")
            file = target.removesuffix(".schema.json") or file
            node = schema(file)["$defs"][pointer]
        return node, file

    def struct(
        self, kind: inspect.StructType, node: dict[str, Any], file: str, more: list[str]
    ) -> None:
        node, file = self._resolved(node, file)
        at = f"{self._name} {kind.cls.__name__}"
        names = [field.encode_name for field in kind.fields] + more
        if (found := list(node.get("properties", {}))) != names:
            self._say(at, f"members {found} are not {names}")
            return
        required = [name for name in names if not self._optional(kind, name)]
        if node.get("required", []) != required:
            self._say(at, f"required {node.get('required')} are not {required}")
        if kind.forbid_unknown_fields != (node.get("additionalProperties") is False):
            self._say(at, "additionalProperties")
        for field in kind.fields:
            self.value(field.type, node["properties"][field.encode_name], file, at, field.name)

    def _optional(self, kind: inspect.StructType, name: str) -> bool:
        """What the contract's lines and replies always hold is required, default or not."""
        fields = {field.encode_name: field for field in msgspec.structs.fields(kind.cls)}
        field = fields.get(name)
        if field is None or field.required:
            return False
        if (kind.cls, name) in GROWN:
            return True
        requests = kind.forbid_unknown_fields or kind.cls is ChatReply
        return requests or field.default is msgspec.UNSET

    def value(self, kind: Any, node: Any, file: str, at: str, name: str) -> None:
        if isinstance(kind, inspect.RawType | inspect.AnyType):
            return
        at = f"{at}.{name}"
        node, file = self._resolved(node, file)
        if isinstance(kind, inspect.UnionType):
            kinds = [each for each in kind.types if not isinstance(each, inspect.NoneType)]
            if len(kinds) < len(kind.types):
                node = self._without_null(node, at)
                node, file = self._resolved(node, file)
            assert len(kinds) == 1, "the contract has no unions but with null"
            kind = kinds[0]
        if isinstance(kind, inspect.StructType):
            self.struct(kind, node, file, [])
        elif isinstance(kind, inspect.LiteralType):
            words = [node["const"]] if "const" in node else node.get("enum")
            if set(kind.values) != set(words) or len(words) != len(kind.values):
                self._say(at, f"{words} are not {kind.values}")
        elif isinstance(kind, inspect.VarTupleType | inspect.ListType):
            self._is(node, "array", at)
            self.value(kind.item_type, node["items"], file, at, "items")
        elif isinstance(kind, inspect.DictType):
            self._is(node, "object", at)
            if "additionalProperties" in node:
                self.value(kind.value_type, node["additionalProperties"], file, at, "*")
        elif "const" not in node and "enum" not in node:
            self._is(node, SCALARS[type(kind)], at)
            if getattr(kind, "pattern", None) and node.get("pattern") != WORD_PATTERN:
                self._say(at, f"pattern {node.get('pattern')} is not {WORD_PATTERN}")

    def _is(self, node: dict[str, Any], expected: str, at: str) -> None:
        if node.get("type") != expected:
            self._say(at, f"type {node.get('type')} is not {expected}")

    def _without_null(self, node: dict[str, Any], at: str) -> dict[str, Any]:
        if "anyOf" in node:
            first, null = node["anyOf"]
            assert null == {"type": "null"}
            return dict(first)
        if None in node.get("enum", ()):
            return {**node, "enum": [word for word in node["enum"] if word is not None]}
        kinds = node.get("type")
        if not isinstance(kinds, list) or "null" not in kinds:
            self._say(at, "may be null, and the schema does not say so")
            return node
        rest = [each for each in kinds if each != "null"]
        return {**node, "type": rest[0] if len(rest) == 1 else rest}


def test_every_schema_is_compared() -> None:
    assert set(schema_names()) == set(TYPES)


@pytest.mark.parametrize("name", TYPES)
def test_a_schema_says_what_the_type_says(name: str) -> None:
    assert Comparison(name).differences == []


@pytest.mark.parametrize("name", TYPES)
def test_a_schema_is_a_schema(name: str) -> None:
    document = schema(name)
    assert document["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert document["title"]
    assert document["description"]
    jsonschema_rs.meta.validate(document)
    schema_validator(name)


def test_the_comparison_notices_a_drift(monkeypatch: pytest.MonkeyPatch) -> None:
    """A renamed member, a changed order, a missing null and a word too many are each seen."""
    import support.spec_files  # noqa: PLC0415 - the module itself is what is patched

    original = support.spec_files.schema

    def changes() -> Any:
        document = original("row")
        document["properties"]["daemonn"] = document["properties"].pop("daemon")
        yield document
        document = original("row")
        document["properties"] = dict(reversed(document["properties"].items()))
        yield document
        document = original("row")
        document["properties"]["kind"]["type"] = "string"
        yield document
        document = original("row")
        document["properties"]["verdict"]["enum"].append("maybe")
        yield document
        document = original("row")
        document["required"].remove("prompt")
        yield document
        document = original("row")
        document["$defs"]["repair"]["properties"]["offset"] = {"type": "string"}
        yield document

    for document in changes():
        monkeypatch.setitem(globals(), "schema", lambda name, d=document: d)
        assert Comparison("row").differences != []


@pytest.mark.parametrize(
    ("file", "owner", "member", "words"),
    [
        ("row", "finding", "code", get_args(FindingCode)),
        ("row", "error", "code", get_args(InfraCode)),
        ("iterate.reply", "error", "code", get_args(InfraCode)),
        ("row", "attempt", "finish_reason", get_args(FinishReason)),
        ("row", "settings", "history", set(get_args(History)) - {"findings"}),
        ("row", "settings", "candidates", get_args(CandidatesMode)),
        ("row", "narrowed", "mode", get_args(OfferMode)),
    ],
)
def test_the_words_that_writers_use_are_told(
    file: str, owner: str, member: str, words: Any
) -> None:
    """Of each list that grows; a reader takes any other, and nothing that is no word."""
    found = schema(file)["$defs"][owner]["properties"][member]
    assert found["$ref"].endswith("#/$defs/word")
    assert sorted(found["examples"]) == sorted(words)


def test_what_is_written_here_is_on_the_lists() -> None:
    """The types of rows take any word, for readers: what our code makes is looked at instead."""
    written = set()
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Finding":
                code = next(word.value for word in node.keywords if word.arg == "code")
                if isinstance(code, ast.Constant):
                    written.add(code.value)
                else:  # a variable, whose own type is the list
                    assert isinstance(code, ast.Name), f"{path}:{node.lineno}"
    assert {"schema", "ungrounded"} <= written <= set(get_args(FindingCode))


def test_the_words_of_a_problem_are_the_contracts() -> None:
    words = schema("problem")["properties"]["code"]["enum"]
    assert set(words) == set(get_args(ProblemCode)) | set(get_args(InfraCode))
    assert len(words) == len(set(words))


@pytest.mark.parametrize("name", fixtures("session_log"))
def test_rows_of_the_parity_fixtures_hold(name: str) -> None:
    """1e400 is more than a double holds, and a number all the same."""
    row = json.loads(fixtures("session_log")[name]["expected"], parse_float=lambda _text: 0.5)
    problems = [error.message for error in schema_validator("row").iter_errors(row)]
    assert problems == []


def test_lines_hold_against_their_schemas() -> None:
    row = make_row()
    header = SegmentHeader(
        writer_id="w",
        segment=0,
        daemon="validatord",
        runtime="python",
        version="1.0.0",
        started_at="2026-01-02T03:04:05.678901Z",
    )
    records: dict[str, Row | Started | SegmentHeader | ReplayRun | Feedback] = {
        "row": row,
        "started": make_started(row),
        "segment": header,
        "replay.run": make_replay_run(),
        "feedback": make_feedback(),
    }
    assert records.keys() == LINES
    for name, record in records.items():
        schema_validator(name).validate(json.loads(encode_line(record)))


@pytest.mark.parametrize("name", sorted(LINES))
def test_every_member_of_a_line_is_required_but_markers(name: str) -> None:
    document = schema(name)
    assert set(document["properties"]) - set(document["required"]) == {
        member for member in document["properties"] if member.endswith("_truncated")
    }
    assert list(document["properties"])[-1] == "crc"
