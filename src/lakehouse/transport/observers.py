"""Several observers as one, with a wall around each: what watches may fail, what works may not."""

import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

from lakehouse.core.observation import ModelCallEnded, Observer, RequestEnded, SessionEnded

_LOG = logging.getLogger(__name__)
_T = TypeVar("_T")


class Observers:
    """Tells each of its observers. A fault of one is logged, and reaches nobody else."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = observers

    def request(self, ended: RequestEnded) -> None:
        """Tell of a request."""
        for observer in self._observers:
            _guarded(observer.request, ended)

    def session(self, ended: SessionEnded) -> None:
        """Tell of a session."""
        for observer in self._observers:
            _guarded(observer.session, ended)

    def model_call(self, ended: ModelCallEnded) -> None:
        """Tell of a model call."""
        for observer in self._observers:
            _guarded(observer.model_call, ended)


def _guarded(tell: Callable[[_T], None], ended: _T) -> None:
    try:
        tell(ended)
    except Exception:  # noqa: BLE001  the boundary: the work that is told of has ended well
        _LOG.exception("an observer failed")
