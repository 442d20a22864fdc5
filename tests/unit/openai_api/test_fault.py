"""A schema's fault is told at the place where the client wrote the schema."""

import pytest

from lakehouse.core.errors import InfraError, Refusal
from lakehouse.openai_api.fault import RequestFault, schema_fault

PARAM = "response_format.json_schema.schema"


@pytest.mark.parametrize("name", ["`schema`", "`output_schema`"])
def test_a_sessions_name_of_the_schema_becomes_the_clients(name: str):
    refusal = Refusal("invalid_schema", f"{name} is odd.", hint=f"Change {name}.")
    fault = schema_fault(refusal, PARAM)

    assert isinstance(fault, RequestFault)
    assert (fault.api_code, fault.param) == ("invalid_schema", PARAM)
    assert (fault.public, fault.hint) == (f"`{PARAM}` is odd.", f"Change `{PARAM}`.")


@pytest.mark.parametrize(
    ("error", "param"),
    [
        (Refusal("invalid_schema", "The kind's own."), None),
        (Refusal("unknown_model", "`schema` is no model."), PARAM),
        (InfraError("connect", "Away."), PARAM),
    ],
)
def test_other_errors_stay(error: Refusal | InfraError, param: str | None):
    assert schema_fault(error, param) is error
