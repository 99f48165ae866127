"""Child processes of our own, which may be given a bound on memory."""

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

_CODE = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
_CODE += "from importlib import import_module as load; "
_CODE += "getattr(load(sys.argv[2]), 'serve')(*map(int, sys.argv[3:]))"


def started(module: str, *bounds: int, **options: Any) -> subprocess.Popen[str]:
    """Start the function ``serve`` of a module in a process of its own.

    Args:
        module: its whole name.
        bounds: the function's arguments.
        options: of :class:`subprocess.Popen`; the output is a pipe of UTF-8.
    """
    return subprocess.Popen(  # noqa: S603 - of our own
        [sys.executable, "-c", _CODE, json.dumps(sys.path), module, *map(str, bounds)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        encoding="utf-8",
        **options,
    )


def answer(found: object) -> None:
    """Write a line of JSON for the parent; called by the child."""
    sys.stdout.buffer.write(json.dumps(found).encode() + b"\n")
    sys.stdout.buffer.flush()


def limit_memory(more: int) -> None:
    """Limit how much more memory this process may take from now on.

    The limit is on the address space, where the system has such limits and reports its size.
    """
    with suppress(ImportError, OSError, ValueError):
        import resource

        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        limit = pages * os.sysconf("SC_PAGE_SIZE") + more
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
