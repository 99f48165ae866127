"""The editing methods by name: the built-in ones, and those that other packages bring.

A method is one callable ``(model, edits, settings) -> deltas``; what is said of it here is what a
spec can be checked by without loading a model, or torch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any

from pytest_eac.errors import SettingsError
from pytest_eac.spec.metrics import taken
from pytest_eac.spec.registry import KINDS, METRICS, find, names, register
from pytest_eac.spec.registry import METHODS as KIND
from pytest_eac.spec.suggestions import closest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic import BaseModel

_EAC = "-eac"


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """An editing method, as data.

    Attributes:
        solve: the callable ``(model, edits, settings)`` or ``(model, edits, settings, work)``, or
            where to find it (``"package.module:name"``, imported on first use). It returns the
            deltas, or a :class:`pytest_eac.editing.interface.Solved` to say more, and leaves the
            model as it is.
        source: where the method was published.
        takes_value: it writes solved values; ``NAME-eac`` then exists as well.
        many_edits: it can make several edits in one update (``sequence: {batch: 10}``).
        many_layers: it can spread an update over several layers.
        covariance: it reads the second moment of the layers' inputs.
        update: its options under ``update:``, with their defaults.
        value: defaults under ``value:`` that differ from the usual ones.
        modules: which modules it may change, ``(model, settings) -> paths``; by default the
            down-projections of ``settings.layers``.
        options: a pydantic model for what the spec says under ``options:`` (for methods of other
            packages); ``settings.options`` is then an instance of it.
    """

    solve: str | Callable[..., Any]
    source: str = ""
    takes_value: bool = False
    many_edits: bool = True
    many_layers: bool = True
    covariance: bool = False
    update: Mapping[str, Any] = field(default_factory=dict)
    value: Mapping[str, Any] = field(default_factory=dict)
    modules: Callable[..., Any] | None = None
    options: type[BaseModel] | None = None
    anchors: bool = False

    def resolve(self) -> Callable[..., Any]:
        """Return the callable, importing it if need be.

        Raises:
            ImportError, AttributeError: it is not there.
        """
        if not isinstance(self.solve, str):
            return self.solve
        module, _, name = self.solve.partition(":")
        found: Callable[..., Any] = getattr(import_module(module), name)
        return found


def _spread(source: str, **more: Any) -> Method:
    """A method that solves for values and writes them by a formula (``editing/updates``)."""
    return Method(
        solve="pytest_eac.editing.recipes:locate_then_edit",
        source=source,
        takes_value=True,
        covariance=True,
        **more,
    )


# No weight given stands for the number of the layer's inputs: the published values, 15,000 to
# 20,000, are of that size for the models they are for.
_LAMBDA = {"weight": None}
_ALPHAEDIT = {"threshold": 2e-2, "l2": 10.0}

_PLAIN: dict[str, Method] = {
    "rome": _spread("Meng et al. 2022, arXiv 2202.05262", many_edits=False, many_layers=False),
    "r-rome": _spread("Gupta et al. 2024, arXiv 2403.07175", many_edits=False, many_layers=False),
    "memit": _spread("Meng et al. 2023, arXiv 2210.07229", update=_LAMBDA),
    "memit-prev": _spread("MEMIT with the keys of earlier edits protected", update=_LAMBDA),
    "emmet": _spread("Gupta et al. 2024, arXiv 2403.14236", many_layers=False, update={"l2": 0.0}),
    "rect": _spread("Gu et al. 2024, arXiv 2401.04700", update={**_LAMBDA, "keep": 0.4}),
    "prune": Method(
        solve="pytest_eac.editing.filters.prune:prune",
        source="Ma et al. 2024, arXiv 2405.16821",
        takes_value=True,
        covariance=True,
        update={**_LAMBDA, "log_base": math.e},
    ),
    "alphaedit": _spread("Fang et al. 2024, arXiv 2410.02355", update=_ALPHAEDIT),
    "nas": _spread("arXiv 2602.02543", update=_ALPHAEDIT, value={"norm": "anchored"}),
    "encore": _spread(
        "Gupta et al. 2025, arXiv 2502.01636",
        update={**_LAMBDA, "l2": 10.0},
        value={"stop_when": "argmax"},
    ),
    "ft": Method(
        solve="pytest_eac.editing.updates.ft:fine_tune",
        many_layers=False,
        source="the FT baseline of Meng et al. 2022, arXiv 2202.05262",
        update={"steps": 25, "learning_rate": 5e-4},
    ),
    "ft-l": Method(
        solve="pytest_eac.editing.updates.ft:fine_tune",
        many_layers=False,
        source="the constrained FT baseline, Zhu et al. 2020, arXiv 2012.00363",
        update={"steps": 25, "learning_rate": 5e-4, "radius": 5e-4},
    ),
}


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


BUILT_IN: Mapping[str, Method] = _with_eac(_PLAIN)

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
        bring = getattr(hook, f"pytest_eac_register_{kind}", None)
        for brought in bring() if bring else ():
            for name, thing in brought.items():
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
        KeyError: there is no such method, or a control is taken for one; the message says what to
            write.
        EacError: another package announces it but cannot bring it.
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
        brought = _with_eac({wanted: method})
        if name in brought:
            return brought[name]
    raise KeyError(f"unknown method {name!r}{closest(name, (*method_names(), *CONTROLS))}")
