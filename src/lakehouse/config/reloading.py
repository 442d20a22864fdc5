"""What a running daemon cannot change: its address, its log, and which daemons there are."""

from typing import Final

from lakehouse.config.settings import Config
from lakehouse.core.errors import SetupError

_FIXED: Final = (
    "gateway.listen", "chatd.listen", "chatd.url", "chatd.api_key_env",
    "validatord.listen", "validatord.url", "validatord.api_key_env", "log.path", "log.durability",
    "log.table", "ui.enabled",
)  # fmt: skip


def check_reloadable(served: Config, fresh: Config) -> None:
    """Check that nothing differs that takes a restart.

    Raises:
        SetupError: Naming the field, and both values.
    """
    if served.has_keys != fresh.has_keys:
        raise SetupError(
            f"{fresh.source}: gateway.api_keys_env, gateway.api_keys_file: a reload changes keys, "
            "but not whether callers need one.",
            hint="Restart the daemon.",
        )
    for name in _FIXED:
        section, field = name.split(".")
        before, after = (getattr(getattr(each, section), field) for each in (served, fresh))
        if before != after:
            raise SetupError(
                f"{fresh.source}: {name}: a reload cannot change it from {before!r} to {after!r}.",
                hint="Restart the daemon, or put the former value back.",
            )
