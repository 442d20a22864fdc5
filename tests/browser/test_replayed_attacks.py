"""The page of a replay whose new answers are attacks: each is a text beside the old answer."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from browser.conftest import Visit
from support.page_shape import elements, fetched, hidden_characters, made_by_texts
from support.visited_stacks import running_on_replayed_attacks
from support.watched_browser import Watch


@pytest.mark.timeout(600)
def test_flips_show_attacks_as_texts(visit: Visit, watch: Watch, tmp_path: Path):
    with ExitStack() as running:
        here, there = (
            running.enter_context(
                running_on_replayed_attacks(tmp_path / str(harmless), harmless=harmless)
            )
            for harmless in (False, True)
        )
        hostile, harmless = visit(here.split("/ui")[0]), visit(there.split("/ui")[0])
        harmless.go("/ui/login")
        path, shown = "/ui" + here.split("/ui")[1], 0
        twin_path = "/ui" + there.split("/ui")[1]
        while path:
            hostile.go(path)
            status, twin_elements = fetched(harmless.page, twin_path)
            assert status == 200
            assert made_by_texts(elements(hostile.page), twin_elements) == [], path
            assert hidden_characters(hostile.page) == [], path
            shown += hostile.page.content().count("pwn()")
            following = hostile.page.locator("a[rel=next]")
            path = following.get_attribute("href") or "" if following.count() else ""
            twin_path = path.replace(here.rsplit("/", 1)[1], there.rsplit("/", 1)[1])
    assert shown > 100
    assert watch.attacks == []
