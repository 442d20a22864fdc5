"""Pages of a filter as files, which can be sent to somebody and opened without a server.

They are the application's own pages. Sessions beyond a limit have no page, and each page says so.
"""

import asyncio
import hashlib
import re
import shutil
import tempfile
from datetime import datetime
from html import escape
from pathlib import Path, PurePosixPath
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from lakehouse.core.errors import LakehouseError, SetupError
from lakehouse.transport.asgi import App, Message, Scope
from lakehouse.ui.address import BASE, Address
from lakehouse.ui.application import Pages
from lakehouse.ui.faults import Fault
from lakehouse.ui.filters import Criteria
from lakehouse.ui.rendering import STATIC
from lakehouse.ui.static_page import as_file, links_of

SESSIONS_DEFAULT: Final = 500
SESSIONS_MAX: Final = 10_000
MARK: Final = "lakehouse-export.json"
_LEFT_OUT: Final = frozenset({"query", "feedback"})  # they do something, which a file cannot
_PAGES_MAX: Final = 5_000  # beside those of sessions
_ASK_AGAIN_S: Final = 0.5
_INDEX_TRIES_MAX: Final = 1_200
_PLAIN_NAME: Final = re.compile(r"(?!x-)[0-9a-z][0-9a-z_-]{0,63}")
_KIND: Final = "/kind"  # whose name is in the filter, unlike that of other things
_LISTS: Final = ("/kinds", "/replays")

_Key = tuple[str, frozenset[tuple[str, str]]]
_Thing = tuple[str, str]


class ExportFailed(LakehouseError):
    """A page could not be made; nothing was written."""


class Exported(msgspec.Struct, frozen=True):
    """What was written: files, sessions with a page, sessions of the filter, entries left out."""

    files: int
    sessions: int
    matching: int
    left_out: tuple[str, ...]


class _Mark(msgspec.Struct, frozen=True):
    """What says that a directory is an export, and what belongs to it."""

    lakehouse_export: int
    files: tuple[str, ...]


async def export(
    pages: Pages, target: Path, criteria: Criteria, *, sessions_max: int, now: datetime
) -> Exported:
    """Write the pages of a filter into a directory, whole or not at all.

    Args:
        pages: The application; its log may be written meanwhile.
        target: A directory that is not there, is empty, or has an older export.
        criteria: The filter, as in the address of a page.
        sessions_max: How many sessions have a page; the newest.
        now: The time that the pages name.

    Raises:
        SetupError: The directory has other files, or the filter is refused.
        ExportFailed: A page cannot be shown.

    Cost: about 20 ms for each session.
    """
    target = _checked(target)
    site = _Site(pages, criteria, sessions_max)
    await site.crawl()
    place = Path(tempfile.mkdtemp(prefix=f".{target.name[:100]}.", dir=target.parent))
    try:
        files = await site.write(place, now)
        mark = _Mark(1, tuple(sorted([*files, MARK])))
        (place / MARK).write_bytes(msgspec.json.encode(mark))
        _put(place, target)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    titles = [page.title for page in pages.all if page.entry in _LEFT_OUT]
    left_out = tuple(dict.fromkeys(titles))
    return Exported(len(files) + 1, len(site.sessions), site.matching, left_out)


