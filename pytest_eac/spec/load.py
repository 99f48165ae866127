"""A spec file, read whole: every problem in it is reported at once, as ``file:line:column``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from pytest_eac.errors import DataError, Problem, SettingsError, SpecError
from pytest_eac.spec.checks import METRICS_OF_EDITS
from pytest_eac.spec.choices import MethodChoice, ModelChoice
from pytest_eac.spec.edits import Edit, from_inline
from pytest_eac.spec.entries import EditSource
from pytest_eac.spec.explain import path_in, problems_of
from pytest_eac.spec.inherit import exists, read_with_parents
from pytest_eac.spec.methods import BUILT_IN, CONTROLS, find_method, method_names
from pytest_eac.spec.names import closest
from pytest_eac.spec.orders import Order, arranged
from pytest_eac.spec.schema import KnownIssue, Scoring, SpecFile
from pytest_eac.spec.sources import read_source

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_eac.spec.checks import Checks, Stats
    from pytest_eac.spec.marked import Mark, MarkedValue, Where
    from pytest_eac.spec.orderings import Orderings, Property


def _is_no_path(corpus: str) -> bool:
    return corpus == "built-in" or corpus.startswith("hub:")


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
    """A spec that can be run; ``lines`` gives the line of each check, ``compare`` ones included."""

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

    @property
    def properties(self) -> tuple[Property, ...]:
        """What must hold under every order of the edits."""
        return self.orderings.properties(self.checks) if self.orderings else ()

    def limited(self, count: int) -> Spec:
        """Return the same spec with at most ``count`` edits."""
        edits = self.edits[:count]
        kept = tuple(at for at in self.checkpoints if at < len(edits))
        return replace(self, edits=edits, checkpoints=(*kept, len(edits)))

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
            if name not in own and not _is_method(name):
                known = sorted({*own, *method_names()})
                raise ValueError(f"unknown method {name!r} for {self.file}{closest(name, known)}")
        chosen = tuple(own.get(name) or _built_in(name) for name in dict.fromkeys(names))
        if message := _batch_trouble(self.batch, chosen):
            raise ValueError(f"{self.file}: sequence.batch: {message}")
        return replace(self, methods=chosen)


def load_spec(path: str | Path) -> Spec:
    """Read a spec file.

    Raises:
        SpecError: with every problem found in the file, in the order of the text.
    """
    path = Path(path)
    problems: list[Problem] = []
    marked = read_with_parents(path, (), problems)
    if marked is None or problems:
        raise SpecError(_ordered(problems))
    try:
        written = SpecFile.model_validate(marked.value)
    except ValidationError as error:
        problems = problems_of(error, marked)
        problems += _unknown_methods(marked)
        problems += _problems_of_the_rest(path, marked, error)
        raise SpecError(_ordered(list(dict.fromkeys(problems)))) from None
    return _Builder(path, marked, written).build()


def _unknown_methods(marked: MarkedValue) -> list[Problem]:
    """Find misspelt methods in a file whose other parts may be wrong as well."""
    written = marked.value.get("methods")
    entries = written if isinstance(written, tuple) else (written,)
    problems = []
    for index, name in enumerate(entries):
        at: Where = ("methods", index) if isinstance(written, tuple) else ("methods",)
        if isinstance(name, str) and (message := _trouble_with(name)):
            problems.append(marked.mark(at).problem(message, at))
    return problems


def _trouble_with(name: str) -> str | None:
    """Say why a method cannot be used, if so."""
    try:
        find_method(name)
    except KeyError as error:
        return str(error.args[0])
    except SettingsError as error:
        return str(error)
    return None


def _batch_trouble(batch: int, methods: tuple[SpecMethod, ...]) -> str | None:
    """Say which methods cannot make ``batch`` edits in one update, if any."""
    single = [each.name for each in methods if not find_method(each.choice.base).many_edits]
    if batch == 1 or not single:
        return None
    take = "takes" if len(single) == 1 else "take"
    return f"found {batch}; {', '.join(single)} {take} one edit at a time: expected 1"


def _is_method(name: str) -> bool:
    return _trouble_with(name) is None


def _problems_of_the_rest(path: Path, marked: MarkedValue, error: ValidationError) -> list[Problem]:
    """Check the names and counts in those parts of a file that the schema has nothing against."""
    wrong = [path_in(marked.value, detail) for detail in error.errors(include_url=False)]
    value = dict(marked.value)
    for place in wrong:
        if place[:1] == ("checks",) and len(place) > 1 and isinstance(value.get("checks"), dict):
            value["checks"] = {k: v for k, v in value["checks"].items() if k != place[1]}
        else:
            value.pop(str(place[0]) if place else "", None)
        if place[:1] in {("checks",), ("methods",)}:
            value.pop("known_issues", None)  # what they name may have been left out above
    value.setdefault("eac", 1)
    value.setdefault("edits", ({"subject": "x", "prompt": "x", "target": "y"},))
    try:
        written = SpecFile.model_validate(value)
    except ValidationError:
        return []
    builder = _Builder(path, marked, written)
    if ("methods",) not in {place[:1] for place in wrong}:
        builder.check_plan(builder.methods())
    if ("edits",) not in {place[:1] for place in wrong}:
        edits = builder.edits()
        if edits is not None and ("scoring",) not in {place[:1] for place in wrong}:
            builder.check_data(edits)
    return builder.problems


def _ordered(problems: list[Problem]) -> tuple[Problem, ...]:
    return tuple(sorted(problems, key=lambda problem: (problem.line, problem.column)))


def _built_in(name: str) -> SpecMethod:
    return SpecMethod(name=name, choice=MethodChoice.model_validate({"base": name}))


class _Builder:
    """Checks what needs the whole file, and builds the spec."""

    def __init__(self, path: Path, marked: MarkedValue, written: SpecFile) -> None:
        self.path = path
        self.marked = marked
        self.written = written
        self.problems: list[Problem] = []

    def complain(self, at: Where, message: str, *, key: bool = False) -> None:
        self.problems.append(self.marked.mark(at, key=key).problem(message, at))

    def build(self) -> Spec:
        written = self.written
        edits = self.edits()
        methods = self.methods()
        self.check_plan(methods)
        if edits is not None:
            self.check_data(edits)
        checks = self.checks()
        if self.problems or edits is None:
            raise SpecError(_ordered(self.problems))
        return Spec(
            file=self.path,
            name=written.name or self.path.name.removesuffix(self.path.suffix).removesuffix(".eac"),
            model=self.model(),
            methods=methods,
            seeds=written.seeds,
            edits=edits,
            batch=written.sequence.batch,
            checkpoints=self.checkpoints(len(edits)),
            scoring=written.scoring,
            checks=checks,
            stats=written.stats,
            known_issues=written.known_issues,
            marks=written.marks,
            fixtures=written.fixtures,
            lines=self.lines(),
            orderings=written.orderings,
        )

    def check_plan(self, methods: tuple[SpecMethod, ...]) -> None:
        """Check what methods, seeds and names say of one another."""
        written = self.written
        if message := _batch_trouble(written.sequence.batch, methods):
            self.complain(("sequence", "batch"), message)
        for index, seed in enumerate(written.seeds):
            if seed in written.seeds[:index]:
                self.complain(("seeds", index), f"seed {seed} is given twice")
        self.check_names(methods)

    def model(self) -> ModelChoice | None:
        """Resolve a relative path in the model's id against the file that wrote it."""
        model = self.written.model
        if model is None or model.id.startswith("package:"):
            return model
        beside = self.marked.mark(("model", "id")).file.parent / Path(model.id).expanduser()
        looks_like_path = model.id.startswith((".", "~")) or model.id.endswith(".gguf")
        if looks_like_path or exists(beside):
            return model.model_copy(update={"id": str(beside.absolute())})
        return model

    def edits(self) -> tuple[Edit, ...] | None:
        edits: list[Edit] = []
        failed = False
        for index, entry in enumerate(self.written.edits):
            mark = self.marked.mark(("edits", index))
            if not isinstance(entry, EditSource):
                edits.append(from_inline(entry, f"{mark.file}:{mark.line}"))
                continue
            try:
                edits.extend(read_source(entry, mark.file.parent / entry.path))
            except DataError as error:
                failed = True
                self.complain(("edits", index, "from"), str(error))
        return tuple(edits) if not failed else None

    def methods(self) -> tuple[SpecMethod, ...]:
        methods: dict[str, SpecMethod] = {}
        places: dict[str, Where] = {}
        self.problems += _unknown_methods(self.marked)
        for index, entry in enumerate(self.written.methods):
            at: Where = ("methods", index) if self.is_list("methods") else ("methods",)
            variants = entry if isinstance(entry, dict) else {entry: None}
            for name, choice in variants.items():
                if choice is None and not _is_method(name):
                    continue
                if name in methods:
                    self.complain(at, f"method {name!r} is given twice")
                elif choice and name in BUILT_IN and name != choice.base:
                    place = at if name in self.written.methods else (*at, name)
                    message = f"{name!r} is a built-in method; give a variant of {choice.base} "
                    self.complain(place, message + "a name of its own", key=True)
                else:
                    method = SpecMethod(name=name, choice=choice) if choice else _built_in(name)
                    methods[name] = self.with_corpus(method, at)
                    places[name] = (*at, name)
        return self.with_mirrored(methods, places)

    def with_mirrored(
        self, methods: Mapping[str, SpecMethod], places: Mapping[str, Where]
    ) -> tuple[SpecMethod, ...]:
        """Give each control the choice of the method that it is like; leave out those without."""
        found = []
        own = [name for name, each in methods.items() if each.choice.base not in CONTROLS]
        for name, method in methods.items():
            like = method.choice.like
            if like is None:
                found.append(method)
            elif like in own or _is_method(like):
                choice = methods[like].choice if like in own else _built_in(like).choice
                found.append(replace(method, choice=choice, control=method.choice.base))
            else:
                known = dict.fromkeys((*own, *method_names()))
                message = f"{like!r} is neither a method of this spec nor a built-in one"
                message += closest(like, known)
                if like in methods or like in CONTROLS:
                    message = f"{like!r} is a control itself; expected a method"
                self.complain((*places[name], "like"), message)
        return tuple(found)

    def with_corpus(self, method: SpecMethod, at: Where) -> SpecMethod:
        """Resolve the path of a corpus against the file that wrote it."""
        covariance = method.choice.covariance
        if isinstance(covariance, str) or _is_no_path(covariance.corpus):
            return method
        place = (*at, method.name, "covariance", "corpus")
        path = self.marked.mark(place).file.parent / Path(covariance.corpus).expanduser()
        if not exists(path):
            found = f"found {covariance.corpus!r}, expected a file, built-in or hub:NAME"
            self.complain(place, found)
        settled = covariance.model_copy(update={"corpus": str(path.absolute())})
        choice = method.choice.model_copy(update={"covariance": settled})
        return replace(method, choice=choice)

    def checks(self) -> Checks:
        """Resolve the paths of the abilities' data against the files that wrote them."""
        settled = {}
        for name, bounds in self.written.checks.abilities.items():
            paths = {"data": bounds.data, "include": bounds.include}
            found = {
                key: self.beside(("checks", "abilities", name, key), path, hub=key == "data")
                for key, path in paths.items()
                if path is not None and not (key == "data" and path.startswith("hub:"))
            }
            settled[name] = bounds.model_copy(update=found)
        return self.written.checks.model_copy(update={"abilities": settled})

    def beside(self, place: Where, written: str, *, hub: bool) -> str:
        """Return the absolute path of a file that is named relative to the file that names it."""
        path = self.marked.mark(place).file.parent / Path(written).expanduser()
        if not exists(path):
            expected = "a file or hub:NAME" if hub else "a YAML file or a folder of them"
            self.complain(place, f"found {written!r}, expected {expected}")
        return str(path.absolute())

    def is_list(self, key: str) -> bool:
        return isinstance(self.marked.value.get(key), tuple)

    def check_names(self, methods: tuple[SpecMethod, ...]) -> None:
        names = [method.name for method in methods]
        seen = set()
        for index, comparison in enumerate(self.written.checks.compare):
            at: Where = ("checks", "compare", index)
            for role in ("less", "more", "than"):
                name = getattr(comparison, role)
                if name is not None and name not in names:
                    message = f"{name!r} is not one of this spec's methods{closest(name, names)}"
                    self.complain((*at, role), message)
            if trouble := self.not_at_the_end(comparison.metric):
                self.complain((*at, "metric"), trouble)
            if comparison_id(comparison) in seen:
                self.complain(at, "the same comparison is given twice")
            seen.add(comparison_id(comparison))
        own = [name for name, _ in self.written.checks.named()]
        checks = own + sorted(seen) + self.check_orderings(own)
        checks += ["changed"] if self.written.checks.changed else []
        for index, issue in enumerate(self.written.known_issues):
            at = ("known_issues", index)
            if issue.check not in checks:
                message = f"{issue.check!r} is not a check of this spec"
                self.complain((*at, "check"), message + closest(issue.check, checks))
            if issue.method is not None and issue.check in seen:
                message = "a comparison is of two methods; leave 'method' out"
                self.complain((*at, "method"), message)
            elif issue.method is not None and issue.method not in names:
                message = f"{issue.method!r} is not one of this spec's methods"
                self.complain((*at, "method"), message + closest(issue.method, names))

    def not_at_the_end(self, metric: str) -> str | None:
        """Say why there is nothing to compare in what is an ability, if so."""
        abilities = self.written.checks.abilities
        if metric in {*METRICS_OF_EDITS, "deviation"}:
            return None
        if metric not in abilities:
            return f"{metric!r} is not measured; add it to checks.abilities"
        if isinstance(abilities[metric].at, int):
            return f"{metric!r} is not measured at the end; give it at: final or every"
        return None

    def check_orderings(self, checks: list[str]) -> list[str]:
        """Check what ``orderings`` say of the other parts; return their items' names."""
        orderings = self.written.orderings
        if orderings is None:
            return []
        for index, name in enumerate(orderings.hold or ()):
            if name not in checks:
                message = f"{name!r} is not a check of this spec" + closest(name, checks)
                self.complain(("orderings", "hold", index), message)
            elif name == "known":
                message = "'known' is of the unedited model: no order can change it"
                self.complain(("orderings", "hold", index), message)
        properties = orderings.properties(self.written.checks)
        if not properties:
            message = "nothing is checked; expected a check to hold, a spread or a state"
            self.complain(("orderings",), message, key=True)
        if "interleaving" in orderings.kinds and self.written.sequence.batch == 1:
            message = (
                "an interleaving mixes batches, and sequence.batch is 1: take permutation instead"
            )
            self.complain(("orderings", "kinds"), message, key=True)
        return [each.id for each in properties]

    def check_data(self, edits: tuple[Edit, ...]) -> None:
        checks = self.written.checks
        self.check_orderings_data(edits)
        count = len(edits)
        for index, at in enumerate(self.written.sequence.checkpoints):
            if message := self.no_checkpoint(at, count):
                self.complain(("sequence", "checkpoints", index), message)
        for name, bounds in checks.named():
            last = getattr(bounds, "at", None)
            if isinstance(last, int) and (message := self.no_checkpoint(last, count)):
                self.complain((*self.place(name), "at"), message)
        needs = {
            "generalization": ("paraphrases", any(edit.paraphrases for edit in edits)),
            "locality": ("a neighborhood", any(edit.neighborhood for edit in edits)),
            "known": ("a truth", any(edit.truth for edit in edits)),
        }
        for name, (what, there) in needs.items():
            if getattr(checks, name) is not None and not there:
                self.complain(("checks", name), f"no edit has {what} to measure it on", key=True)
        if self.written.scoring.match == "success":
            self.check_success(edits)

    def check_orderings_data(self, edits: tuple[Edit, ...]) -> None:
        orderings = self.written.orderings
        if orderings is None:
            return
        if len(edits) == 1:
            message = "a single edit has no order; expected two edits or more"
            self.complain(("orderings",), message, key=True)
        if "conflict" in orderings.kinds and not any(edit.truth for edit in edits):
            message = "no edit has a truth to put back, as a conflicting edit does"
            self.complain(("orderings", "kinds"), message, key=True)

    def place(self, check: str) -> Where:
        """Return where a check is written."""
        for group in ("metrics", "abilities"):
            if check in getattr(self.written.checks, group):
                return ("checks", group, check)
        if check.startswith("deviation-"):
            return ("checks", "deviation", "growth")
        return ("checks", check)

    def no_checkpoint(self, at: int, count: int) -> str | None:
        """Say why the model cannot be measured after ``at`` edits, if so."""
        batch = self.written.sequence.batch
        if at > count:
            return f"found {at}, expected at most the number of edits, {count}"
        if at % batch and at != count:
            return f"found {at}, expected a multiple of the batch, {batch}: edits come in batches"
        return None

    def check_success(self, edits: tuple[Edit, ...]) -> None:
        for edit in edits:
            if edit.truth is None:
                message = (
                    f"success asks whether the target is likelier than the truth, but the edit at "
                    f"{edit.origin} ({edit.subject}) has no truth; add it or take match: accuracy"
                )
                self.complain(("scoring", "match"), message)
                return

    def checkpoints(self, count: int) -> tuple[int, ...]:
        """Return the points to measure at: those asked for, those checks need, and the end."""
        asked = {
            at
            for _, bounds in self.written.checks.named()
            if isinstance(at := getattr(bounds, "at", None), int)
        }
        return tuple(sorted({*self.written.sequence.checkpoints, *asked, count}))

    def line(self, mark: Mark) -> int:
        """Return a mark's line; for what another file wrote, that of ``extends``."""
        if mark.file == self.path:
            return mark.line
        return self.marked.mark(("extends",), key=True).line

    def lines(self) -> dict[str, int]:
        lines = {
            name: self.line(self.marked.mark(self.place(name), key=True))
            for name, _ in self.written.checks.named()
        }
        if self.written.checks.changed is not None:
            lines["changed"] = self.line(self.marked.mark(("checks", "changed"), key=True))
        for index, comparison in enumerate(self.written.checks.compare):
            mark = self.marked.mark(("checks", "compare", index))
            lines[comparison_id(comparison)] = self.line(mark)
        if self.written.orderings is not None:
            line = self.line(self.marked.mark(("orderings",), key=True))
            each = self.written.orderings.properties(self.written.checks)
            lines |= {found.id: line for found in each}
        if self.written.model is not None:
            lines["model"] = self.line(self.marked.mark(("model",), key=True))
        return lines


def comparison_id(comparison: Any) -> str:
    """Name a comparison as node ids do: ``deviation-rome-eac-than-rome``."""
    return f"{comparison.metric}-{comparison.subject}-than-{comparison.than}"
