"""The unnamed kinds of callers' schemas, and what judges the answers of a session."""

import hashlib
from collections import OrderedDict

import msgspec

from lakehouse.core.json_text import NULL, compact, parse
from lakehouse.core.kind import FormatMode, Kind, kind_digest
from lakehouse.core.limits import INLINE_DIGESTS_CACHED_MAX
from lakehouse.validation.joint_schema import joint_schema
from lakehouse.validation.schema import CompiledSchema, SchemaCache, check_schema_size


def inline_kind(
    schema: msgspec.Raw,
    *,
    system: str | None,
    max_iterations: int,
    model: str,
    assert_formats: bool = False,
) -> Kind:
    """Build the unnamed kind of an inline schema: no rules, no grounding but what it carries.

    What it carries is added once the schema is compiled (`carried.py`); the digest covers it.

    Raises:
        Refusal: `invalid_schema` if it is too large; the schema cache finds every other fault
            of it later.
    """
    raw = compact(bytes(schema).decode("utf-8"))
    check_schema_size(raw)
    formats: FormatMode = "known" if assert_formats else "off"
    return Kind(
        name=None,
        schema=msgspec.Raw(raw),
        system=system,
        grounding=(),
        rules=(),
        max_iterations=max_iterations,
        model=model,
        digest=_inline_digest(raw, system, max_iterations, model, formats),
        formats=formats,
    )


def judging_schema(
    kind: Kind, inline_schema: msgspec.Raw, schemas: SchemaCache, *, assert_formats: bool
) -> CompiledSchema:
    """Return what judges the answers of a session, from its kind and its row's `inline_schema`.

    `assert_formats` is what the request says; a kind that asserts formats does so in any case.

    Raises:
        Refusal: `invalid_schema`: see `joint_schema`.
    """
    formats: FormatMode = "known" if assert_formats and kind.formats == "off" else kind.formats
    if kind.name is None or inline_schema == NULL:
        return schemas.get(bytes(kind.schema), formats)
    return joint_schema(schemas, kind, bytes(compacted_schema(inline_schema)), formats)


_inline_digests: OrderedDict[bytes, str] = OrderedDict()


def _inline_digest(
    schema: bytes, system: str | None, max_iterations: int, model: str, formats: FormatMode
) -> str:
    """Return the digest of an inline kind, cached for identical requests.

    The cache stores the caller's texts as hashes: an entry takes about 250 bytes.
    """
    asked = msgspec.msgpack.encode((schema, system, max_iterations, model, formats))
    key = hashlib.sha256(asked).digest()
    digest = _inline_digests.get(key)
    if digest is None:
        digest = _inline_digests[key] = kind_digest(
            parse(schema.decode("utf-8")),
            system=system,
            grounding=(),
            rules=(),
            max_iterations=max_iterations,
            model=model,
            grown={} if formats == "off" else {"assert_formats": True},
        )
        if len(_inline_digests) > INLINE_DIGESTS_CACHED_MAX:
            _inline_digests.popitem(last=False)
    return digest


def compacted_schema(schema: msgspec.Raw) -> msgspec.Raw:
    """Return a schema without white space between its tokens, as rows have it."""
    return msgspec.Raw(compact(bytes(schema).decode("utf-8")))
