"""Orders of edits that are drawn uniformly: what a bound on all orders rests on."""

from collections import Counter
from collections.abc import Iterator, Mapping
from math import factorial, prod
from random import Random

from pytest_eac.spec.orders import Order

# A tuple of batches, by their number: the edits of a batch keep their order among themselves.
Pattern = tuple[int, ...]


def number_of_others(count: int, batch: int) -> int:
    """Return how many orders there are besides the written one.

    Args:
        count: edits.
        batch: how many edits in a row keep their order among themselves; 1 for any permutation.
    """
    sizes = Counter(_batches(count, batch)).values()
    return factorial(count) // prod(map(factorial, sizes)) - 1


def all_others(count: int, batch: int) -> tuple[Order, ...]:
    """Return all orders besides the written one; arguments as of :func:`number_of_others`."""
    found = _patterns(Counter(_batches(count, batch)))
    return tuple(_filled(each, batch) for each in found)[1:]


def drawn_others(count: int, batch: int, *, number: int, seed: int) -> tuple[Order, ...]:
    """Draw orders, all different and none of them the written one, each as likely as any other.

    A share of all other orders is bounded by these as by draws with replacement: without it,
    the number of those that break something varies less.

    Args:
        count: edits.
        batch: as of :func:`number_of_others`, which is at least ``number``.
        number: how many to draw.
        seed: the first orders of a seed are the same whatever the number.
    """
    random = Random(seed)  # noqa: S311
    written = _batches(count, batch)
    seen = {tuple(written): None}
    while len(seen) <= number:
        pattern = list(written)
        random.shuffle(pattern)
        seen[tuple(pattern)] = None
    return tuple(_filled(each, batch) for each in seen)[1:]


def _batches(count: int, batch: int) -> list[int]:
    """Return the batch of each edit in the written order."""
    return [index // batch for index in range(count)]


def _filled(pattern: Pattern, batch: int) -> Order:
    """Return the order whose edits are of these batches."""
    taken: Counter[int] = Counter()
    order = []
    for each in pattern:
        taken[each] += 1
        order.append(each * batch + taken[each])
    return tuple(order)


def _patterns(left: Mapping[int, int]) -> Iterator[Pattern]:
    """Yield all orders of batches, the written one first."""
    if not any(left.values()):
        yield ()
    for each, number in left.items():
        if number:
            for more in _patterns({**left, each: number - 1}):
                yield (each, *more)
