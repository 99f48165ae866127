"""The methods of a spec: each by its name, with what it is based on and what it mirrors."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from pytest_eac.data.files import file_trouble
from pytest_eac.errors import SpecProblem
from pytest_eac.spec.methods import BUILT_IN, CONTROLS, is_method, method_names, trouble_with
from pytest_eac.spec.nearest_name import closest
from pytest_eac.spec.parsed import Draft
from pytest_eac.spec.spec import SpecMethod, built_in
from pytest_eac.spec.types import as_tuple
from pytest_eac.spec.yaml.places import MarkedValue, Where


def unknown_methods(marked: MarkedValue) -> list[SpecProblem]:
    """Find misspelt methods in a file whose other parts may be wrong as well."""
    written = marked.value.get("methods")
    problems = []
    for index, name in enumerate(as_tuple(written)):
        at = _place(marked, index)
        if isinstance(name, str) and (message := trouble_with(name)):
            problems.append(marked.mark(at).problem(message, at))
    return problems


def _place(marked: MarkedValue, index: int) -> Where:
    """Return where a method is written; a single one may be written without a list."""
    is_list = isinstance(marked.value.get("methods"), tuple)
    return ("methods", index) if is_list else ("methods",)


def chosen_methods(draft: Draft) -> tuple[SpecMethod, ...]:
    """Return the methods that can be used; what is wrong with the others goes to the draft."""
    methods: dict[str, SpecMethod] = {}
    places: dict[str, Where] = {}
    draft.problems.extend(unknown_methods(draft.marked))
    for index, entry in enumerate(draft.written.methods):
        at = _place(draft.marked, index)
        variants = entry if isinstance(entry, dict) else {entry: None}
        for name, choice in variants.items():
            if choice is None and not is_method(name):
                continue
            if name in methods:
                draft.complain(at, f"method {name!r} is given twice")
            elif choice and name in BUILT_IN and name != choice.base:
                place = at if name in draft.written.methods else (*at, name)
                message = f"{name!r} is a built-in method; give a variant of {choice.base} "
                draft.complain(place, message + "a name of its own", key=True)
            else:
                method = SpecMethod(name=name, choice=choice) if choice else built_in(name)
                methods[name] = _with_corpus(draft, method, at)
                places[name] = (*at, name)
    return _with_mirrored(draft, methods, places)


def _with_mirrored(
    draft: Draft, methods: Mapping[str, SpecMethod], places: Mapping[str, Where]
) -> tuple[SpecMethod, ...]:
    """Give each control the choice of the method that it is like; leave out those without."""
    found = []
    own = [name for name, each in methods.items() if each.choice.base not in CONTROLS]
    for name, method in methods.items():
        like = method.choice.like
        if like is None:
            found.append(method)
        elif like in own or is_method(like):
            choice = methods[like].choice if like in own else built_in(like).choice
            found.append(replace(method, choice=choice, control=method.choice.base))
        else:
            known = dict.fromkeys((*own, *method_names()))
            message = f"{like!r} is neither a method of this spec nor a built-in one"
            message += closest(like, known)
            if like in methods or like in CONTROLS:
                message = f"{like!r} is a control itself; expected a method"
            draft.complain((*places[name], "like"), message)
    return tuple(found)


def _with_corpus(draft: Draft, method: SpecMethod, at: Where) -> SpecMethod:
    """Resolve the path of a corpus against the file that wrote it."""
    covariance = method.choice.covariance
    if isinstance(covariance, str) or covariance.corpus.startswith("hub:"):
        return method
    if covariance.corpus == "built-in":
        return method
    place = (*at, method.name, "covariance", "corpus")
    trouble = partial(file_trouble, expected="a file, built-in or hub:NAME")
    path = draft.beside(place, covariance.corpus, trouble)
    settled = covariance.model_copy(update={"corpus": path})
    choice = method.choice.model_copy(update={"covariance": settled})
    return replace(method, choice=choice)
