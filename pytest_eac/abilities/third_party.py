"""Abilities of other packages, and how their results and those of metrics are read."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from pytest_eac.abilities.asking import Asked, Replies
from pytest_eac.errors import SettingsError
from pytest_eac.lm.loading.load import LoadedModel
from pytest_eac.spec.registry import ABILITIES, find


@dataclass(frozen=True, kw_only=True)
class ThirdParty(Asked):
    """An ability of another package; nothing is known of its items but their scores."""

    name: str
    measure: Callable[[LoadedModel], Any]
    items: tuple[()] = ()

    def ask(self, loaded: LoadedModel) -> Replies:
        """Call it, and check what it returns.

        Raises:
            SettingsError: it returned no scores between 0 and 1.
        """
        result = plain_result(self.measure(loaded))
        found = shares(result) or []
        scores = tuple(score for score in found if score is not None)
        if not scores or len(scores) != len(found):
            raise SettingsError(
                f"found {str(result)[:60]!r}, expected a score between 0 and 1 for each of its "
                "items"
            )
        return Replies(scores=scores)


def plain_result(result: Any) -> Any:
    """Return what a callable of another package returned; a list in place of a tensor or array."""
    return result.tolist() if hasattr(result, "tolist") else result


def shares(result: Any) -> list[float | None] | None:
    """Return scores between 0 and 1, or ``None`` each; ``None`` if the result is something else."""
    if not isinstance(result, Iterable):
        return None
    found = list(result)
    scores = (each for each in found if each is not None)
    if not all(isinstance(each, int | float) and 0 <= each <= 1 for each in scores):
        return None
    return [None if each is None else float(each) for each in found]


def find_ability(name: str) -> ThirdParty:
    """Return an ability of another package.

    Raises:
        SettingsError: it is not callable.
    """
    measure = find(ABILITIES, name)
    if not callable(measure):
        raise SettingsError(f"ability {name!r} is a {type(measure).__name__}, expected a callable")
    return ThirdParty(name=name, measure=measure)
