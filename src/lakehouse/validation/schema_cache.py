"""Compiled schemas by what they are made of."""

from collections import OrderedDict
from collections.abc import Callable

from lakehouse.core.kind import FormatMode, Kind
from lakehouse.core.limits import SCHEMAS_CACHED_BYTES_MAX, SCHEMAS_CACHED_MAX
from lakehouse.validation.schema import CompiledSchema, compile_schema


class SchemaCache:
    """Compiled schemas by their bytes; the least recently used is evicted first.

    Limited by count and by memory, because callers send their own schemas.
    """

    def __init__(
        self, *, count_max: int = SCHEMAS_CACHED_MAX, bytes_max: int = SCHEMAS_CACHED_BYTES_MAX
    ) -> None:
        self._count_max = count_max
        self._bytes_max = bytes_max
        self._bytes = 0
        self._schemas: OrderedDict[tuple[object, ...], CompiledSchema] = OrderedDict()

    def __len__(self) -> int:
        return len(self._schemas)

    def of(self, kind: Kind) -> CompiledSchema:
        """Return the compiled schema of a kind, its formats asserted as the kind says."""
        return self.get(bytes(kind.schema), kind.formats)

    def get(self, raw: bytes, formats: FormatMode = "off") -> CompiledSchema:
        """Return the compiled schema, compiling it if it is not cached.

        Raises:
            Refusal: `invalid_schema`; failures are not cached.
        """
        return self.kept((raw, formats), lambda: compile_schema(raw, formats))

    def kept(self, key: tuple[object, ...], make: Callable[[], CompiledSchema]) -> CompiledSchema:
        """Return what is kept under a key, making it if it is not; a failure is not kept.

        A key is all that the schema is made of, of no more bytes than the schema.
        """
        schema = self._schemas.get(key)
        if schema is not None:
            self._schemas.move_to_end(key)
            return schema
        schema = self._schemas[key] = make()
        self._bytes += schema.cost_bytes
        while len(self._schemas) > self._count_max or (
            self._bytes > self._bytes_max and len(self._schemas) > 1
        ):
            _, oldest = self._schemas.popitem(last=False)
            self._bytes -= oldest.cost_bytes
        return schema
