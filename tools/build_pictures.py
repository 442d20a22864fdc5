"""Takes the two pictures of the README from a log that `make demo` left.

    make demo && .venv/bin/python tools/build_pictures.py demo-data/lakehouse-data/sessions

Needs Chromium: apt-get install chromium.
"""

import json
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

PICTURES = Path(__file__).parents[1] / "docs" / "pictures"
WIDTH, HEIGHT = 1120, 900
# A session that was rejected at first, and accepted once the model knew what was wrong.
STORY = "iterations_min=2&verdict=accepted&code=ungrounded&metadata.wave=feedback&limit=1"


def take(page: Page, url: str, name: str, height: int | None = None) -> None:
    page.goto(url)
    clip = None if height is None else {"x": 0, "y": 0, "width": WIDTH, "height": height}
    page.screenshot(path=PICTURES / f"{name}.png", full_page=True, clip=clip)  # type: ignore[arg-type]
    print(f"docs/pictures/{name}.png")


def main(log: str) -> None:
    browser_path = shutil.which("chromium")
    if browser_path is None:
        sys.exit("Chromium is missing: apt-get install chromium")
    PICTURES.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "lakehouse", "ui", "--log", log, "--listen", "127.0.0.1:0"]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as pages,
        sync_playwright() as playwright,
    ):
        try:
            assert pages.stdout is not None
            url = "http://" + pages.stdout.readline().split("http://", 1)[1].split()[0]
            url = url.removesuffix(".")
            with urllib.request.urlopen(f"{url}/sessions.json?{STORY}") as answer:
                (session,) = json.load(answer)["sessions"]["sessions"]
            browser = playwright.chromium.launch(
                executable_path=browser_path, args=["--no-sandbox"]
            )
            page = browser.new_page(
                viewport={"width": WIDTH, "height": HEIGHT}, timezone_id="UTC", locale="en-GB"
            )
            take(page, f"{url}/sessions/{session['row_id']}", "session", 1180)
            take(page, url, "overview")
            browser.close()
        finally:
            pages.terminate()


if __name__ == "__main__":
    main(sys.argv[1])
