"""A parity helper with a planted drift: our own answers, changed as another runtime would.

python drifting_helper.py DRIFT
"""

import base64
import json
import os
import re
import signal
import sys
from collections.abc import Callable
from typing import Any

import msgspec

from lakehouse.cli.parity_helper import _answer, _service
from lakehouse.core.row_codec import RowError, add_crc, rewrite_row
from lakehouse.validatord.service import ValidatorService


def resealed(line: str, change: Callable[[str], str]) -> str:
    """Change a row's text and give it a crc that holds."""
    body = change(line[:-18])
    return add_crc(body.encode("utf-8") + b"}").decode("utf-8")


def reordered(text: str) -> str:
    return re.sub(r'("verdict":"[^"]*"),("iterations":\d+)', r"\2,\1", text)


def rewritten(text: str) -> str:
    """Be a runtime that reads into a map and lets its JSON library write: 1.10 becomes 1.1."""
    value = json.loads(text + "}")
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)[:-1]


DRIFTS: dict[str, Callable[[str], str]] = {
    "html escaping": lambda text: text.replace("<", "\\u003c").replace("&", "\\u0026"),
    "float rounding": rewritten,
    "renamed member": lambda text: text.replace('"row_id"', '"rowId"', 1),
    "null for missing": lambda text: text.replace(
        '"path":"/airport"', '"path":"/airport","nearest":null'
    ),
    "key order": reordered,
    "integer as float": lambda text: re.sub(r'"duration_ms":(\d+)', r'"duration_ms":\1.0', text),
    "timestamp precision": lambda text: re.sub(
        r'("timestamp":"[^".]*\.\d{3})\d{3}Z"', r'\1Z"', text
    ),
    "ascii escapes": lambda text: text.replace("Ø", "\\u00d8"),
    "lost unknown member": lambda text: re.sub(r',"reviewed_by":[^,}]*', "", text),
    "white space": lambda text: text.replace('","', '", "', 1),
    "missing member": lambda text: re.sub(r'"conversation_id":[^,]*,', "", text),
    "none": lambda text: text,
}


# Of the validator: replies of ours, changed likewise.
REPLY_DRIFTS: dict[str, Callable[[str], str]] = {
    "none": lambda text: text,
    "html escaping": lambda text: text.replace("&", "\\u0026"),
    "float rounding": lambda text: text.replace("1.10", "1.1"),
    "lost nearest": lambda text: re.sub(r',"nearest":\[[^\]]*\]', "", text),
    "lost finding": lambda text: changed_findings(text, slice(0, -1)),
    "findings reversed": lambda text: changed_findings(text, slice(None, None, -1)),
    "grounded forgotten": lambda text: text.replace('"grounded":false', '"grounded":null'),
    "accepts all": lambda text: text.replace('"rejected"', '"accepted"'),
    "no path": lambda text: re.sub(r'"path":"[^"]*",', "", text),
}


def changed_findings(text: str, which: slice) -> str:
    reply = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    findings = msgspec.json.decode(reply["findings"], type=list[msgspec.Raw])
    reply["findings"] = msgspec.Raw(msgspec.json.encode(findings[which]))
    return msgspec.json.encode(reply).decode()


def judged(request: dict[str, str], drift: str, service: ValidatorService) -> dict[str, Any]:
    answer = _answer(json.dumps(request).encode("utf-8"), service)
    if answer["outcome"] == "result":
        answer["output"] = REPLY_DRIFTS[drift](str(answer["output"]))
    return answer


def input_of(request: dict[str, str]) -> bytes:
    if "input_base64" in request:
        return base64.b64decode(request["input_base64"])
    return request["input"].encode("utf-8")


def main() -> None:
    sys.set_int_max_str_digits(0)  # a drift that reads numbers reads them all
    drift = sys.argv[1]
    service = _service()
    for line in sys.stdin:
        request = json.loads(line)
        if request["suite"] == "validator":
            print(json.dumps(judged(request, drift, service)), flush=True)
            continue
        answer: dict[str, Any] = {"seq": request["seq"], "outcome": "result"}
        if drift == "crash":
            os._exit(9)
        try:
            row = rewrite_row(input_of(request)).decode()
        except RowError as error:
            print(json.dumps({"seq": request["seq"], "outcome": "errored", "message": str(error)}))
            continue
        if drift == "empty":
            answer["output"] = ""
        elif drift == "trivial":
            answer["output"] = "{}"
        elif drift == "no crc":
            answer["output"] = row[:-18] + "}"
        elif drift == "wrong crc":
            answer["output"] = row.replace('"crc":"', '"crc":"0', 1)[:-3] + '"}'
        elif drift == "silence":
            continue
        elif drift == "skips":
            answer |= {"outcome": "skipped", "reason": "not yet", "link": "https://example.invalid"}
        elif drift == "hang":
            signal.pause()
        else:
            answer["output"] = resealed(row, DRIFTS[drift])
        print(json.dumps(answer), flush=True)


main()
