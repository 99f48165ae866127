"""Can a stored chain be compared with another one, or judged by a spec?"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pytest_eac.records.run import Chain, EditRecord, EditTexts, Record
from pytest_eac.spec.hyperparameters import resolve_settings
from pytest_eac.spec.spec import Spec, SpecMethod

ACROSS: Mapping[str, tuple[str, ...]] = {
    "hyperparameters": ("hyperparameters", "covariance"),
    "batch": ("sequence.batch",),
}
"""What two chains may differ in and still be compared if the user asks for it, each with the
mismatches that belong to it. The same edits are then scored in the same way on the same model; only
how they were made differs. With other edits, another model, other scoring or other prompts of an
ability, there would be no pairs of scores to compare."""

# The last part of the name of what may be a file; any other text that looks like a path is a text.
_FILES = ("model", "corpus", "data", "include")
_SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismatch:
    """One thing that two chains do not share: what it is, there (in the older one) and here."""

    what: str
    there: str
    here: str

    def __str__(self) -> str:
        return f"{self.what}: found {self.there} there, {self.here} here"

    @property
    def moved(self) -> str:
        """The same, as a change from the older value to the newer."""
        return f"{self.what}: {self.there} -> {self.here}"

    def is_of(self, across: Collection[str]) -> bool:
        """Return whether it belongs to one of these keys of :data:`ACROSS`."""
        parts = tuple(part for name in across for part in ACROSS[name])
        return self.what in parts or self.what.startswith(tuple(f"{part}." for part in parts))


def mismatches(there: Chain, here: Chain) -> tuple[Mismatch, ...]:
    """Return why the numbers of two chains cannot be compared; nothing if they can.

    Models are compared by their weights, not by their names. The environment is another matter
    (:func:`environment_changes`).
    """
    found = [*_differences("sequence.batch", there.batch, here.batch)]
    if there.model.fingerprint != here.model.fingerprint:
        found.insert(0, Mismatch(what="model", there=_named(there), here=_named(here)))
    found += _differences("scoring.match", there.scoring, here.scoring)
    found += _differences("hyperparameters", there.hyperparameters, here.hyperparameters)
    found += _differences("covariance", _covariance(there), _covariance(here))
    found += edit_mismatches(there.edits, here.edits)
    for name in [each for each in here.abilities if each in there.abilities]:
        found += _differences(
            f"abilities.{name}", there.asked.get(name, {}), here.asked.get(name, {})
        )
    return tuple(found)


def mismatches_with_spec(there: Chain, spec: Spec, method: SpecMethod) -> tuple[Mismatch, ...]:
    """Return where a spec differs from a stored chain; limits may differ.

    What only the model could show is taken as it was: which layers ``auto`` stands for, the
    revision that a branch points to.
    """
    found: list[Mismatch] = []
    if spec.model is not None:
        found += _differences("model", there.model.id, spec.model.id)
        if spec.model.dtype != "auto":
            found += _differences("model.dtype", there.model.dtype, spec.model.dtype)
    found += _differences("sequence.batch", there.batch, spec.batch)
    found += _differences("scoring.match", there.scoring, spec.scoring.match)
    if there.model.shape:
        settings = resolve_settings(method.choice, there.model.shape)
        wanted = settings.model_dump(mode="json") | {"control": method.control}
        if settings.layers == "auto":
            wanted["layers"] = there.hyperparameters.get("layers")
        found += _differences("hyperparameters", there.hyperparameters, wanted)
    written = [
        EditRecord(texts=EditTexts.of(edit.texts), origin=edit.origin, spaced=edit.spaced)
        for edit in spec.edits
    ]
    found += edit_mismatches(there.edits, written)
    for name, bounds in spec.checks.abilities.items():
        if name in there.abilities:
            found += _differences(f"abilities.{name}", there.asked.get(name, {}), bounds.asked)
    return tuple(found)


def environment_changes(there: Record, here: Record) -> tuple[Mismatch, ...]:
    """Return which versions and settings differ; none of them forbids a comparison."""
    return tuple(_differences("environment", there.environment, here.environment))


def describe(found: Sequence[Mismatch]) -> str:
    """Name the first difference, and say how many more there are."""
    more = len(found) - 1
    return f"{found[0]}" + (f" (and {more} more)" if more else "")


def _named(chain: Chain) -> str:
    return f"{chain.model.id} (weights {chain.model.fingerprint[:12]}, {chain.model.dtype})"


def _covariance(chain: Chain) -> dict[str, Any]:
    return {} if chain.covariance is None else asdict(chain.covariance)


def _differences(what: str, there: Any, here: Any) -> Iterator[Mismatch]:
    """Go down to the single values that differ."""
    if isinstance(there, Mapping) and isinstance(here, Mapping):
        for key in dict.fromkeys((*there, *here)):
            yield from _differences(f"{what}.{key}", there.get(key), here.get(key))
    elif _are_lists(there, here) and len(there) == len(here):
        for index, (one, two) in enumerate(zip(there, here, strict=True)):
            yield from _differences(f"{what}[{index}]", one, two)
    elif there != here and not (_is_file(what) and _have_one_name(there, here)):
        yield Mismatch(what=what, there=_shown(there), here=_shown(here))


def _are_lists(*values: Any) -> bool:
    return all(isinstance(value, list | tuple) for value in values)


def _is_file(what: str) -> bool:
    return what.rpartition(".")[2] in _FILES and not what.startswith("edit ")


def _have_one_name(there: Any, here: Any) -> bool:
    """Say whether two values are the same file, in other folders on two machines."""
    if not (isinstance(there, str) and isinstance(here, str)):
        return False
    one, two = Path(there), Path(here)
    return one.is_absolute() and two.is_absolute() and one.name == two.name


def edit_mismatches(there: Sequence[EditRecord], here: Sequence[EditRecord]) -> Iterator[Mismatch]:
    """Yield in what two lists of edits differ."""
    if len(there) != len(here):
        yield Mismatch(what="number of edits", there=str(len(there)), here=str(len(here)))
    for index, (one, two) in enumerate(zip(there, here, strict=False), start=1):
        yield from _differences(
            f"edit {index}", *(_compared(each, one, two) for each in (one, two))
        )


def _compared(edit: EditRecord, *pair: EditRecord) -> dict[str, Any]:
    """Return what is compared of an edit: its texts, or their hash if one of the two has none."""
    hashed = any(each.absent for each in pair)
    texts = {"sha256": edit.sha256} if hashed else asdict(edit.texts)
    return {**texts, "spaced": edit.spaced}


def _shown(value: Any) -> str:
    return "nothing" if value is None else repr(value)


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
