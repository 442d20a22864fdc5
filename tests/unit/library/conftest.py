"""Threads for checks, and the end of what hangs in them."""

import threading
from collections.abc import Iterator

import pytest

from lakehouse.library.check_threads import CheckThreads


@pytest.fixture
def threads() -> Iterator[CheckThreads]:
    made = CheckThreads()
    yield made
    made.close()


@pytest.fixture
def release() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()
