"""`POST /v1/reload`: has the daemon read its configuration anew."""

from collections.abc import Awaitable, Callable, Collection

from lakehouse.core.config_state import ConfigState
from lakehouse.core.errors import Refusal, SetupError
from lakehouse.transport.response import Response, json_response
from lakehouse.transport.route import Call, Route, Routes


def reload_routes(
    reload: Callable[[], Awaitable[ConfigState]], admins: Collection[str] | None
) -> Routes:
    """Return the route that reloads.

    Args:
        reload: Reads the configuration anew and serves it; raises `SetupError` if it cannot.
        admins: Names of the API keys that may; None if the daemon has no keys.
    """

    async def reloaded(call: Call[None]) -> Response:
        if admins is not None and call.caller not in admins:
            raise Refusal(
                "unauthorized",
                f"The API key {call.caller!r} may not reload the configuration.",
                hint="Name it in [gateway] admin_keys, or send SIGHUP to the daemon.",
            )
        try:
            return json_response(await reload())
        except SetupError as error:
            raise Refusal("invalid_config", error.public, hint=error.hint) from error

    return (
        Route(
            method="POST",
            path="/v1/reload",
            handler=reloaded,
            summary="Read the configuration anew: kinds, schemas, tables, models, API keys.",
            reply=ConfigState,
            problems=frozenset({401, 422}),
        ),
    )
