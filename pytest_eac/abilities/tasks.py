"""The built-in abilities, made ready to be asked; ``built_in/`` has what each asks."""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property

from pytest_eac.abilities.asking import Asked
from pytest_eac.abilities.data_items import digest, load_rows, take_items
from pytest_eac.abilities.templates import find_template
from pytest_eac.lm.loading.load import LoadedModel
from pytest_eac.spec.registry_entries import resolved
from pytest_eac.spec.schema.abilities import BUILT_IN, AbilityBounds


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
    task = BUILT_IN[name]
    every = load_rows(bounds.data, task=task.data, revision=bounds.revision, offline=offline)
    rows = take_items(every, bounds, f"checks.abilities.{name}")
    data = bounds.data or f"built-in {task.data}.jsonl"
    graded = bounds.metric is not None and task.probability
    ask = resolved(graded or task.ask)
    if task.prompt is None:
        return Prepared(asked=ask(loaded, rows), template=None, data=data, sha256=digest(rows))
    template = find_template(name, task.prompt, bounds)
    asked = ask(loaded, rows, template)
    name = f"{template.name} {bounds.metric}" if graded else template.name
    return Prepared(asked=asked, template=name, data=data, sha256=digest(rows))
