"""The order of collection: results are written in it, in whatever order workers end."""

from collections.abc import Callable, Iterable, Sequence
from math import inf
from os.path import normpath
from typing import TypeVar

import pytest

Found = TypeVar("Found")


class CollectionOrder:
    """Where each chain and comparison stands in the order of collection."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._places: dict[tuple[str, ...], int] = {}

    def note(self, nodeids: Sequence[str]) -> None:
        """Note the items that were collected, in their order."""
        for place, nodeid in enumerate(nodeids):
            name, *parts = nodeid.split("::")
            file = normpath(self._config.rootpath / name)
            for end in range(1, len(parts) + 1):
                self._places.setdefault((file, *parts[:end]), place)

    def sorted(
        self, found: Iterable[Found], node: Callable[[Found], tuple[str, ...]]
    ) -> tuple[Found, ...]:
        """Return what was found in the order of its nodes; what was not collected comes last.

        Args:
            found: anything that belongs to a node.
            node: returns the spec and the names of that node.
        """
        here = self._config.invocation_params.dir

        def place(each: Found) -> float:
            spec, *parts = node(each)
            return self._places.get((normpath(here / spec), *parts), inf)

        return tuple(sorted(found, key=place))
