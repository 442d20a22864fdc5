"""The Python helper of the parity protocol: JSON lines on stdin, answers on stdout.

python -m lakehouse.cli.parity_helper
"""

import asyncio
import base64
import sys
from typing import Literal

import msgspec

from lakehouse.chatd.service import ChatService
from lakehouse.core.errors import LakehouseError
from lakehouse.core.ports import ValidateRequest
from lakehouse.core.row_codec import RowError, rewrite_row
from lakehouse.engine.task import Catalog
from lakehouse.grounding.no_tables import NoTables
from lakehouse.sessionlog.writing.memory import MemoryLog
from lakehouse.transport.request_body import decode
from lakehouse.validation.schema import SchemaCache
from lakehouse.validatord.service import ValidatorService


class _Request(msgspec.Struct):
    seq: int
    suite: Literal["session_log", "validator"]
    input: str | None = None
    input_base64: str | None = None


def main() -> None:
    """Answer every line until the input ends."""
    service = _service()
    for line in sys.stdin.buffer:
        if line.strip():
            sys.stdout.buffer.write(msgspec.json.encode(_answer(line, service)) + b"\n")
    sys.stdout.buffer.flush()


def _answer(line: bytes, service: ValidatorService) -> dict[str, object]:
    request = msgspec.json.decode(line, type=_Request)
    if request.input_base64 is not None:
        data = base64.b64decode(request.input_base64)
    else:
        data = (request.input or "").encode("utf-8")
    try:
        if request.suite == "session_log":
            output = rewrite_row(data)
        else:
            reply = asyncio.run(service.validate(decode(data, ValidateRequest)))
            output = msgspec.json.encode(reply)
    except (RowError, LakehouseError) as error:
        return {"seq": request.seq, "outcome": "errored", "message": str(error), "context": ""}
    return {"seq": request.seq, "outcome": "result", "output": output.decode("utf-8")}


def _service() -> ValidatorService:
    catalog = Catalog(kinds={}, models={}, config_digest="", schemas=SchemaCache())
    return ValidatorService(catalog, chat=ChatService({}, {}), tables=NoTables(), sink=MemoryLog())


if __name__ == "__main__":
    main()
