"""What the workers of pytest-xdist share: a folder in which each finds what others have made."""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from pytest_eac.records.run import Chain, ChainKey, Record


class SharedFolder:
    """What one worker makes and all others find, each entry behind a lock.

    A worker holds the lock of an entry while it makes it. When that worker dies the lock is free
    again, and another worker makes the entry.

    Args:
        folder: ``None`` without pytest-xdist. A worker on another host does not reach the folder
            and makes everything itself.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def text(self, key: object, make: Callable[[], str]) -> str:
        """Return a text that the first worker to ask for it makes."""
        if self._folder is None or not self._folder.is_dir():
            return make()
        from pytest_eac.cache.folders import cached_text

        return cached_text(self._folder, sha256(repr(key).encode()).hexdigest(), make)

    def chain(self, key: ChainKey, run: Callable[[], Chain]) -> tuple[Chain, bool]:
        """Return a chain that the first worker to ask for it runs, and whether that was this one.

        Raises:
            Whatever ``run`` raises; the next worker then runs the chain itself.
        """
        if self._folder is None or not self._folder.is_dir():
            return run(), True
        from pytest_eac.records.json_files import from_json, to_json

        own: list[Chain] = []

        def make() -> str:
            own.append(run())
            return to_json(Record(environment={}, chains=tuple(own)))

        text = self.text(key, make)
        return (own[0], True) if own else (from_json(text).chains[0], False)
