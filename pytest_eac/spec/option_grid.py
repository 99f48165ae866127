"""Options of methods with several values: each method of a spec with every one of them."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pytest_eac.data.files import expanded, file_trouble
from pytest_eac.errors import SettingsError
from pytest_eac.spec.schema.error_messages import problems_of
from pytest_eac.spec.schema.methods import MethodChoice
from pytest_eac.spec.schema.spec_file import SpecFile
from pytest_eac.spec.spec import SpecMethod
from pytest_eac.spec.yaml.places import Mark, MarkedError, MarkedValue
from pytest_eac.spec.yaml.values import parse

_CORPUS = "covariance.corpus"
_CHOSEN_BY_NAME = ("base", "like")
_EDIT = {"subject": "x", "prompt": "{}", "target": "y"}


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionValue:
    """An option of a method, by its dotted path, with a value."""

    option: str
    value: Any

    @property
    def shown(self) -> str:
        """The value as the command line takes it."""
        if isinstance(self.value, str):
            return self.value
        value = self.value
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        return json.dumps(value, separators=(",", ":"))

    def __str__(self) -> str:
        return f"{self.option}={self.shown}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """A method of a spec with some of its options set to other values.

    Attributes:
        method: the method, under a name that says what was set: ``rome[value.clamp=2]``.
        of: the name of the method that it is a variant of.
        settings: what was set.
    """

    method: SpecMethod
    of: str
    settings: tuple[OptionValue, ...]


def read_settings(text: str) -> tuple[OptionValue, ...]:
    """Read an option and its values, ``value.clamp=1,2,4``; values are written as in YAML.

    Raises:
        ValueError: the text is something else; says what was found.
    """
    option, equals, written = text.partition("=")
    if not (equals and written.strip() and all(option.split("."))):
        raise ValueError(f"found {text!r}, expected OPTION=VALUE,... such as value.clamp=1,2,4")
    try:
        found = parse(f"values: [{written}]", Path("--set")).value
    except MarkedError as error:
        found = {"values": None, "problem": error.problems[0].message}
    values = found["values"]
    if len(found) > 1 or not values:
        reason = found.get("problem", "found more than one list")
        raise ValueError(f"{text!r} cannot be read: {reason}; expected values as in YAML")
    settings = tuple(OptionValue(option=option, value=each) for each in values)
    for index, setting in enumerate(settings):
        if setting in settings[:index]:
            raise ValueError(f"{option}: the value {setting.shown} is given twice")
    return settings


def variants(
    methods: Sequence[SpecMethod], options: Sequence[tuple[OptionValue, ...]]
) -> tuple[Variant, ...]:
    """Return each method with every combination of values.

    Args:
        methods: of a spec.
        options: for each option, the values that it takes.

    Raises:
        SettingsError: an option or a value does not fit a method; one line for each problem.
    """
    names = [each[0].option for each in options]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise SettingsError(f"--set {twice}: given twice; give all values at once")
    for each in options:  # by itself, so that a problem is reported where it is
        _require_fitting(methods, [(setting,) for setting in each])
    combined = list(product(*options))
    _require_fitting(methods, combined)
    return tuple(_variant(method, settings) for method in methods for settings in combined)


def _require_fitting(
    methods: Sequence[SpecMethod], combined: Sequence[tuple[OptionValue, ...]]
) -> None:
    """Raise one error for all methods that cannot have all these values of the same options."""
    found: dict[str, list[tuple[SpecMethod, tuple[OptionValue, ...]]]] = {}
    for method, settings in product(methods, combined):
        for message in dict.fromkeys(misfits(method, settings)):
            found.setdefault(message, []).append((method, settings))
    lines = []
    for message, cases in found.items():
        names = dict.fromkeys(method.name for method, _ in cases)
        wrong = dict.fromkeys(" ".join(map(str, settings)) for _, settings in cases)
        if len(combined[0]) == 1:
            shown = dict.fromkeys(setting.shown for _, (setting,) in cases)
            wrong = dict.fromkeys([f"{combined[0][0].option}={','.join(shown)}"])
        others = [each.name for each in methods if each.name not in names]
        hint = f"; {', '.join(others)} can be chosen with --method" if others else ""
        lines.append(f"--set {', '.join(wrong)}: {', '.join(names)}: {message}{hint}")
    if lines:
        raise SettingsError("\n".join(lines))


def misfits(method: SpecMethod, settings: Sequence[OptionValue]) -> Iterator[str]:
    """Say why options, or their values, cannot be those of a method."""
    for each in settings:
        if each.option in _CHOSEN_BY_NAME:
            yield "this option is the method itself; methods are chosen with --method"
            return
        if each.option == _CORPUS and _is_file(each.value):
            trouble = file_trouble(expanded(each.value), "a file, built-in or hub:NAME")
            if trouble:
                yield f"found {each.value!r}, {trouble}"
    try:
        _chosen(method, settings)
    except ValidationError as error:
        written = {"methods": ({method.name: _written(method, settings)},)}
        start = Mark(file=Path("--set"), line=1, column=1)
        marked = MarkedValue(value=written, keys={}, values={(): start})
        for problem in problems_of(error, marked):
            place = (problem.path or "").partition(f"{method.name}.")[2]
            known = not place or any(each.option == place for each in settings)
            yield problem.message if known else f"{place}: {problem.message}"


def _variant(method: SpecMethod, settings: tuple[OptionValue, ...]) -> Variant:
    name = f"{method.name}[{','.join(map(str, settings))}]"
    changed = replace(method, name=name, choice=_chosen(method, settings))
    return Variant(method=changed, of=method.name, settings=settings)


def _chosen(method: SpecMethod, settings: Sequence[OptionValue]) -> MethodChoice:
    """Return a method's choice with options set, checked as a spec's own is."""
    choice = _written(method, settings)
    checked = SpecFile.model_validate(
        {"eac": 1, "methods": ({method.name: choice},), "edits": (_EDIT,)}
    )
    entry: Any = checked.methods[0]
    found: MethodChoice = entry[method.name]
    return found


def _written(method: SpecMethod, settings: Sequence[OptionValue]) -> dict[str, Any]:
    """Return a method's choice as a spec would write it, with options set."""
    choice = method.choice.model_dump(exclude_unset=True)
    for setting in settings:
        *groups, last = setting.option.split(".")
        place = choice
        for group in groups:
            if not isinstance(place.get(group), dict):
                place[group] = {}
            place = place[group]
        value = setting.value
        if setting.option == _CORPUS and _is_file(value):
            value = str(expanded(value).absolute())
        place[last] = value
    return choice


def _is_file(corpus: Any) -> bool:
    return isinstance(corpus, str) and corpus != "built-in" and not corpus.startswith("hub:")
