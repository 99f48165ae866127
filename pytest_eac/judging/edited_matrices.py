"""Which matrices chains have edited: only over the same ones are relative deviations comparable."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pytest_eac.records.run import Chain

_SHOWN = 3


def different_matrices(chains: Mapping[str, Chain]) -> str | None:
    """Return which matrices only some chains have edited by their end; ``None`` if there are none.

    A relative deviation is a share of the norm of the edited matrices, so that two of them can be
    compared only if the matrices are the same. A chain that has changed nothing has deviation 0
    whatever the norm, and can be compared with any.

    Args:
        chains: the chains, by their names in the message.
    """
    edited = {
        name: set(chain.checkpoints[-1].deviation.by_parameter)
        for name, chain in chains.items()
        if chain.checkpoints[-1].deviation.by_parameter
    }
    if len({frozenset(each) for each in edited.values()}) < 2:
        return None
    by_all = set.intersection(*edited.values())
    by_set: dict[frozenset[str], list[str]] = {}
    for name, each in edited.items():
        by_set.setdefault(frozenset(each - by_all), []).append(name)
    parts = [f"{', '.join(names)}: {_listed(own)}" for own, names in by_set.items()]
    common = f" (besides {_listed(by_all)})" if by_all else ""
    return f"the chains edit different matrices{common}: {'; '.join(parts)}"


def _listed(matrices: Iterable[str]) -> str:
    names = sorted(matrices)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return (", ".join(names[:_SHOWN]) + more) or "nothing else"
