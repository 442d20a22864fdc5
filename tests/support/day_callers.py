"""Callers of a stack through a whole day: each call has a name, and its outcome is kept."""

import http.client
import itertools
import json
import threading
from collections.abc import Sequence
from typing import Final

from support.waiting import WAIT_S

_ALTERNATE: Final = 2  # every other caller keeps its connection


class DayCallers:
    """Threads that call on and on until `end`, half of them on connections that stay open.

    `answered` has the status of each call that was answered, by its name; `cut` the names of those
    whose connection ended before the answer, and `refused` those that could not connect.
    """

    def __init__(self, port: int, secret: str, kinds: Sequence[str], callers: int) -> None:
        self.answered: dict[str, int] = {}
        self.cut: list[str] = []
        self.refused: list[str] = []
        self.statuses: dict[str, set[int]] = {kind: set() for kind in kinds}
        self._port = port
        self._secret = secret
        self._numbers = itertools.count()
        self._ended = threading.Event()
        self._threads = [
            threading.Thread(target=self._call_on, args=(kinds[each % len(kinds)], each))
            for each in range(callers)
        ]
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """Let the calls under way be answered, and begin no other."""
        self._ended.set()
        for thread in self._threads:
            thread.join(WAIT_S)

    def _call_on(self, kind: str, caller: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=WAIT_S)
        while not self._ended.is_set():
            name = f"day-{next(self._numbers)}"
            try:
                if connection.sock is None:
                    connection.connect()
            except ConnectionRefusedError:
                self.refused.append(name)
                return
            try:
                status = self._one(connection, kind, name)
            except (OSError, http.client.HTTPException):
                self.cut.append(name)
                connection.close()
                continue
            self.answered[name] = status
            self.statuses[kind].add(status)
            if caller // 2 % _ALTERNATE:
                connection.close()
        connection.close()

    def _one(self, connection: http.client.HTTPConnection, kind: str, name: str) -> int:
        headers = {
            "Authorization": f"Bearer {self._secret}",
            "Content-Type": "application/json",
            "X-Lakehouse-Trace-Id": name,
        }
        body = json.dumps({"kind": kind, "prompt": "x", "max_iterations": 1})
        connection.request("POST", "/v1/iterate", body, headers)
        answer = connection.getresponse()
        answer.read()
        if answer.headers.get("connection") == "close":
            connection.close()
        return answer.status
