"""The editing methods by name: the built-in ones, and those of other packages.

A spec is checked by a method's entry, without loading a model or torch.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pytest_eac.errors import SettingsError
from pytest_eac.spec.metrics import taken
from pytest_eac.spec.nearest_name import closest
from pytest_eac.spec.registry import KINDS, METRICS, built_in, find, names, register
from pytest_eac.spec.registry import METHODS as KIND
from pytest_eac.spec.registry_entries import Method

_EAC = "-eac"


def plain_name(name: str) -> str:
    """Return a method's name without ``-eac``."""
    return name.removesuffix(_EAC)


def _with_eac(methods: Mapping[str, Method]) -> dict[str, Method]:
    """Add ``NAME-eac`` behind each method that solves for a value."""
    found = {}
    for name, method in methods.items():
        found[name] = method
        if method.takes_value:
            found[name + _EAC] = replace(method, anchors=True)
    return found


BUILT_IN: Mapping[str, Method] = _with_eac(built_in(KIND))

CONTROLS = ("random", "random-spectrum")
"""Bases that mirror another method of the spec (``like``) and are no methods by themselves."""


def method_names() -> tuple[str, ...]:
    """Return the names of all methods, the built-in ones first."""
    return (*BUILT_IN, *(name for name in names(KIND) if name not in BUILT_IN))


def register_from(hook: Any) -> None:
    """Register what plugins and ``conftest.py`` files provide by hooks.

    Args:
        hook: pytest's, ``config.hook``.

    Raises:
        SettingsError: a method has the name of a built-in one, or a metric that of another check.
    """
    for kind in KINDS:
        provide = getattr(hook, f"pytest_eac_register_{kind}", None)
        for provided in provide() if provide else ():
            for name, thing in provided.items():
                if kind == KIND and name in {*BUILT_IN, *CONTROLS}:
                    raise SettingsError(
                        f"pytest_eac_register_methods: {name!r} is a built-in method; give yours a "
                        "name of its own"
                    )
                if kind == METRICS and (reason := taken(name)):
                    raise SettingsError(f"pytest_eac_register_metrics: {reason}")
                register(kind, name, thing)


def find_method(name: str) -> Method:
    """Return a method by name.

    Raises:
        KeyError: there is no such method, or it is a control; the message says what to write.
        EacError: another package announces it, but it cannot be imported.
    """
    if name in BUILT_IN:
        return BUILT_IN[name]
    if name in CONTROLS:
        example = f"{{my-{name}: {{base: {name}, like: rome}}}}"
        raise KeyError(f"{name!r} mirrors a method; say which, e.g. {example}")
    for wanted in (name, plain_name(name)):
        found = find(KIND, wanted)
        if found is None:
            continue
        method = found if isinstance(found, Method) else Method(solve=found)
        provided = _with_eac({wanted: method})
        if name in provided:
            return provided[name]
    raise KeyError(f"unknown method {name!r}{closest(name, (*method_names(), *CONTROLS))}")


def trouble_with(name: str) -> str | None:
    """Say why a method cannot be used, if so."""
    try:
        find_method(name)
    except KeyError as error:
        return str(error.args[0])
    except SettingsError as error:
        return str(error)
    return None


def is_method(name: str) -> bool:
    """Say whether a method of that name can be used."""
    return trouble_with(name) is None
