"""The child program that validates artifacts with one model: artifacts on stdin, errors on stdout.

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

from lakehouse.core.json_text import ENCODER, JsonValue, parse_bytes
from lakehouse.output_types.error_places import place_of

_FAULTS_MAX: Final = 200  # told of one answer
_MESSAGE_CHARS_MAX: Final = 2_000
_TOO_MANY_DIGITS: Final = "a number has too many digits to be checked: write it with at most 15"


def main() -> None:
    """Keep stdout for the answers; what validators print goes to stderr."""
    outlet = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    try:
        model = find_model(sys.argv[1])
    except BaseException as error:  # noqa: BLE001  whatever an import of the user's code does
        outlet.write(_line({"failed": _told(error)}))
        return
    outlet.write(_line({"ready": True}))
    for line in sys.stdin.buffer:
        outlet.write(_line(_answer(model, line.rstrip(b"\n"))))


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


def _answer(model: Any, raw: bytes) -> dict[str, object]:
    value = parse_bytes(raw)
    try:
        faults = _faults(model, raw, value)
        # Pydantic reads JSON numbers as doubles; as texts it reads every digit of them.
        exact = msgspec.json.encode(value)
        if exact != ENCODER.encode(value):
            try:
                more = _faults(model, exact, value, digits=True)
            except (TypeError, AttributeError):
                # It took the numbers, so it has no fault of its own: too many digits are the
                # answer's, and cannot be let through unchecked.
                more = [((), _TOO_MANY_DIGITS)]
            faults += [fault for fault in more if fault not in faults]
    except BaseException as error:  # noqa: BLE001  also what ends a program is a fault of the code
        return {"broken": _told(error)}
    return {"faults": [[list(place), message] for place, message in faults[:_FAULTS_MAX]]}


def _faults(
    model: Any, raw: bytes, value: JsonValue, *, digits: bool = False
) -> list[tuple[tuple[str | int, ...], str]]:
    from pydantic import ValidationError  # noqa: PLC0415  a dependency of the model, not ours

    try:
        model.model_validate_json(raw)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False)
    else:
        return []
    return [
        (
            place_of(value, one["loc"], kind=one["type"], quoted=one["input"]),
            one["msg"][:_MESSAGE_CHARS_MAX],
        )
        for one in found
        # A number that stands as text for its digits is of the wrong type only to us.
        if not (digits and one["type"].endswith("_type"))
    ]


def _told(error: BaseException) -> str:
    text = ""
    with contextlib.suppress(Exception):
        text = str(error)
    return f"{type(error).__name__}: {text}"[:_MESSAGE_CHARS_MAX]


def _line(message: dict[str, object]) -> bytes:
    return msgspec.json.encode(message) + b"\n"


if __name__ == "__main__":
    main()
