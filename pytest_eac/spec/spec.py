"""A spec that is ready to run: what everything after the spec's own package sees of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from pytest_eac.errors import SettingsError, SpecProblem
from pytest_eac.spec.edits import Edit
from pytest_eac.spec.methods import find_method, is_method, method_names
from pytest_eac.spec.nearest_name import closest
from pytest_eac.spec.orders import Order, arranged
from pytest_eac.spec.schema.checks import Checks, CompareCheck, Stats
from pytest_eac.spec.schema.methods import MethodChoice, ModelChoice
from pytest_eac.spec.schema.orderings import Orderings, Property
from pytest_eac.spec.schema.spec_file import KnownIssue, Scoring


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecMethod:
    """A method of a spec under the name that node ids show.

    A ``control`` (one of ``CONTROLS``) has the choice of the method that it mirrors.
    """

    name: str
    choice: MethodChoice
    control: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """A spec that can be run.

    ``lines`` gives the line of each check, ``compare`` ones included; ``warnings`` are about edits
    and prompts that can show nothing; ``written`` has the keys that the file, or one that it
    extends, sets itself. ``edit_sets`` has the edits of each sample, and ``edits`` those of
    ``sample``, which all have the same number.
    """

    file: Path
    name: str
    model: ModelChoice | None
    methods: tuple[SpecMethod, ...]
    seeds: tuple[int, ...]
    edits: tuple[Edit, ...]
    batch: int
    checkpoints: tuple[int, ...]
    scoring: Scoring
    checks: Checks
    stats: Stats
    known_issues: tuple[KnownIssue, ...]
    marks: tuple[str, ...]
    fixtures: tuple[str, ...]
    lines: dict[str, int]
    orderings: Orderings | None = None
    warnings: tuple[SpecProblem, ...] = ()
    written: frozenset[str] = frozenset()
    edit_sets: tuple[tuple[Edit, ...], ...] = ()
    sample: int = 0

    @property
    def samples(self) -> int:
        """How many sets of edits there are."""
        return len(self.edit_sets) or 1

    def each_sample(self) -> tuple[Spec, ...]:
        """Return the same spec with the edits of each sample."""
        if self.samples == 1:
            return (self,)
        return tuple(replace(self, edits=each, sample=k) for k, each in enumerate(self.edit_sets))

    @property
    def all_edits(self) -> tuple[Edit, ...]:
        """The edits of all samples, each once."""
        if self.samples == 1:
            return self.edits
        return tuple(dict.fromkeys(edit for each in self.edit_sets for edit in each))

    @property
    def properties(self) -> tuple[Property, ...]:
        """What must hold under every order of the edits."""
        return self.orderings.properties(self.checks) if self.orderings else ()

    def joined(self) -> Spec:
        """Return the same spec with the edits of all samples as one set."""
        return replace(self, edits=self.all_edits, edit_sets=())

    def require_trusted_tasks(self, permission: str) -> None:
        """Raise if a task file of lm-evaluation-harness is named, which can run code.

        Args:
            permission: the option that allows it, for the message.

        Raises:
            SettingsError: names the check and the file.
        """
        for name, bounds in self.checks.abilities.items():
            if bounds.include is not None:
                raise SettingsError(
                    f"{self.file}:{self.lines[name]}: checks.abilities.{name}.include: found "
                    f"{bounds.include}; a task file of lm-evaluation-harness can run code (by "
                    f"!function, and in its templates), which no spec may do by itself: if you "
                    f"trust the file, give {permission}"
                )

    def limited(self, count: int) -> Spec:
        """Return the same spec with at most ``count`` edits in each sample."""
        sets = tuple(each[:count] for each in self.edit_sets)
        edits = self.edits[:count]
        kept = tuple(at for at in self.checkpoints if at < len(edits))
        return replace(self, edits=edits, edit_sets=sets, checkpoints=(*kept, len(edits)))

    def ordered(self, order: Order) -> Spec:
        """Return the same spec with its edits in another order.

        Raises:
            ValueError: the order names an edit that is not there, or takes one back that has no
                truth.
        """
        kept = tuple(at for at in self.checkpoints if at < min(len(order), len(self.edits)))
        edits = arranged(self.edits, order)
        return replace(self, edits=edits, checkpoints=(*kept, len(edits)))

    def with_methods(self, names: tuple[str, ...]) -> Spec:
        """Return the same spec with other methods: its own by name, or built-in ones.

        Raises:
            ValueError: a name is neither one of the spec's methods nor a built-in one.
        """
        own = {method.name: method for method in self.methods}
        for name in names:
            if name not in own and not is_method(name):
                known = sorted({*own, *method_names()})
                raise ValueError(f"unknown method {name!r} for {self.file}{closest(name, known)}")
        chosen = tuple(own.get(name) or built_in(name) for name in dict.fromkeys(names))
        if message := batch_trouble(self.batch, chosen):
            raise ValueError(f"{self.file}: sequence.batch: {message}")
        return replace(self, methods=chosen)


def batch_trouble(batch: int, methods: tuple[SpecMethod, ...]) -> str | None:
    """Say which methods cannot make ``batch`` edits in one update, if any."""
    single = [each.name for each in methods if not find_method(each.choice.base).many_edits]
    if batch == 1 or not single:
        return None
    take = "takes" if len(single) == 1 else "take"
    return f"found {batch}; {', '.join(single)} {take} one edit at a time: expected 1"


def built_in(name: str) -> SpecMethod:
    """Return a method that needs nothing but its name."""
    return SpecMethod(name=name, choice=MethodChoice.model_validate({"base": name}))


def comparison_id(comparison: CompareCheck) -> str:
    """Name a comparison as node ids do: ``deviation-rome-eac-than-rome``."""
    metric = f"absolute-{comparison.metric}" if comparison.absolute else comparison.metric
    matched = f"-at-equal-{comparison.at_equal.metric}" if comparison.at_equal else ""
    return f"{metric}-{comparison.subject}-than-{comparison.than}{matched}"
