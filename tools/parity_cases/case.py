"""One fixture as it is written by hand, and how its file looks.

No runtime has a part in this: texts are put together as bytes, and a `crc` is CRC-32.
"""

import base64
import json
import zlib
from typing import NamedTuple


class Case(NamedTuple):
    """One fixture. `expected` None: the input must be refused. `why` gives the contract's words."""

    name: str
    about: str
    why: str
    came: str | bytes
    expected: str | None


def file_of(suite: str, case: Case) -> str:
    """Write the fixture's file."""
    members: dict[str, str] = {
        "name": case.name,
        "suite": suite,
        "about": case.about,
        "why": case.why,
    }
    if isinstance(case.came, bytes):
        members["input_base64"] = base64.b64encode(case.came).decode("ascii")
    else:
        members["input"] = case.came
    if case.expected is None:
        members["outcome"] = "errored"
    else:
        members["expected"] = case.expected
    return json.dumps(members, ensure_ascii=False, indent=2) + "\n"


def sealed(body: str) -> str:
    """End a row, given without its closing brace, in its `crc`."""
    return f'{body},"crc":"{zlib.crc32(body.encode("utf-8")):08x}"}}'


def obj(members: dict[str, str]) -> str:
    """Write an object of JSON texts."""
    return "{" + ",".join(f'"{name}":{text}' for name, text in members.items()) + "}"


def items(*texts: str) -> str:
    """Write an array of JSON texts."""
    return "[" + ",".join(texts) + "]"
