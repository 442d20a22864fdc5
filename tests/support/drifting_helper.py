"""A parity helper with a planted drift: our own answers, changed as another runtime would.

python drifting_helper.py DRIFT
"""

import json
import os
import re
import signal
import sys
from collections.abc import Callable
from typing import Any

from lakehouse.core.row_codec import rewrite_row, seal


def resealed(line: str, change: Callable[[str], str]) -> str:
    """Change a row's text and give it a crc that holds."""
    body = change(line[:-18])
    return seal(body.encode("utf-8") + b"}").decode("utf-8")


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


def main() -> None:
    drift = sys.argv[1]
    for line in sys.stdin:
        request = json.loads(line)
        answer: dict[str, Any] = {"seq": request["seq"], "outcome": "result"}
        if drift == "crash":
            os._exit(9)
        if drift == "empty":
            answer["output"] = ""
        elif drift == "trivial":
            answer["output"] = "{}"
        elif drift == "no crc":
            answer["output"] = rewrite_row(request["input"].encode())[:-18].decode() + "}"
        elif drift == "wrong crc":
            output = rewrite_row(request["input"].encode()).decode()
            answer["output"] = output.replace('"crc":"', '"crc":"0', 1)[:-3] + '"}'
        elif drift == "silence":
            continue
        elif drift == "skips":
            answer |= {"outcome": "skipped", "reason": "not yet", "link": "https://example.invalid"}
        elif drift == "hang":
            signal.pause()
        else:
            output = rewrite_row(request["input"].encode()).decode()
            answer["output"] = resealed(output, DRIFTS[drift])
        print(json.dumps(answer), flush=True)


main()
