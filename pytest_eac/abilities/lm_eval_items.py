"""What a task of lm-evaluation-harness is asked for: metric, items, what guessing scores."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import is_dataclass
from typing import Any

from pytest_eac.abilities.data_items import take_items
from pytest_eac.errors import SettingsError
from pytest_eac.spec.nearest_name import nearest
from pytest_eac.spec.schema.abilities import AbilityBounds

# Metrics of a multiple choice for which guessing scores the share of right choices.
_CHOSEN = frozenset({"acc", "acc_norm", "acc_bytes", "acc_mutual_info"})


def find_metric(tasks: Mapping[str, Any], wanted: str | None, where: str) -> tuple[str, str]:
    """Return the metric and the filter to score by: those asked for, or the first that all have.

    Raises:
        SettingsError: no metric is a mean over items, or what is asked for is not there.
    """
    from lm_eval.api.metrics import mean

    metrics = _common(
        [
            name
            for name, aggregated in task.aggregation().items()
            if aggregated is mean and task.higher_is_better().get(name, True)
        ]
        for task in tasks.values()
    )
    filters = _common(
        [each["name"] for each in task.get_config("filter_list") or [{"name": "none"}]]
        for task in tasks.values()
    )
    if not metrics or not filters:
        every = dict.fromkeys(name for task in tasks.values() for name in task.aggregation())
        raise SettingsError(
            f"{where}: found the metrics {', '.join(every)}; expected one, in every task of "
            "it, that is a mean over the items, the more the better"
        )
    metric, _, chosen = (wanted or "").partition(",")
    for found, there in ((metric, metrics), (chosen, filters)):
        if found and found not in there:
            raise SettingsError(
                f"{where}.metric: found {wanted!r}, expected METRIC or METRIC,FILTER with the "
                f"metric {' or '.join(metrics)} and the filter {' or '.join(filters)}"
                f"{nearest(found, there)}"
            )
    return metric or metrics[0], chosen or filters[0]


def _common(lists: Iterable[list[str]]) -> list[str]:
    """Return what stands in all the lists, in the order of the first."""
    first, *others = lists
    return [name for name in first if all(name in other for other in others)]


def set_shots(task: Any, shots: int | None, where: str) -> None:
    """Set how many worked examples stand before each item; by default as many as the task says.

    Raises:
        SettingsError: the task says that there are none.
    """
    written = task.get_config("num_fewshot")
    if shots is None:
        task.set_config(key="num_fewshot", value=written or 0)
    elif written == 0 and shots:
        raise SettingsError(
            f"{where}.shots: found {shots}, but {task.task_name} says num_fewshot: 0, which "
            "lm-eval takes for fixed; drop shots"
        )
    else:
        task.set_config(key="num_fewshot", value=shots)


def choose_items(
    tasks: Mapping[str, Any], bounds: AbilityBounds, where: str
) -> dict[str, list[int]] | None:
    """Return the numbers of the items to ask, from each task as many; ``None`` for all.

    Raises:
        DataError: a task has fewer than that.
    """
    if bounds.take is None:
        return None
    return {
        name: sorted(take_items(range(len(task.eval_docs)), bounds, where, f" in {name}"))
        for name, task in tasks.items()
    }


def chance_and_majority(tasks: Iterable[Any], metric: str) -> tuple[float | None, float | None]:
    """Return the scores of guessing and of choosing the same place always.

    Args:
        tasks: with their requests built.
        metric: what is scored.

    Returns:
        Both ``None`` unless every task is a multiple choice and the metric is about the choice.
    """
    chances: list[float] = []
    places: Counter[int] = Counter()
    for task in tasks:
        if task.OUTPUT_TYPE != "multiple_choice" or metric not in _CHOSEN:
            return None, None
        for doc in {each.doc_id: each.doc for each in task.instances}.values():
            choices = task.doc_to_choice(doc)
            # Where each choice is a prompt of its own, lm-eval has the right one's place there.
            right = task.doc_to_text(doc) if task.multiple_input else task.doc_to_target(doc)
            listed = right if isinstance(right, list) else [right]
            found = {choices.index(each) if each in choices else each for each in listed}
            chances.append(len(found) / len(choices))
            places.update(found)
    return sum(chances) / len(chances), max(places.values()) / len(chances)


def has_own_code(tasks: Iterable[Any]) -> bool:
    """Say whether scores depend on code that is no part of lm-eval."""
    return any(
        not str(code.__module__).startswith("lm_eval.")
        for task in tasks
        for code in (type(task), *_functions(vars(task.config)))
    )


def _functions(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        value = list(value.values())
    elif is_dataclass(value) and not isinstance(value, type):
        value = list(vars(value).values())
    if isinstance(value, list | tuple):
        for each in value:
            yield from _functions(each)
    elif callable(value):
        yield value