class _Site:
    """The pages of one export: what is in memory is all but the sessions'."""

    def __init__(self, pages: Pages, criteria: Criteria, sessions_max: int) -> None:
        self.sessions: dict[_Thing, str] = {}  # → the URL of its page
        self.matching = 0
        self._app = pages.app
        self._shown = [page for page in pages.all if page.entry not in _LEFT_OUT]
        self._address = Address("", criteria)
        self._sessions_max = sessions_max
        self._made: dict[_Key, tuple[str, str]] = {}  # → the file and the page
        self._files: dict[_Key, str] = {}
        self._details: dict[_Thing, str] = {}  # → the file of its page
        self._before: dict[_Key, str] = {}  # the file that a list's part goes on from
        self._static: set[str] = set()

    async def crawl(self) -> None:
        """Fetch all pages but those of sessions, and choose all files."""
        await self._count()
        lists = [page.path for page in self._shown if "{" not in page.path and page.path != _KIND]
        waiting = [self._address.to(path) for path in lists]
        while waiting:
            url = waiting.pop(0)
            key = _key(url)
            if key in self._made:
                continue
            if len(self._made) >= _PAGES_MAX:
                raise ExportFailed(
                    f"The filter has more than {_PAGES_MAX} pages beside those of sessions.",
                    hint="Narrow the filter, for example by time.",
                )
            page = await self._page(url)
            self._made[key] = self._files.setdefault(key, self._name(key)), page
            waiting += self._further(key, page)

    async def write(self, place: Path, now: datetime) -> list[str]:
        """Write all files; returns their names."""
        notice = self._notice(now)
        written: list[str] = []

        def put(name: str, key: _Key, page: str) -> None:
            text = as_file(page, lambda url, rel: self._resolve(url, rel, name, key), notice)
            path = place / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
            written.append(name)

        for key, (name, page) in self._made.items():
            put(name, key, page)
        for thing, url in self.sessions.items():
            put(self._details[thing], _key(url), await self._page(url))
        (place / "static").mkdir()
        for asset in sorted(self._static):
            (place / "static" / asset).write_bytes((STATIC / asset).read_bytes())
            written.append(f"static/{asset}")
        return written

    async def _count(self) -> None:
        """Count the filter's sessions, once the index has all of them."""
        url = self._address.file("json", "/sessions", limit=1)
        for _ in range(_INDEX_TRIES_MAX):
            found: dict[str, Any] = msgspec.json.decode(await self._fetch(url))["sessions"]
            if not found["progress"]["files_missing"]:
                self.matching = found["matching"]
                return
            if trouble := found["progress"]["index_trouble"]:
                message = f"The index of the log cannot be built: {trouble['message']}."
                raise ExportFailed(message, hint=trouble["hint"])
            await asyncio.sleep(_ASK_AGAIN_S)
        raise ExportFailed(
            "The index of the log is still being built.", hint="Run the command again later."
        )

    def _further(self, key: _Key, page: str) -> list[str]:
        """Return the pages that a page leads to, and choose the sessions that have one."""
        path, _ = key
        found = []
        for link in links_of(page):
            goal = _key(link.url)
            thing = _thing(goal)
            if thing[0] == "sessions" and path == "/sessions":
                if thing not in self.sessions and len(self.sessions) < self._sessions_max:
                    self.sessions[thing] = link.url
                    self._details[thing] = self._files[goal] = _detail_file(*thing)
            elif thing[0] == path[1:] and path in _LISTS:
                self._details[thing] = self._files[goal] = _detail_file(*thing)
                found.append(link.url)
            elif link.rel == "next" and goal[0] == path and self._goes_on(path):
                self._before[goal] = self._files[key]
                found.append(link.url.partition("#")[0])
        return found

    def _goes_on(self, path: str) -> bool:
        if path == "/sessions":
            return len(self.sessions) < self._sessions_max
        return path.startswith("/replays")

    def _name(self, key: _Key) -> str:
        path, _ = key
        first = self._details.get(_thing(key)) or (f"{path[1:]}.html" if path else "index.html")
        taken = set(self._files.values())
        stem = first.removesuffix(".html")
        number = 1
        while (name := first if number == 1 else f"{stem}.{number}.html") in taken:
            number += 1
        return name

    def _resolve(self, url: str, rel: str, own_file: str, own: _Key) -> str | None:
        """Return the relative link to a file; None if there is none."""
        if url.startswith("#"):
            return url
        parts = urlsplit(url)
        if parts.scheme or parts.netloc:
            return None
        if parts.path.startswith(f"{BASE}/static/"):
            asset = parts.path.rsplit("/", 1)[-1]
            if not (STATIC / asset).is_file():
                return None
            self._static.add(asset)
            return _relative(f"static/{asset}", own_file)
        key = _key(url)
        file = self._files.get(key) or self._details.get(_thing(key))
        if rel == "prev" and key[0] == own[0]:
            file = self._before.get(own)
        if file is None:
            return None
        return _relative(file, own_file) + (f"#{parts.fragment}" if parts.fragment else "")

    def _notice(self, now: datetime) -> str:
        criteria = " ".join(f"{name}={value}" for name, value in self._address.criteria)
        which = f"of the filter {criteria}" if criteria else "of the log"
        many = len(self.sessions) < self.matching
        count = f"the newest {len(self.sessions)} of {self.matching}" if many else "all"
        return (
            f'<p class="told">A copy of {now:%Y-%m-%d %H:%M} UTC {escape(which)}, with a page for '
            f"{count} sessions. It has prompts and answers. Times are UTC.</p>"
        )

    async def _page(self, url: str) -> str:
        return (await self._fetch(url)).decode()

    async def _fetch(self, url: str) -> bytes:
        status, body = await _get(self._app, url)
        if status == 200:
            return body
        try:
            fault = msgspec.json.decode(body, type=Fault)
        except msgspec.MsgspecError:
            raise ExportFailed(f"The page {url} cannot be shown (status {status}).") from None
        raise ExportFailed(f"The page {url} cannot be shown: {fault.detail}", hint=fault.hint)


