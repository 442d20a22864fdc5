"""Renders the templates: every value is escaped, and what hides in a text is shown.

A template reads `page` (the model), `here` (the `Address`) and `site` (what all pages share).
"""

import hashlib
from functools import cache
from importlib.resources import files
from typing import Any, Final

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from lakehouse import __version__
from lakehouse.core.visible import fully_visible
from lakehouse.ui import charts, grouping, result_charts, texts
from lakehouse.ui.address import BASE, Address
from lakehouse.ui.offered_names import Offers
from lakehouse.ui.replays import replay_figures

STATIC: Final = files("lakehouse.ui") / "static"
_DIGEST_CHARS: Final = 12


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """What all pages share. `entry` is the open one of the navigation.

    `with_stack`: there is a stack, which takes feedback. `caller` is the name of the key, empty
    without keys. `form_token` goes into every form that writes. `offers` are names for the filter.
    """

    entry: str
    title: str
    with_stack: bool
    caller: str
    form_token: str
    with_keys: bool
    filters: bool
    offers: Offers = msgspec.field(default_factory=dict)
    version: str = __version__


def render(template: str, page: object, here: Address, site: Site) -> str:
    """Render one template of the package."""
    return environment().get_template(template).render(page=page, here=here, site=site)


def fragment(template: str, page: object, here: Address) -> str:
    """Render a part of a page, which needs nothing that all pages share."""
    return environment().get_template(template).render(page=page, here=here)


@cache
def environment() -> Environment:
    """Return the environment of all templates."""
    made = Environment(
        loader=PackageLoader("lakehouse.ui"),
        autoescape=True,
        auto_reload=False,  # a newer version may be installed under a running server
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(texts.FILTERS)
    made.globals.update(
        BASE=BASE,
        static=static_url,
        charts=charts,
        grouping=grouping,
        result_charts=result_charts,
        replay_figures=replay_figures,
    )
    return made


@cache
def static_url(name: str) -> str:
    """Return the URL of a file beside the pages; it changes with the file."""
    digest = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:_DIGEST_CHARS]
    return f"{BASE}/static/{name}?v={digest}"


def is_current(name: str, query: str) -> bool:
    """Return whether a URL's query is that of `static_url` now, so that it may be kept."""
    known = query.startswith("v=") and (STATIC / name).is_file()
    return known and static_url(name).endswith(f"?{query}")


def _shown(value: Any) -> Any:
    if value is None:
        return ""
    return (
        fully_visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value
    )
