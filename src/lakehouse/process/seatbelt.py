"""The macOS sandbox: writes in one directory only, no network, no programs.

`sandbox_init` is deprecated, but browsers rely on it. The caller tests it with a write afterwards.
"""

import ctypes
from pathlib import Path


def restrict(writable: Path, *, network: bool) -> None:
    """Permanently forbid writing outside `writable`.

    Raises:
        OSError: The system rejected it, or has no such call.
    """
    place = str(writable.resolve()).replace("\\", "\\\\").replace('"', '\\"')
    rules = ["(version 1)", "(allow default)", "(deny process-exec*)", "(deny file-write*)"]
    rules += [f'(allow file-write* (subpath "{place}"))']
    rules += [] if network else ["(deny network*)"]
    try:
        enter = ctypes.CDLL("/usr/lib/libSystem.B.dylib").sandbox_init
    except (OSError, AttributeError) as error:
        raise OSError("no sandbox_init") from error
    told = ctypes.c_char_p()
    if enter("".join(rules).encode(), ctypes.c_uint64(0), ctypes.byref(told)) != 0:
        raise OSError(f"sandbox_init: {(told.value or b'').decode('utf-8', 'replace')}")
