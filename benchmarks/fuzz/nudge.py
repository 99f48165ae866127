"""Values that change into others of their kind, so that an input is right but for what it says."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import random

_WHOLE = (0, 1, 2, 3, 4, -1, 10**6, 2**63 - 1, 2**63, 10**30)
_NUMBERS = (
    *(0.0, 1.0, 0.5, 0.999999, 5e-324, 1e-60, 1e-30, 1e-9, 1e30, 1e60, 1e200, 1e300, 1e308),
    *(-0.0, -1.0, -1e300, 2),
)
_TEXTS = ("", "x", "\n::error::x", "\0", "rome", "perplexity", "ab" * 32)
_NOTHING: tuple[Any, ...] = (0, 1, 0.5, 0.0, "x", "already held", -1, [], {})
_DEEPER = 0.9


def nudged(rng: random.Random, value: Any) -> Any:
    """Return a copy in which a few values are others of the same kind.

    The way to a value is drawn step by step, so that what there is one of is changed as often as
    what there are many of.
    """
    root = copy.deepcopy(value)
    for _ in range(rng.choice((1, 1, 2, 4))):
        holder = root
        while items := _items(holder):
            key, inner = rng.choice(items)
            if not (isinstance(inner, dict | list) and inner and rng.random() < _DEEPER):
                holder[key] = _other(rng, inner, [each for _, each in items])
                break
            holder = inner
    return root


def _items(holder: Any) -> list[tuple[Any, Any]]:
    return list(holder.items() if isinstance(holder, dict) else enumerate(holder))


def _other(rng: random.Random, value: Any, siblings: list[Any]) -> Any:
    if isinstance(value, dict):
        return _other_object(rng, value)
    others: tuple[Any, ...] = _NOTHING
    if isinstance(value, bool):
        others = (not value,)
    elif isinstance(value, int):
        others = (*_WHOLE, value + 1, value - 1)
    elif isinstance(value, float):
        others = (*_NUMBERS, value * 1e5, -value, None)
    elif isinstance(value, str):
        others = (*_TEXTS, *(each for each in siblings if isinstance(each, str)))
    elif isinstance(value, list):
        others = ([], value[:-1], value[1:], value[::-1], value + value, value + value[-1:])
    return rng.choice(others)


def _other_object(rng: random.Random, value: dict[str, Any]) -> dict[str, Any]:
    found = dict(value)
    if not found:
        return {"x": None}
    name = rng.choice(list(found))
    how = rng.randrange(4)
    if how == 0:
        return {}
    if how == 1:
        found["x"] = found[name]
        return found
    inner = found.pop(name)
    if how == 2:
        found[rng.choice(("x", "perplexity", "nli", f"{name}2"))] = inner
    return found
