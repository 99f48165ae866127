"""Abilities that other packages bring: one callable on the model."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_eac.abilities.asking import Replies, Shares
from pytest_eac.errors import SettingsError
from pytest_eac.spec.registry import ABILITIES, find

if TYPE_CHECKING:
    from pytest_eac.lm.loading.load import LoadedModel


@dataclass(frozen=True, kw_only=True)
class Brought(Shares):
    """An ability of another package; nothing is known of its items but their scores."""

    name: str
    measure: Callable[[LoadedModel], Any]
    items: tuple[()] = ()

    def ask(self, loaded: LoadedModel) -> Replies:
        """Call it, and check what it returns.

        Raises:
            SettingsError: it returned no scores between 0 and 1.
        """
        result = self.measure(loaded)
        if hasattr(result, "tolist"):  # a tensor or an array
            result = result.tolist()
        scores = tuple(result) if isinstance(result, Iterable) else ()
        if not scores or not all(
            isinstance(each, int | float) and 0 <= each <= 1 for each in scores
        ):
            raise SettingsError(
                f"found {str(result)[:60]!r}, expected a score between 0 and 1 for each of its "
                "items"
            )
        return Replies(scores=tuple(map(float, scores)))


def find_ability(name: str) -> Brought:
    """Return an ability that another package brings.

    Raises:
        SettingsError: it is not callable.
    """
    measure = find(ABILITIES, name)
    if not callable(measure):
        raise SettingsError(f"ability {name!r} is a {type(measure).__name__}, expected a callable")
    return Brought(name=name, measure=measure)
