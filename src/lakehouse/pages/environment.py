"""Renders the templates of this package: every value is escaped, and a missing one is an error.

A page is one file without scripts and references. Its policy allows only its own style sheet, by
digest, so that a browser loads and runs nothing even if an escape was forgotten.
"""

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from lakehouse.pages.printable import printable

_STYLE: Final = "style.css"


def render(template: str, **values: Any) -> str:
    """Render a template of the package. `style` and `policy` are always set."""
    style = _style()
    digest = base64.b64encode(hashlib.sha256(style.encode("utf-8")).digest()).decode("ascii")
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    page = _environment().get_template(template)
    return page.render(style=Markup(style), policy=Markup(policy), **values)  # noqa: S704 - ours


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("lakehouse.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def _style() -> str:
    return (files("lakehouse.pages") / "templates" / _STYLE).read_text("utf-8")


def _shown(value: object) -> object:
    """Make texts printable before they are escaped; markup of our own stays as it is."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return printable(value)
    return value
