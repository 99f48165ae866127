"""Code that results depend on: functions, classes and registries, compared by identity.

What is replaced in a library stays replaced for the rest of the process, whichever model is loaded.
Compared is what results pass through: all loaded modules of the packages in `_PACKAGES`, the
classes they define, and their dictionaries, such as the registry of attention functions. What a
module gains later (a lazy import, an entry of a cache) replaces nothing and is no difference.

Not seen, because it is not reachable from Python or looks like ordinary state: memory of compiled
libraries, operators registered with ``torch.library``, variables in lower case, the contents of
lists and of closures, and packages that are not listed.
"""

from __future__ import annotations

import builtins
import sys
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache, partial, partialmethod
from itertools import chain
from operator import attrgetter, is_
from pathlib import Path
from types import FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, ValuesView

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
_TORCH = f"{Path(torch.__file__).parent}/"
_BUILT_IN = vars(builtins)
_CACHED = type(cache(len))
_PLAIN = str | int | float | complex | tuple | frozenset | bytes
_INNER = ("__func__", "__wrapped__", "_torchdynamo_orig_callable")
_ABSENT = object()
_Copy = tuple[dict[Any, Any], tuple[FunctionType, ...]]  # entries, the Python functions in them
_PARTS = ("__code__", "__defaults__")


@dataclass(frozen=True, slots=True, eq=False)
class _Place:
    """Where code is found by its name.

    Attributes:
        name: in messages.
        entries: what is there now; a live view of the attributes of ``owner``, or a dictionary.
        owner: the module or class, if it is one.
        layered: a new entry hides one that lies below, as a class's hides what it inherits.
    """

    name: str
    entries: Any
    owner: type | ModuleType | None = None
    layered: bool = False

    @property
    def values(self) -> ValuesView[Any]:
        """A live view; dictionaries that import what is asked of them are not asked."""
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
        """Write an entry, or remove it."""
        if self.owner is None:
            dict.__delitem__(self.entries, entry) if then is _ABSENT else dict.__setitem__(
                self.entries, entry, then
            )
        elif then is _ABSENT:
            delattr(self.owner, entry)
        else:
            setattr(self.owner, entry, then)


class _State:
    """What was found in places at one time.

    All objects are compared in one pass over flat lists, which takes some milliseconds; only if
    one is another are places looked at one by one.
    """

    def __init__(self, places: tuple[_Place, ...], before: _State | None) -> None:
        self.places = places
        known = before.copies if before else {}
        self.copies = {place: _copied(place, known.get(place)) for place in places}
        self._views = [place.values for place in places]
        self._values = list(chain.from_iterable(self._views))
        functions = chain.from_iterable(found for _, found in self.copies.values())
        self._functions = list(dict.fromkeys(functions))
        self._parts = {part: self._read(part) for part in _PARTS}

    def is_current(self) -> bool:
        """Say whether everything is the very same object as it was."""
        return self._holds_the_same() and not any(self.rewritten())

    def replaced(self) -> Iterator[tuple[_Place, Any, Any]]:
        """Yield where there is something else now, under which name, and what was there."""
        if self._holds_the_same():
            return
        for place, (then, _) in self.copies.items():
            if _is_copy(place, then):
                continue
            now = place.copy()
            for name, old in then.items():
                new = now.get(name, _ABSENT)
                if new is not old and _counts(place, name, old, new):
                    yield place, name, old
            for name in now.keys() - then.keys():
                if _hides(place, name, now[name]):
                    yield place, name, _ABSENT

    def rewritten(self) -> Iterator[tuple[FunctionType, str, Any]]:
        """Yield functions that consist of something else now, what of them, and what it was."""
        for part, then in self._parts.items():
            if _are_same(now := self._read(part), then):
                continue
            for function, new, old in zip(self._functions, now, then, strict=True):
                if new is not old:
                    yield function, part, old

    def _holds_the_same(self) -> bool:
        return _are_same(list(chain.from_iterable(self._views)), self._values)

    def _read(self, part: str) -> list[Any]:
        return list(map(attrgetter(part), self._functions))


def _are_same(now: list[Any], then: list[Any]) -> bool:
    """Say whether two lists hold the same objects; ten times as fast as asking one by one.

    Lists compare their elements by identity first, and only other objects by their own methods.
    """
    with suppress(Exception):  # of arrays, for example
        return now == then
    return False


# Shared, as nearly always nothing has changed since; in a list, as this module is a place as well.
_LATEST: list[_State | None] = [None]


