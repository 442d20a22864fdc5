"""Where each daemon listens."""

from lakehouse.config.checks import listen_address
from lakehouse.config.settings import CHATD_LISTEN, VALIDATORD_LISTEN, Config


def address_of(config: Config, role: str) -> tuple[str, int]:
    """Return the configured host and port of a role."""
    if role == "chatd":
        return listen_address(config.chatd.listen or CHATD_LISTEN)
    if role == "validatord":
        return listen_address(config.validatord.listen or VALIDATORD_LISTEN)
    return listen_address(config.gateway.listen)
