"""Hypothesis strategies for edits and for orders of edits; docs/orderings.md shows their use.

All choices are whole numbers from a range far away from zero (``_FAR``). Hypothesis takes some of
its numbers from the constants of whatever modules happen to be loaded, where they are in the range:
the same seed would give other orders in another run. No module has constants there.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from itertools import product
from typing import TypeVar, get_args, overload

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from pytest_eac.spec.edits import Edit, place
from pytest_eac.spec.orders import Order, taken_back
from pytest_eac.spec.schema.orderings import UNIFORM, OrderKind

__all__ = ["edits", "orderings"]

Thing = TypeVar("Thing")
_FAR = 987_654_321_012_345
# One edit in eight is left out of a subsequence; one order in eight is shuffled whole.
_RARE = 8
# Limits are drawn from a range 16 times an order's length, so that few of them bind.
_WIDE = 16
# ... and where a given order is to come out as it is, from one so wide that none of them does.
_ALL = 1 << 20
_MOST_EXTRA = 2


@overload
def orderings(
    edits: int, *, kinds: Sequence[OrderKind] = ..., batch: int = 1
) -> SearchStrategy[Order]: ...
@overload
def orderings(
    edits: Sequence[Edit], *, kinds: Sequence[OrderKind] = ..., batch: int = 1
) -> SearchStrategy[tuple[Edit, ...]]: ...


def orderings(
    edits: int | Sequence[Edit],
    *,
    kinds: Sequence[OrderKind] = ("permutation", "subsequence"),
    batch: int = 1,
) -> SearchStrategy[Order] | SearchStrategy[tuple[Edit, ...]]:
    """Return orders of edits; they shrink to few edits, and then towards the written order.

    Most orders begin as the written one does, or as the written one backwards, and are shuffled in
    their second half only, so that they share long beginnings; one in eight is shuffled whole.

    Args:
        edits: the edits in their written order, of which tuples are drawn; or how many there are,
            for orders as numbers (:mod:`pytest_eac.spec.orders`).
        kinds: ``permutation``: all edits, shuffled; ``subsequence``: some are left out;
            ``interleaving``: batches are mixed, each in its own order (a permutation without this
            bound as well, if that is among the kinds); ``duplicate``: some are made twice;
            ``conflict``: some are taken back, for edits with a truth.
        batch: edits of an update, for interleavings.

    Raises:
        ValueError: there are no edits, none of the kinds, an unknown one, or a batch of none.
    """
    count = edits if isinstance(edits, int) else len(edits)
    if count < 1 or not kinds:
        raise ValueError(f"found {count} edits and {len(kinds)} kinds, expected one or more")
    if batch < 1:
        raise ValueError(f"found a batch of {batch} edits, expected one or more")
    known = get_args(OrderKind)
    if isinstance(kinds, str) or not set(kinds) <= set(known):
        raise ValueError(f"found the kinds {kinds!r}, expected a list of {', '.join(known)}")
    written = tuple(range(1, count + 1))
    shuffle = _shuffled(count) if set(kinds) & set(UNIFORM) else st.just(written)
    numbers = _orders(shuffle, tuple(kinds), batch, undoable=_undoable(edits))
    if isinstance(edits, int):
        return numbers
    return numbers.map(
        lambda order: tuple(edits[k - 1] if k > 0 else taken_back(edits[-k - 1]) for k in order)
    )


def orderings_near(
    order: Order, *, kinds: Sequence[OrderKind], batch: int, moves: int
) -> SearchStrategy[Order]:
    """Return orders that differ from a given one by few moves; they shrink as ``orderings`` do.

    Args:
        order: all edits, each once.
        kinds: as for :func:`orderings`.
        batch: likewise.
        moves: how many edits go elsewhere at most; with 0 the order itself is drawn (except
            in one draw of thousands), for Hypothesis to simplify.
    """
    undoable = _undoable(len(order))
    return _orders(_moved(order, moves), tuple(kinds), batch, undoable=undoable, exact=True)


def _undoable(edits: int | Sequence[Edit]) -> frozenset[int]:
    if isinstance(edits, int):
        return frozenset(range(1, edits + 1))
    return frozenset(k for k, edit in enumerate(edits, start=1) if edit.truth is not None)


@st.composite
def _orders(
    draw: DrawFn,
    shuffle: SearchStrategy[Order],
    kinds: tuple[OrderKind, ...],
    batch: int,
    *,
    undoable: frozenset[int],
    exact: bool = False,
) -> Order:
    """Draw a shuffled order, then how much of it to keep: that is what shrinks it.

    Each edit has a number of its own that says whether it stays, and a limit of its own for how
    many smaller numbers it may stand before. Both shrink to nothing, one by one and without
    touching the other edits; an edit that is left out has a limit, too, so that the others keep
    their places.
    """
    mixed = "interleaving" in kinds and ("permutation" not in kinds or not _number(draw, 2))
    shuffles = mixed or "permutation" in kinds
    shuffled = draw(shuffle)
    count = len(shuffled)
    place = {number: index for index, number in enumerate(shuffled)}
    order: list[int] = []
    for number in range(1, count + 1):
        stays = "subsequence" not in kinds or _number(draw, _ALL if exact else _RARE) > 0
        limit = _number(draw, (_ALL if exact else _WIDE) * count) if shuffles else 0
        if stays or (number == count and not order):
            jumped = sum(place[other] > place[number] for other in order)
            order.insert(len(order) - min(jumped, limit), number)
    if mixed:
        order = _in_batches(order, batch)
    if "duplicate" in kinds:
        order = _with_more(draw, order, order, lambda number: number)
    if "conflict" in kinds:
        order = _with_more(draw, order, [k for k in order if k in undoable], lambda k: -k)
    return tuple(order)


def _number(draw: DrawFn, count: int) -> int:
    """Draw one of ``range(count)``, all equally likely; shrinks to 0."""
    return draw(_numbers(count)) - _FAR


@cache
def _numbers(count: int) -> SearchStrategy[int]:
    """Return the numbers to draw from; making them takes longer than drawing one."""
    return st.integers(_FAR, _FAR + count - 1)


@st.composite
def _shuffled(draw: DrawFn, count: int) -> Order:
    """Draw a permutation that begins as the written order, or that order backwards, does."""
    backwards = _number(draw, 2)
    trunk = list(range(count, 0, -1) if backwards else range(1, count + 1))
    whole = not _number(draw, _RARE)
    most = (count + 1) // 2
    tail = count if whole else min(count, 2 + _number(draw, max(1, most - 1)))
    order = trunk[: count - tail]
    rest = trunk[count - tail :]
    while rest:
        order.append(rest.pop(_number(draw, len(rest))))
    return tuple(order)


@st.composite
def _moved(draw: DrawFn, start: Order, moves: int) -> Order:
    """Draw a permutation in which few edits stand elsewhere than in ``start``.

    Each edit has a number that shrinks to its going back among the others to where it is written.
    """
    order = list(start)
    for _ in range(1 + _number(draw, moves) if moves else 0):
        number = order.pop(_number(draw, len(start)))
        order.insert(_number(draw, len(start)), number)
    back = [number for number in sorted(order) if not _number(draw, _ALL)]
    order = [number for number in order if number not in back]
    for number in back:
        after = (sum(a > number for a in order[:k]) for k in range(len(order) + 1))
        before = (sum(a < number for a in order[k:]) for k in range(len(order) + 1))
        wrong = [a + b for a, b in zip(after, before, strict=True)]
        order.insert(wrong.index(min(wrong)), number)
    return tuple(order)


def _in_batches(order: list[int], batch: int) -> list[int]:
    """Sort the edits of each batch among the places that they hold."""
    waiting: dict[int, list[int]] = {}
    for number in sorted(order):
        waiting.setdefault((number - 1) // batch, []).append(number)
    return [waiting[(number - 1) // batch].pop(0) for number in order]


def _with_more(
    draw: DrawFn, order: list[int], known: list[int], change: Callable[[int], int]
) -> list[int]:
    """Draw one or two edits that are followed, somewhere, by a changed copy of themselves."""
    result = list(order)
    for round_ in range(_MOST_EXTRA if known else 0):
        if round_ and not _number(draw, 2):
            break
        number = known[_number(draw, len(known))]
        after = result.index(number) + 1
        result.insert(after + _number(draw, len(result) - after + 1), change(number))
    return result


def edits(
    facts: Sequence[Edit] = (),
    *,
    subjects: Sequence[str] = (),
    prompts: Sequence[str] = (),
    targets: Sequence[str] = (),
) -> SearchStrategy[Edit]:
    """Return edits: given facts, or what templates make; they shrink to the first of each.

    Args:
        facts: edits to choose from, such as ``load_spec(...).edits``. With ``targets``, the chosen
            one gets one of these.
        subjects: without facts: whom or what the edit is about.
        prompts: with ``{}`` in place of the subject.
        targets: new objects.

    Raises:
        ValueError: there are neither facts nor all of subjects, prompts and targets, or both; or a
            subject would not stand in one place of a prompt.
    """
    whole = subjects and prompts and targets
    if (subjects or prompts) if facts else not whole:
        raise ValueError(
            f"found {len(facts)} facts, {len(subjects)} subjects, {len(prompts)} prompts and "
            f"{len(targets)} targets, expected facts, or subjects, prompts and targets"
        )
    for prompt, subject in product(prompts, subjects):
        place(prompt, subject)
    return _edits(facts, subjects, prompts, targets)


@st.composite
def _edits(
    draw: DrawFn,
    facts: Sequence[Edit],
    subjects: Sequence[str],
    prompts: Sequence[str],
    targets: Sequence[str],
) -> Edit:
    if facts:
        chosen = _one_of(draw, facts)
        return replace(chosen, target=_one_of(draw, targets)) if targets else chosen
    subject = _one_of(draw, subjects)
    placed = place(_one_of(draw, prompts), subject)
    return Edit(
        subject=placed.subject,
        prompt=placed.text,
        start=placed.start,
        target=_one_of(draw, targets),
        origin="pytest_eac.strategies",
    )


def _one_of(draw: DrawFn, things: Sequence[Thing]) -> Thing:
    return things[_number(draw, len(things))]
