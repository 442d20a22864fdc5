"""SQL rules that a schema carries: the keyword `x-lakehouse-rules` at its root.

    {"type": "object", …, "x-lakehouse-rules": [{"sql": "SELECT $price > 0", "message": "…"}]}

They mean the same as `[[kinds.NAME.rules]]`. Only the schema of a configured kind may carry them,
or one that this process made: the code that loads such a schema takes them off before it compiles
it. So a schema of a request, which is compiled as it came, is refused with them
(`schema_grounding`).
"""

from typing import Final

import msgspec

from lakehouse.core.errors import SetupError
from lakehouse.core.json_text import ENCODER, parse_bytes
from lakehouse.core.kind import RULES_KEYWORD, SqlRule

_HINT: Final = f'Write "{RULES_KEYWORD}": [{{"sql": "SELECT $price > 0", "message": "why"}}].'


def without_rules(raw: bytes) -> tuple[bytes, tuple[SqlRule, ...]]:
    """Take the rules off a compact schema; the bytes of all its other members stay.

    Raises:
        SetupError: The keyword is malformed; names the place and the value.
    """
    root = parse_bytes(raw)
    if not isinstance(root, dict) or RULES_KEYWORD not in root:
        return raw, ()
    try:
        rules = msgspec.convert(root[RULES_KEYWORD], tuple[SqlRule, ...])
    except msgspec.ValidationError as error:
        told = str(error).replace("`", "'")
        raise SetupError(f"`{RULES_KEYWORD}`: {told}", hint=_HINT) from error
    members = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    kept = [(name, bytes(one)) for name, one in members.items() if name != RULES_KEYWORD]
    parts = [b"%b:%b" % (ENCODER.encode(name), value) for name, value in kept]
    return b"{%b}" % b",".join(parts), rules
