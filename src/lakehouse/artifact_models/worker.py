"""The child program that validates artifacts with one type: artifacts on stdin, errors on stdout.

A separate process, because validators are the user's code: they may block, hold the interpreter
lock, print, or end the process, and none of that may stop sessions. Started by `checker.py`.

Lines of JSON. Out first: `{"ready": true}` or `{"failed": text}`. Then for each line in, an
artifact, one line out: `{"faults": [[place, message], …]}`, or `{"broken": text}` if a validator
raised an unexpected error. The end of stdin ends the program.
"""

import contextlib
import importlib
import os
import sys
from typing import Any, Final

import msgspec

from lakehouse.output_types.output_type import OutputType, output_type

_MESSAGE_CHARS_MAX: Final = 2_000


def main() -> None:
    """Keep stdout for the answers; what validators print goes to stderr."""
    outlet = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    try:
        type_ = output_type(find_model(sys.argv[1]))
    except BaseException as error:  # noqa: BLE001  whatever an import of the user's code does
        outlet.write(_line({"failed": _told(error)}))
        return
    outlet.write(_line({"ready": True}))
    for line in sys.stdin.buffer:
        outlet.write(_line(_answer(type_, line.rstrip(b"\n"))))


def find_model(reference: str) -> Any:
    """Import `package.module:Model`.

    Raises:
        ImportError: Or anything that the module's own code raises.
        AttributeError: The module holds no such name.
    """
    module, _, name = reference.partition(":")
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found


def _answer(type_: OutputType[Any], artifact: bytes) -> dict[str, object]:
    try:
        faults = type_.faults(artifact)
    except BaseException as error:  # noqa: BLE001  also what ends a program is a fault of the code
        return {"broken": _told(error)}
    return {"faults": [[list(fault.place), fault.message] for fault in faults]}


def _told(error: BaseException) -> str:
    text = ""
    with contextlib.suppress(Exception):
        text = str(error)
    return f"{type(error).__name__}: {text}"[:_MESSAGE_CHARS_MAX]


def _line(message: dict[str, object]) -> bytes:
    return msgspec.json.encode(message) + b"\n"


if __name__ == "__main__":
    main()