class Code:
    """The present code of the libraries that results pass through.

    Args:
        classes: further classes whose code the model and its tokenizer run.
    """

    def __init__(self, classes: Iterable[type]) -> None:
        places, latest = _places(classes), _LATEST[0]
        if latest is None or latest.places is not places or not latest.is_current():
            latest = _LATEST[0] = _State(places, latest)
        self._then = latest

    def differences(self) -> list[str]:
        """Describe what has been replaced since."""
        found = [f"{place.called(entry)} (replaced)" for place, entry, _ in self._then.replaced()]
        return found + [
            f"{function.__module__}.{function.__qualname__} (its {part.strip('_')} replaced)"
            for function, part, _ in self._then.rewritten()
        ]

    def put_back(self) -> None:
        """Restore everything."""
        for place, entry, then in list(self._then.replaced()):
            place.put_back(entry, then)
        for function, part, then in list(self._then.rewritten()):
            setattr(function, part, then)


def _counts(place: _Place, name: object, then: Any, new: Any) -> bool:
    """Say whether results may depend on an entry that is no longer what it was."""
    if callable(then) or hasattr(type(then), "__get__") or isinstance(then, ModuleType):
        return not _is_wrapped(then, new)
    if place.owner is not None and not str(name).lstrip("_").isupper():
        return False  # a variable
    return isinstance(then, _PLAIN) and (type(new) is not type(then) or bool(new != then))


def _hides(place: _Place, name: object, new: Any) -> bool:
    """Say whether a new entry hides what was found under its name before."""
    if not callable(new) and not hasattr(type(new), "__get__"):
        return False
    if isinstance(place.owner, ModuleType):
        return name in _BUILT_IN and not str(name).startswith("__")
    return place.layered


def _is_wrapped(then: Any, now: Any) -> bool:
    """Say whether torch has wrapped one of its functions; it does what it did before.

    Torch does so when its compiler is loaded, when that is used, and when the first optimizer of a
    class is made.
    """
    code = getattr(now, "__code__", None)
    return (
        code is not None
        and code.co_filename.startswith(_TORCH)
        and _innermost(now) is _innermost(then)
    )


def _innermost(function: Any) -> Any:
    seen: set[int] = set()
    while id(function) not in seen:
        seen.add(id(function))
        for name in _INNER:
            function = getattr(function, name, function)
    return function


def _copied(place: _Place, known: _Copy | None) -> _Copy:
    """Copy a place, unless what is known of it still holds."""
    if known and _is_copy(place, known[0]):
        return known
    found: dict[FunctionType, None] = {}
    entries = place.copy()
    for each in entries.values():
        _collect(each, found)
    return entries, tuple(found)


def _is_copy(place: _Place, entries: dict[Any, Any]) -> bool:
    now = place.values
    return len(now) == len(entries) and all(map(is_, now, entries.values()))


def _collect(value: Any, found: dict[FunctionType, None]) -> None:
    """Add the Python functions behind an entry: itself, and what decorators have wrapped."""
    kind = type(value)
    if kind is FunctionType:
        if value not in found:
            found[value] = None
            for cell in value.__closure__ or ():
                with suppress(ValueError):  # an empty cell
                    _collect(cell.cell_contents, found)
    elif issubclass(kind, staticmethod | classmethod | MethodType):
        _collect(value.__func__, found)
    elif issubclass(kind, property):
        _collect(value.fget, found)
        _collect(value.fset, found)
    elif issubclass(kind, partial | partialmethod | cached_property):
        _collect(value.func, found)
    elif kind is _CACHED:
        _collect(value.__wrapped__, found)


def _places(classes: Iterable[type]) -> tuple[_Place, ...]:
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
def _reachable(owners: tuple[type | ModuleType, ...]) -> tuple[_Place, ...]:
    """Return modules and classes, the classes that these define, and dictionaries, as places."""
    waiting, seen = list(owners), set(owners)
    found: dict[_Place, None] = {}
    for owner in waiting:
        places, classes = _within(owner)
        found.update(dict.fromkeys(places))
        waiting += [each for each in classes if each not in seen]
        seen.update(classes)
    return tuple(found)


@cache  # so that a place is the same object each time
def _within(owner: type | ModuleType) -> tuple[tuple[_Place, ...], tuple[type, ...]]:
    """Return a module or class and its dictionaries as places, and its classes."""
    name, entries = owner.__name__, vars(owner)
    places = [_Place(name, entries, owner, layered=isinstance(owner, type))]
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
            own := getattr(value, "__dict__", {}).get("_local_mapping"), dict
        ):
            places.append(_registry(f"{name}.{key}", own, layered=True))
    return tuple(places), tuple(classes)


_REGISTRIES: dict[int, _Place] = {}


def _registry(name: str, entries: dict[Any, Any], *, layered: bool = False) -> _Place:
    """Return a dictionary as a place, the same one under each name that it is found by."""
    return _REGISTRIES.setdefault(id(entries), _Place(name, entries, layered=layered))


def _is_ours(kind: type) -> bool:
    module = str(kind.__module__)
    return module in _PACKAGES or module == "torch" or module.startswith(_PREFIXES)
