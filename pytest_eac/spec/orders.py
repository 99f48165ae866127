"""Orders of edits: which edits are made, in what order, some perhaps again or taken back.

An order is a tuple of numbers. ``k`` is the spec's k-th edit, counted from 1; ``-k`` takes it back:
the same question with the truth as its target. ``(3, 1)`` makes the third edit and then the first
and no other; ``(1, 2, -1)`` makes the first and the second and takes the first back.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_eac.spec.edits import Edit

Order = tuple[int, ...]


def read_order(text: str) -> Order:
    """Read an order as ``show_order`` writes it.

    Raises:
        ValueError: the text is not one; says what was found.
    """
    try:
        order = tuple(int(part) for part in text.split(","))
    except ValueError:
        order = (0,)
    if 0 in order:
        raise ValueError(
            f"found {text!r}, expected the numbers of edits, counted from 1, such as 3,1 "
            "(-1 takes edit 1 back)"
        )
    return order


def show_order(order: Order) -> str:
    """Write an order as the command line takes it: ``3,1,-3``."""
    return ",".join(str(number) for number in order)


def arranged(edits: Sequence[Edit], order: Order) -> tuple[Edit, ...]:
    """Return edits in another order.

    Raises:
        ValueError: a number is not that of an edit, or an edit without a truth is taken back.
    """
    return tuple(_chosen(edits, number) for number in order)


def _chosen(edits: Sequence[Edit], number: int) -> Edit:
    if not 0 < abs(number) <= len(edits):
        raise ValueError(
            f"there is no edit {abs(number)}; expected a number from 1 to {len(edits)}"
        )
    edit = edits[abs(number) - 1]
    return edit if number > 0 else taken_back(edit)


def taken_back(edit: Edit) -> Edit:
    """Return the edit that puts the truth back where ``edit`` has put its target.

    Raises:
        ValueError: the edit has no truth.
    """
    if edit.truth is None:
        raise ValueError(
            f"the edit at {edit.origin} ({edit.subject}) has no truth to put back; add it"
        )
    return replace(edit, target=edit.truth, truth=edit.target)
