"""Checks of this process's own code, added to the kind that judges a session."""

import msgspec

from lakehouse.core.kind import ArtifactCheck, Kind, ModelFault, OwnChecks


def with_own(kind: Kind, own: OwnChecks) -> Kind:
    """Return a kind with the rules and the check of this process beside its own."""
    check = own.check
    if check is not None and kind.model_check is not None:
        check = _Both(kind.model_check, check)
    return msgspec.structs.replace(
        kind,
        rules=(*kind.rules, *own.rules),
        model_check=check or kind.model_check,
        own=own.key,
    )


class _Both:
    """Two checks; the second reads only what the first accepts."""

    def __init__(self, first: ArtifactCheck, second: ArtifactCheck) -> None:
        self._first = first
        self._second = second

    async def faults(self, artifact: bytes) -> list[ModelFault]:
        return await self._first.faults(artifact) or await self._second.faults(artifact)

    def close(self) -> None:
        """Do nothing: both belong to somebody who closes them."""
