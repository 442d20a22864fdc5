"""What a finding expects, with references replaced by their targets.

A model that gets a finding cannot see the schema document, so `{"$ref":"#/$defs/Cat"}` says nothing
to it. All other bytes stay the same.
"""

from lakehouse.core.limits import EXPECTED_RESOLVED_BYTES_MAX
from lakehouse.validation.raw_tree import Place, RawTree
from lakehouse.validation.schema_document import (
    LISTED,
    NAMED,
    REFERENCES,
    SINGLE,
    SchemaDocument,
)
from lakehouse.validation.schema_tags import Constants


class _TooLong(Exception):
    """The resolved form would be longer than anybody reads."""


class ExpectedText:
    """Writes what keywords of one schema expect. Cost: linear in what is written."""

    def __init__(self, document: SchemaDocument, raw: RawTree) -> None:
        self._document = document
        self._raw = raw

    def of_constants(self, constants: Constants) -> bytes:
        """Write the values that a member may have as the list of an `enum`."""
        return b"[%b]" % b",".join(map(self._raw.at, constants.places))

    def of(self, place: Place) -> bytes:
        """Write the value of a keyword, given its place.

        Unchanged if it has no subschemas, if a reference is recursive, or if the resolved form
        would exceed `EXPECTED_RESOLVED_BYTES_MAX` bytes.
        """
        value = self._raw.at(place)
        if not any(b'"%b"' % keyword.encode() in value for keyword in REFERENCES):
            return value
        writing = _Writing(self._document, self._raw)
        try:
            writing.keyword(place, ())
        except _TooLong:
            return value
        return b"".join(writing.parts)


class _Writing:
    def __init__(self, document: SchemaDocument, raw: RawTree) -> None:
        self.parts: list[bytes] = []
        self._document = document
        self._raw = raw
        self._left = EXPECTED_RESOLVED_BYTES_MAX

    def _write(self, part: bytes) -> None:
        self._left -= len(part)
        if self._left < 0:
            raise _TooLong
        self.parts.append(part)

    def keyword(self, place: Place, opened: tuple[Place, ...]) -> None:
        """Write the value of the keyword that stands at a place."""
        keyword = place[-1]
        if keyword in SINGLE:
            self._schema(place, opened)
        elif keyword in LISTED:
            self._write(b"[")
            for index in range(self._raw.length(place)):
                self._write(b"," if index else b"")
                self._schema((*place, index), opened)
            self._write(b"]")
        elif keyword in NAMED:
            self._write(b"{")
            for index, (name, token) in enumerate(self._raw.names(place)):
                self._write(b",%b:" % token if index else b"%b:" % token)
                self._schema((*place, name), opened)
            self._write(b"}")
        else:
            self._write(self._raw.at(place))

    def _schema(self, place: Place, opened: tuple[Place, ...]) -> None:
        node = self._document.at(place)
        if isinstance(node, bool):
            self._write(self._raw.at(place))
            return
        reference = self._reference(place, opened)
        if reference is not None and len(node) == 1:
            self._schema(reference[1], (*opened, reference[1]))
            return
        self._write(b"{")
        for index, (name, token) in enumerate(self._raw.names(place)):
            self._write(b"," if index else b"")
            if reference is not None and name == reference[0]:
                self._write(b'"allOf":[')
                self._schema(reference[1], (*opened, reference[1]))
                self._write(b"]")
            else:
                self._write(b"%b:" % token)
                self.keyword((*place, name), opened)
        self._write(b"}")

    def _reference(self, place: Place, opened: tuple[Place, ...]) -> tuple[str, Place] | None:
        """Return the reference of a subschema that can be replaced, and where it leads."""
        node = self._document.at(place)
        assert isinstance(node, dict)
        keywords = [keyword for keyword in REFERENCES if keyword in node]
        if len(keywords) != 1 or (len(node) > 1 and "allOf" in node):
            return None
        target = self._document.target(place, keywords[0])
        return None if target in opened else (keywords[0], target)
