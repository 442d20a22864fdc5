"""The JSON Schemas of bodies under spec/v1 tell good bodies from bad ones, as the types do."""

import json

import msgspec
import pytest

from lakehouse.core.chat import ChatRequest
from lakehouse.core.ports import ValidateRequest
from lakehouse.core.replay_row import FeedbackRequest
from lakehouse.core.session import IterateRequest
from support.spec_files import schema_validator

REQUESTS: dict[str, type[msgspec.Struct]] = {
    "iterate.request": IterateRequest,
    "validate.request": ValidateRequest,
    "chat.request": ChatRequest,
    "feedback.request": FeedbackRequest,
}
VALID: dict[str, list[str]] = {
    "iterate.request": [
        '{"kind":"k","prompt":"p"}',
        '{"kind":"k","prompt":"p","schema":null,"messages":null}',
        '{"schema":{},"messages":[{"role":"user","content":""}]}',
        '{"schema":true,"prompt":"p","temperature":0.7,"seed":-1,"metadata":{"a":"b"}}',
        '{"kind":"k","prompt":"p","max_iterations":10,"deadline_ms":600000,"constrain":"off"}',
        '{"kind":"k","prompt":"p","candidates":"auto"}',
        '{"kind":"k","prompt":"p","candidates":"decode"}',
        '{"kind":"k","prompt":"p","candidates":"hint"}',
        '{"schema":{},"prompt":"p","candidates":"off"}',
        '{"kind":"k","prompt":"p","candidates":null}',
        '{"kind":"k","prompt":"p","top_p":0,"stop":[]}',
        '{"kind":"k","prompt":"p","top_p":0.9,"stop":["END","\\n\\n"]}',
        '{"kind":"k","prompt":"p","output_schema":{"type":"object"}}',
        '{"kind":"k","prompt":"p","output_schema":true}',
        '{"schema":{},"prompt":"p","output_schema":null}',
        '{"schema":{},"prompt":"p","assert_formats":true}',
        '{"kind":"k","prompt":"p","assert_formats":false}',
    ],
    "validate.request": [
        '{"output":"x","schema":{}}',
        '{"output":"","kind":"k","source":"s"}',
        (
            '{"output":"x","schema":{},"grounding":[{"path":"/a","column":"t.c",'
            '"with":{"/b":"t.d"}}],"tables":{"t":[{"c":1}]}}'
        ),
    ],
    "chat.request": [
        '{"model":"m","messages":[{"role":"user","content":"x"}]}',
        '{"model":"m","messages":[{"role":"user","content":"x"}],"schema":{},"max_tokens":1}',
    ],
    "chat.reply": [
        (
            '{"text":"","thinking":null,"finish_reason":"stop",'
            '"usage":{"prompt_tokens":null,"completion_tokens":3},"model":"m","provider":"openai"}'
        )
    ],
    "iterate.reply": [
        (
            '{"session_id":"s","trace_id":"0af7651916cd43dd8448eb211c80319c",'
            '"row_id":"019ab3c4d5e77a1c8d3e4f5061728394","verdict":"infra_error","iterations":0,'
            '"accepted_iteration":null,"artifact":null,"grounded":null,"findings":[],"attempts":[],'
            '"usage":{"prompt_tokens":null,"completion_tokens":null},"model":"m","error":'
            '{"code":"timeout","message":"m","retryable":true,"hint":"h"},"duration_ms":5,'
            '"kind_digest":"sha256:' + "1" * 64 + '"}'
        )
    ],
    "feedback.request": [
        '{"session_id":"s","label":"right"}',
        '{"session_id":"s","label":"wrong","row_id":"r","comment":"c","author":"a"}',
        '{"session_id":"s","label":"corrected","artifact":{"a":1}}',
    ],
    "problem": [
        (
            '{"type":"urn:lakehouse:problem:not_found","title":"t","status":404,"detail":"d",'
            '"code":"not_found","session_id":"s","retryable":false,"hint":""}'
        )
    ],
}
INVALID: dict[str, list[str]] = {
    "iterate.request": [
        "{}",
        '{"kind":"k"}',
        '{"prompt":"p"}',
        '{"kind":"k","schema":{},"prompt":"p"}',
        '{"kind":"k","prompt":"p","messages":[{"role":"user","content":""}]}',
        '{"kind":"k","messages":[]}',
        '{"kind":"k","messages":[{"role":"system","content":""}]}',
        '{"kind":"k","messages":[{"role":"tool","content":""}]}',
        '{"kind":"k","messages":[{"role":"user","content":"","name":"x"}]}',
        '{"kind":"k","prompt":"p","max_iterations":0}',
        '{"kind":"k","prompt":"p","max_iterations":11}',
        '{"kind":"k","prompt":"p","deadline_ms":600001}',
        '{"kind":"k","prompt":"p","constrain":"on"}',
        '{"kind":"k","prompt":"p","candidates":"on"}',
        '{"kind":"k","prompt":"p","candidates":"Auto"}',
        '{"kind":"k","prompt":"p","candidates":""}',
        '{"kind":"k","prompt":"p","candidates":true}',
        '{"kind":"k","prompt":"p","top_p":1.1}',
        '{"kind":"k","prompt":"p","stop":"END"}',
        '{"kind":"k","prompt":"p","stop":[""]}',
        '{"kind":"k","prompt":"p","stop":["a"' + ',"a"' * 16 + "]}",
        '{"kind":"k","prompt":"p","metadata":{"a":1}}',
        '{"kind":"k","prompt":"p","tempature":1}',
        '{"kind":"k","prompt":"p","seed":9223372036854775808}',
        '{"kind":null,"prompt":"p"}',
        '{"schema":{},"prompt":"p","output_schema":{}}',
        '{"kind":"k","prompt":"p","output_schema":"{}"}',
        '{"schema":{},"prompt":"p","assert_formats":"known"}',
        '{"schema":{},"prompt":"p","assert_formats":null}',
    ],
    "validate.request": [
        '{"schema":{}}',
        '{"output":"x"}',
        '{"output":"x","schema":{},"kind":"k"}',
        '{"output":"x","schema":{},"tables":{"t":{}}}',
        '{"output":"x","schema":{},"grounding":[{"column":"t.c"}]}',
        '{"output":"x","schema":{},"grounding":[{"path":"/a","match":"fuzzy"}]}',
        '{"output":"x","schema":{},"rules":[]}',
    ],
    "chat.request": ['{"model":"m"}', '{"model":"m","messages":[]}', '{"messages":[]}'],
    "feedback.request": [
        '{"label":"right"}',
        '{"session_id":"s","label":"good"}',
        '{"session_id":"s","label":"corrected"}',
        '{"session_id":"s","label":"corrected","artifact":null}',
        '{"session_id":"s","label":"wrong","artifact":{}}',
        '{"session_id":"s","label":"right","note":"x"}',
    ],
    "problem": ['{"type":"about:blank"}'],
}


@pytest.mark.parametrize(
    ("name", "text"), [(name, text) for name, texts in VALID.items() for text in texts]
)
def test_what_holds(name: str, text: str) -> None:
    schema_validator(name).validate(json.loads(text))
    if "request" in name:
        msgspec.json.decode(text, type=REQUESTS[name])


@pytest.mark.parametrize(
    ("name", "text"), [(name, text) for name, texts in INVALID.items() for text in texts]
)
def test_what_does_not(name: str, text: str) -> None:
    assert not schema_validator(name).is_valid(json.loads(text))
