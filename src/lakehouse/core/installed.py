"""Finds out at start whether a package is there that is imported only later."""

from importlib.util import find_spec

from lakehouse.core.errors import SetupError


def check_installed(purpose: str, *packages: str, extra: str | None = None) -> None:
    """Refuse to start without the packages that something needs. Imports none of them.

    Args:
        purpose: What needs them, as the subject of a sentence: "The browser's pages".
        packages: Their import names, without dots.
        extra: The extra that installs them; None: lakehouse-stack itself does.

    Raises:
        SetupError: One is not installed.
    """
    for package in packages:
        if find_spec(package) is None:
            raise SetupError(
                f"{purpose} need the package {package!r}, which is not installed.",
                hint=extra_hint(extra)
                if extra
                else "Install lakehouse-stack again, with its dependencies.",
            )


def extra_hint(extra: str) -> str:
    """Say how an extra is installed, from an index and from a clone."""
    return f"pip install 'lakehouse-stack[{extra}]'; in a clone of it: pip install '.[{extra}]'"