def _key(url: str) -> _Key:
    """Name what a URL shows: the path below `BASE`, and the members that choose what is in it."""
    parts = urlsplit(url)
    path = unquote(parts.path.removeprefix(BASE))
    return path, frozenset(parse_qsl(parts.query, keep_blank_values=True))


def _thing(key: _Key) -> _Thing:
    """Return the list that a page of one thing belongs to, and its name; empty for other pages."""
    path, members = key
    if path == _KIND:
        return "kinds", dict(members).get("kind", "")
    parts = path.split("/")
    return (parts[1], parts[2]) if len(parts) == 3 and parts[2] else ("", "")


def _detail_file(kind: str, name: str) -> str:
    """Name a file, whatever the name of the thing: it stays in its directory, on every system."""
    plain = _PLAIN_NAME.fullmatch(name) is not None
    safe = name if plain else "x-" + hashlib.sha256(name.encode()).hexdigest()[:16]
    return f"{kind}/{safe}.html"


def _relative(file: str, own_file: str) -> str:
    return "../" * (len(PurePosixPath(own_file).parts) - 1) + file


async def _get(app: App, url: str) -> tuple[int, bytes]:
    """Ask the application, without a socket."""
    parts = urlsplit(url)
    scope: Scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": unquote(parts.path),
        "raw_path": parts.path.encode(),
        "query_string": parts.query.encode(),
        "root_path": "",
        "headers": [(b"host", b"localhost")],
        "state": {},
    }
    status = 0
    pieces: list[bytes] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
        else:
            pieces.append(message.get("body", b""))

    await app(scope, receive, send)
    return status, b"".join(pieces)


def _checked(target: Path) -> Path:
    """Accept a directory that holds nothing but, perhaps, an older export; returns its real path.

    Raises:
        SetupError: It holds something else.
    """
    target = target.expanduser().resolve()
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        return target
    if not target.is_dir():
        raise SetupError(f"{target} is not a directory.")
    found = {str(path.relative_to(target)) for path in target.rglob("*") if not path.is_dir()}
    others = sorted(found - _own_files(target))
    if others:
        raise SetupError(
            f"{target} has files that are of no export, such as {others[0]!r}.",
            hint="Name a new or empty directory, or one with an older export.",
        )
    return target


def _own_files(target: Path) -> set[str]:
    try:
        data = (target / MARK).read_bytes()
        return set(msgspec.json.decode(data, type=_Mark).files)
    except (OSError, msgspec.MsgspecError):
        return set()


def _put(place: Path, target: Path) -> None:
    """Put a directory in place; an older export goes only then."""
    old = place.with_name(f"{place.name}.old")
    if target.exists():
        target.rename(old)
    try:
        place.rename(target)
    except OSError:
        if old.exists():
            old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)
