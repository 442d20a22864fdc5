"""Closes locks in a forked child: a copy of a lock would keep its dead owner alive."""

import os
import weakref
from typing import Protocol


class Held(Protocol):
    """Something that a child of this process must not hold."""

    def abandon_in_child(self) -> None:
        """Close what the child has of it; the parent's stays as it is."""


_HELD: "weakref.WeakSet[Held]" = weakref.WeakSet()


def watch(held: Held) -> None:
    """Have it abandoned in every child that is forked from now on."""
    _HELD.add(held)


def forget(held: Held) -> None:
    """Watch it no more."""
    _HELD.discard(held)


def _abandon_all() -> None:
    for held in list(_HELD):
        held.abandon_in_child()


os.register_at_fork(after_in_child=_abandon_all)
