"""Schema keywords that check nothing: misspelt ones, and those of other dialects.

JSON Schema treats an unknown keyword as an annotation. So `requried` or `nullable` check nothing,
and nobody notices; they are reported instead.
"""

from collections.abc import Iterator
from typing import Final

from lakehouse.core.json_text import JsonValue, pointer
from lakehouse.core.kind import GROUNDING_KEYWORD, RULES_KEYWORD
from lakehouse.validation.raw_tree import Place
from lakehouse.validation.schema_document import HOLD_NAMED, HOLD_ONE, LISTED, children

_ASSERTING: Final = frozenset(
    {
        *("$dynamicRef", "$ref", "const", "dependentRequired", "enum", "exclusiveMaximum"),
        *("exclusiveMinimum", "format", "maxContains", "maxItems", "maxLength", "maxProperties"),
        *("maximum", "minContains", "minItems", "minLength", "minProperties", "minimum"),
        *("multipleOf", "pattern", "required", "type", "uniqueItems"),
    }
)
_REMARKS: Final = frozenset(
    {
        *("$anchor", "$comment", "$dynamicAnchor", "$id", "$schema", "$vocabulary"),
        *("contentEncoding", "contentMediaType", "default", "deprecated", "description"),
        *("example", "examples", "readOnly", "title", "writeOnly"),
    }
)
_CHECKS: Final = sorted(
    HOLD_ONE | HOLD_NAMED | LISTED | _ASSERTING | {GROUNDING_KEYWORD, RULES_KEYWORD}
)
# What other dialects check by, and JSON Schema 2020-12 does not.
_INSTEAD: Final = {
    "additionalItems": "`items` after `prefixItems`",
    "dependencies": "`dependentRequired` or `dependentSchemas`",
    "divisibleBy": "`multipleOf`",
    "extends": "`allOf`",
    "id": "`$id`",
    "disallow": "`not`",
    "nullable": '`"type": ["string", "null"]`, say',
    "$recursiveRef": "`$dynamicRef`",
    "optional": "`required` of the object, without the name",
}
_FINDINGS_MAX: Final = 20


def idle_keywords(schema: JsonValue) -> list[str]:
    """List keywords that look like checks but have no effect, with what was probably meant.

    Custom keywords that resemble no standard one are not reported. At most `_FINDINGS_MAX`.
    """
    found = []
    for place, keyword in _keywords(schema, ()):
        instead = _INSTEAD.get(keyword)
        if instead is None and keyword not in _REMARKS and keyword not in _CHECKS:
            meant = _meant(keyword)
            instead = None if meant is None else f"`{meant}`"
        if instead is not None:
            where = pointer(*place, keyword)
            found.append(
                f"{where!r} checks nothing: JSON Schema has no such keyword; use {instead}"
            )
        if len(found) == _FINDINGS_MAX:
            break
    return found


def _meant(keyword: str) -> str | None:
    """Find the keyword that this one misspells: by case, by a letter or two, or by their order."""
    from rapidfuzz.distance import OSA  # noqa: PLC0415  only where a keyword is unknown

    written = keyword.casefold()
    distance, meant = min((OSA.distance(written, known.casefold()), known) for known in _CHECKS)
    letters_max = 1 if len(meant) < 6 else 2
    misspelt = distance <= letters_max or sorted(written) == sorted(meant.casefold())
    return meant if misspelt else None


def _keywords(schema: JsonValue, place: Place) -> Iterator[tuple[Place, str]]:
    """Walk the schemas of a document, and give the keywords of each."""
    if not isinstance(schema, dict):
        return
    for keyword, value in schema.items():
        yield place, keyword
        for here, part in children({keyword: value}, place):
            yield from _keywords(part, here)
