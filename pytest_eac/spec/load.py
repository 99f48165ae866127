"""A spec file, read whole: every problem in it is reported at once, as ``file:line:column``."""

from functools import partial
from pathlib import Path

from pydantic import ValidationError

from pytest_eac.data.files import exists, expanded, file_trouble, is_gguf
from pytest_eac.errors import SpecError, SpecProblem
from pytest_eac.spec.consistency import check_data, check_plan
from pytest_eac.spec.edit_sets import read_edit_sets
from pytest_eac.spec.edit_warnings import edit_warnings
from pytest_eac.spec.extends import read_with_parents
from pytest_eac.spec.parsed import Draft
from pytest_eac.spec.resolved_methods import chosen_methods, unknown_methods
from pytest_eac.spec.schema.checks import ChangedBounds, Checks
from pytest_eac.spec.schema.error_messages import path_in, problems_of
from pytest_eac.spec.schema.methods import ModelChoice
from pytest_eac.spec.schema.public_keys import public_key_trouble
from pytest_eac.spec.schema.spec_file import SpecFile
from pytest_eac.spec.spec import Spec
from pytest_eac.spec.yaml.places import MarkedValue, Where


def load_spec(path: str | Path) -> Spec:
    """Read a spec file.

    Raises:
        SpecError: with every problem found in the file, in the order of the text.
    """
    path = Path(path)
    problems: list[SpecProblem] = []
    marked = read_with_parents(path, problems)
    if marked is None or problems:
        raise SpecError(_ordered(problems))
    try:
        written = SpecFile.model_validate(marked.value)
    except ValidationError as error:
        problems = problems_of(error, marked)
        problems += unknown_methods(marked)
        problems += _problems_of_the_rest(path, marked, error)
        raise SpecError(_ordered(list(dict.fromkeys(problems)))) from None
    return _built(Draft(path=path, marked=marked, written=written))


def _problems_of_the_rest(
    path: Path, marked: MarkedValue, error: ValidationError
) -> list[SpecProblem]:
    """Check the names and counts in the parts of a file that fit the schema."""
    wrong = [path_in(marked.value, detail) for detail in error.errors(include_url=False)]
    parts = {place[0] for place in wrong if place}
    value = dict(marked.value)
    for place in wrong:
        if place[:1] == ("checks",) and len(place) > 1 and isinstance(value.get("checks"), dict):
            value["checks"] = {k: v for k, v in value["checks"].items() if k != place[1]}
        else:
            value.pop(str(place[0]) if place else "", None)
    if parts & {"checks", "methods"}:
        value.pop("known_issues", None)  # what they name may have been left out above
    value.setdefault("eac", 1)
    value.setdefault("edits", ({"subject": "x", "prompt": "x", "target": "y"},))
    try:
        written = SpecFile.model_validate(value)
    except ValidationError:
        return []
    draft = Draft(path=path, marked=marked, written=written)
    if "methods" not in parts:
        check_plan(draft, chosen_methods(draft))
    if "edits" not in parts:
        sets = read_edit_sets(draft)
        if sets is not None and "scoring" not in parts:
            check_data(draft, sets)
    return draft.problems


def _ordered(problems: list[SpecProblem]) -> tuple[SpecProblem, ...]:
    return tuple(sorted(problems, key=lambda problem: (problem.line, problem.column)))


def _built(draft: Draft) -> Spec:
    """Check what needs the whole file, and build the spec."""
    written = draft.written
    sets = read_edit_sets(draft)
    methods = chosen_methods(draft)
    check_plan(draft, methods)
    if sets is not None:
        check_data(draft, sets)
    checks = _checks(draft)
    if draft.problems or sets is None:
        raise SpecError(_ordered(draft.problems))
    return Spec(
        file=draft.path,
        name=written.name or draft.path.name.removesuffix(draft.path.suffix).removesuffix(".eac"),
        model=_model(draft),
        methods=methods,
        seeds=written.seeds,
        edits=sets[0],
        edit_sets=sets,
        batch=written.sequence.batch,
        checkpoints=_checkpoints(draft, len(sets[0])),
        scoring=written.scoring,
        checks=checks,
        stats=written.stats,
        known_issues=written.known_issues,
        marks=written.marks,
        fixtures=written.fixtures,
        lines=draft.lines(),
        orderings=written.orderings,
        warnings=(*draft.warnings, *edit_warnings(draft, sets)),
        written=frozenset(draft.marked.value),
    )


def _model(draft: Draft) -> ModelChoice | None:
    """Resolve a relative path in the model's id against the file that wrote it."""
    model = draft.written.model
    if model is None or model.id.startswith("package:"):
        return model
    beside = draft.marked.mark(("model", "id")).file.parent / expanded(model.id)
    looks_like_path = model.id.startswith((".", "~")) or is_gguf(model.id)
    if looks_like_path or exists(beside):
        return model.model_copy(update={"id": str(beside.absolute())})
    return model


def _checks(draft: Draft) -> Checks:
    """Resolve the paths of keys and of the abilities' data against the files that wrote them."""
    settled = {}
    for name, bounds in draft.written.checks.abilities.items():
        place: Where = ("checks", "abilities", name)
        found = {}
        if bounds.data is not None and not bounds.data.startswith("hub:"):
            trouble = partial(file_trouble, expected="a file or hub:NAME")
            found["data"] = draft.beside((*place, "data"), bounds.data, trouble)
        if bounds.include is not None:
            found["include"] = draft.beside((*place, "include"), bounds.include, _tasks_trouble)
        settled[name] = bounds.model_copy(update=found)
    changed = _changed(draft, draft.written.checks.changed)
    return draft.written.checks.model_copy(update={"abilities": settled, "changed": changed})


def _tasks_trouble(path: Path) -> str | None:
    return None if path.is_dir() else file_trouble(path, "a YAML file or a folder of them")


def _changed(draft: Draft, bounds: ChangedBounds | None) -> ChangedBounds | None:
    if bounds is None or bounds.signed_by is None:
        return bounds
    place: Where = ("checks", "changed", "signed_by")
    is_list = (*place, 0) in draft.marked.values
    keys = tuple(
        draft.beside((*place, index) if is_list else place, written, public_key_trouble)
        for index, written in enumerate(bounds.signed_by)
    )
    return bounds.model_copy(update={"signed_by": keys})


def _checkpoints(draft: Draft, count: int) -> tuple[int, ...]:
    """Return the points to measure at: those asked for, those checks need, and the end."""
    asked = {
        at
        for _, bounds in draft.written.checks.named()
        if isinstance(at := getattr(bounds, "at", None), int)
    }
    return tuple(sorted({*draft.written.sequence.checkpoints, *asked, count}))
