"""Where code that results depend on is found: modules, the classes they define, registries.

A registry is a dictionary of functions or classes, such as that of attention functions.
"""

import sys
from collections.abc import Iterable, ValuesView
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache, partial, partialmethod
from types import FunctionType, MethodType, ModuleType
from typing import Any

from pytest_eac.lm.transformers_private import LOCAL_ENTRIES

# Packages with all that is below them: what measures and edits, what the code of models and
# tokenizers calls, and of torch what computes, without its compiler and on one device.
_PACKAGES = (
    *("pytest_eac", "transformers", "tokenizers"),
    *("torch.nn", "torch.optim", "torch.autograd", "torch.linalg", "torch.functional"),
    *("torch.random", "torch.special", "torch.amp", "torch._tensor"),
)
_PREFIXES = tuple(f"{name}." for name in _PACKAGES)
# Modules without what is below them: what the former call by name.
_MODULES = frozenset(
    {*_PACKAGES, "torch", "numpy", "numpy.linalg", "numpy.random", "scipy.stats", "scipy.optimize"}
    | {"builtins", "math", "random", "statistics", "itertools", "functools", "operator"}
    | {"re", "json", "hashlib", "unicodedata"}
)
# What holds functions, and where.
_HOLDERS = (
    (staticmethod | classmethod | MethodType, ("__func__",)),
    (property, ("fget", "fset")),
    (partial | partialmethod | cached_property, ("func",)),
    (type(cache(len)), ("__wrapped__",)),
)
ABSENT = object()


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """Where code is found by its name.

    Attributes:
        name: in messages.
        entries: what is there now; a live view of the attributes of ``owner``, or a dictionary.
        owner: the module or class, if it is one.
        layered: a new entry hides another one, as an attribute of a class hides an inherited one.
    """

    name: str
    entries: Any
    owner: type | ModuleType | None = None
    layered: bool = False

    @property
    def values(self) -> ValuesView[Any]:
        """A live view, which does not make lazy dictionaries import anything."""
        entries = self.entries
        return dict.values(entries) if isinstance(entries, dict) else entries.values()

    def copy(self) -> dict[Any, Any]:
        """Return the entries as they are now."""
        if not isinstance(self.entries, dict):
            return dict(self.entries)
        return dict(zip(dict.keys(self.entries), dict.values(self.entries), strict=True))

    def called(self, entry: object) -> str:
        """Return an entry's name in messages."""
        return f"{self.name}[{entry!r}]" if self.owner is None else f"{self.name}.{entry}"

    def put_back(self, entry: Any, then: Any) -> None:
        """Write an entry, or remove it if there was none (``ABSENT``)."""
        held = self.entries
        if self.owner is None and then is ABSENT:
            del held[entry]
        elif self.owner is None:
            held[entry] = then
        elif then is ABSENT:
            delattr(self.owner, entry)
        else:
            setattr(self.owner, entry, then)


def places_of(classes: Iterable[type]) -> tuple[Place, ...]:
    """Return where the code of these classes is, and that of all loaded modules that count."""
    bases = dict.fromkeys(base for each in classes for base in each.__mro__ if base is not object)
    modules = [sys.modules.get(base.__module__) for base in bases]
    modules += [
        module
        for name, module in list(sys.modules.items())
        if (name in _MODULES or name.startswith(_PREFIXES)) and isinstance(module, ModuleType)
    ]
    return _reachable((*bases, *(each for each in modules if each is not None)))


@lru_cache(maxsize=8)
def _reachable(owners: tuple[type | ModuleType, ...]) -> tuple[Place, ...]:
    """Return modules and classes, the classes that these define, and dictionaries, as places."""
    waiting, seen = list(owners), set(owners)
    found: dict[Place, None] = {}
    for owner in waiting:
        places, classes = _within(owner)
        found.update(dict.fromkeys(places))
        waiting += [each for each in classes if each not in seen]
        seen.update(classes)
    return tuple(found)


@cache  # so that a place is the same object each time
def _within(owner: type | ModuleType) -> tuple[tuple[Place, ...], tuple[type, ...]]:
    """Return a module or class and its dictionaries as places, and its classes."""
    name, entries = owner.__name__, vars(owner)
    places = [Place(name, entries, owner, layered=isinstance(owner, type))]
    classes = []
    for key, value in list(entries.items()):
        kind = type(value)
        if issubclass(kind, type):
            if _is_ours(value):
                classes.append(value)
        elif issubclass(kind, dict):
            if any(map(callable, dict.values(value))) and not key.startswith("__"):
                places.append(_registry(f"{name}.{key}", value))
        elif _is_ours(kind) and isinstance(
            own := getattr(value, "__dict__", {}).get(LOCAL_ENTRIES), dict
        ):
            places.append(_registry(f"{name}.{key}", own, layered=True))
    return tuple(places), tuple(classes)


_REGISTRIES: dict[int, Place] = {}


def _registry(name: str, entries: dict[Any, Any], *, layered: bool = False) -> Place:
    """Return a dictionary as a place, the same one under each name that it is found by."""
    return _REGISTRIES.setdefault(id(entries), Place(name, entries, layered=layered))


def _is_ours(kind: type) -> bool:
    module = str(kind.__module__)
    return module in _PACKAGES or module == "torch" or module.startswith(_PREFIXES)


def functions_in(values: Iterable[Any]) -> tuple[FunctionType, ...]:
    """Return the Python functions among values, and those that decorators have wrapped."""
    found: dict[FunctionType, None] = {}
    for each in values:
        _collect(each, found)
    return tuple(found)


def _collect(value: Any, found: dict[FunctionType, None]) -> None:
    kind: Any = type(value)
    if kind is not FunctionType:
        for name in _inside(kind):
            _collect(getattr(value, name), found)
    elif value not in found:
        found[value] = None
        for cell in value.__closure__ or ():
            with suppress(ValueError):  # an empty cell
                _collect(cell.cell_contents, found)


@cache
def _inside(kind: type) -> tuple[str, ...]:
    return next((names for holder, names in _HOLDERS if issubclass(kind, holder)), ())
