"""The types of ASGI, the interface between the server and its application."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

HALF_CLOSED_STATE: Final = "half_closed"
"""In a scope's state, once the caller has closed its side: a browser does that when it goes."""
