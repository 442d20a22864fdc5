"""What the configuration says of one table; apart, so that reading it loads no table engine."""

import msgspec


class TableSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[tables.NAME]` of the configuration. `path` is absolute, or relative to the process."""

    path: str
