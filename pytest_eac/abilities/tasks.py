"""The table of abilities: what each asks, and of which items."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from pytest_eac.abilities import by_generation, by_likelihood, plain_text
from pytest_eac.abilities.items import Row, digest, load_rows
from pytest_eac.abilities.templates import Template, find_template
from pytest_eac.errors import DataError

if TYPE_CHECKING:
    from pytest_eac.abilities.asking import Asked
    from pytest_eac.lm.loading.load import LoadedModel
    from pytest_eac.spec.schema.abilities import AbilityBounds

Prompted = Callable[["LoadedModel", Sequence[Row], Template], "Asked"]
Plain = Callable[["LoadedModel", Sequence[Row]], "Asked"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A built-in ability that asks by a template: its items' file, and what makes questions."""

    data: str
    asks: Prompted


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A built-in ability that reads plain text: the text's file, and what is made of it."""

    data: str
    reads: Plain


TASKS: dict[str, Task | Reading] = {
    "nli": Task(data="nli", asks=by_likelihood.entailment),
    "sentiment": Task(data="sentiment", asks=by_likelihood.sentiment),
    "qa": Task(data="qa", asks=by_generation.questions),
    "reading": Task(data="reading", asks=by_generation.questions),
    "summarization": Task(data="summarization", asks=by_generation.summaries),
    "reasoning": Task(data="choice", asks=by_likelihood.multiple_choice),
    "arithmetic": Task(data="arithmetic", asks=by_generation.problems),
    "instructions": Task(data="instructions", asks=by_generation.instructions),
    "generation": Task(data="generation", asks=by_generation.stories),
    "perplexity": Reading(data="neutral", reads=plain_text.plain_text),
    "drift": Reading(data="neutral", reads=plain_text.drift),
}


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """An ability of a spec, ready to be asked; see :class:`pytest_eac.records.run.Ability`."""

    asked: Asked
    template: str | None
    data: str | None
    sha256: str | None

    @cached_property
    def question(self) -> str:
        """The SHA-256 of all that a model's scores depend on; empty if nobody can know it."""
        items = self.asked.items
        return hashlib.sha256(json.dumps(items).encode()).hexdigest() if items else ""


def prepare(
    loaded: LoadedModel, name: str, bounds: AbilityBounds, *, offline: bool = False
) -> Prepared:
    """Read a built-in ability's items and make its questions; the model must be unedited.

    Raises:
        DataError: the items cannot be read, or there are fewer than ``take`` asks for.
        UnavailableError: the data set is not on this machine.
        SettingsError: the template's options do not fit.
    """
    task = TASKS[name]
    rows: Sequence[Row] = load_rows(
        bounds.data, task=task.data, revision=bounds.revision, offline=offline
    )
    rows = _taken(rows, bounds, name)
    data = bounds.data or f"built-in {task.data}.jsonl"
    if isinstance(task, Reading):
        asked, template = task.reads(loaded, rows), None
    else:
        found = find_template(name, bounds)
        asked, template = task.asks(loaded, rows, found), found.name
    return Prepared(asked=asked, template=template, data=data, sha256=digest(rows))


def _taken(rows: Sequence[Row], bounds: AbilityBounds, name: str) -> Sequence[Row]:
    if bounds.take is None:
        return rows
    if bounds.take > len(rows):
        raise DataError(
            f"checks.abilities.{name}: found {len(rows)} items, expected take: {bounds.take}"
        )
    if bounds.seed is None:
        return rows[: bounds.take]
    return random.Random(bounds.seed).sample(list(rows), bounds.take)  # noqa: S311
