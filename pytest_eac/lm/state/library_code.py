"""Code that results depend on: functions, classes and registries, compared by identity.

What is replaced in a library stays replaced for the rest of the process, whichever model is loaded.
Compared is what :mod:`pytest_eac.lm.state.library_inventory` finds: the attributes of modules and
classes, the entries of registries, and the code and defaults of Python functions, also of those
that decorators have wrapped. What a module gains later (a lazy import, an entry of a cache)
replaces nothing and is no difference. A guard against faults, not against deceit. Not noticed is
what looks like ordinary state or cannot be read from Python: variables (names in lower case) that
hold no code, the contents of lists and of instances, what closures hold, other packages' code, a
module that the block itself is the first to import, operators registered with ``torch.library``,
and the memory of compiled libraries.
"""

from __future__ import annotations

import builtins
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import chain
from operator import attrgetter, is_
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import torch

from pytest_eac.lm.state.library_inventory import ABSENT, Place, functions_in, places_of
from pytest_eac.lm.state.torch_private import COMPILER, ORIGINAL

_TORCH = f"{Path(torch.__file__).parent}{os.sep}"
_COMPILER = f"{_TORCH}{COMPILER}{os.sep}"
_BUILT_IN = vars(builtins)
_PLAIN = (str, bytes, int, float, complex, tuple, frozenset)
_INNER = ("__func__", "__wrapped__", ORIGINAL)
_WITH_THE_DTYPE = "torch.Storage"  # torch replaces it with its default dtype, which is a setting
_Copy = tuple[dict[Any, Any], tuple[FunctionType, ...]]  # entries, the Python functions in them
_PARTS = ("__code__", "__defaults__")


class Code:
    """What code was found in places at one time.

    All objects are compared in one pass over flat lists, which takes some milliseconds; only if
    one is another are places looked at one by one.
    """

    def __init__(self, places: tuple[Place, ...], before: Code | None) -> None:
        self.places = places
        known = before.copies if before else {}
        self.copies: dict[Place, _Copy] = {
            place: _copied(place, known.get(place)) for place in places
        }
        self._views = [place.values for place in places]
        self._values = list(chain.from_iterable(self._views))
        functions = chain.from_iterable(found for _, found in self.copies.values())
        self._functions = list(dict.fromkeys(functions))
        self._parts = {part: self._read(part) for part in _PARTS}
        # Left behind when a pytest run inside of a test ended, which forgets what it imported.
        self._forgotten = {id(each) for each in self._values if _is_forgotten(each)}

    def is_current(self) -> bool:
        """Say whether everything is the very same object as it was."""
        return self._holds_the_same() and not any(self._rewritten())

    def differences(self) -> list[str]:
        """Describe what has been replaced since."""
        found = [f"{place.called(entry)} (replaced)" for place, entry, _ in self._replaced()]
        return found + [
            f"{function.__module__}.{function.__qualname__} (its {part.strip('_')} replaced)"
            for function, part, _ in self._rewritten()
        ]

    def put_back(self) -> None:
        """Restore everything."""
        for place, entry, then in list(self._replaced()):
            place.put_back(entry, then)
        for function, part, then in list(self._rewritten()):
            setattr(function, part, then)

    def _replaced(self) -> Iterator[tuple[Place, Any, Any]]:
        """Yield where there is something else now, under which name, and what was there."""
        if self._holds_the_same():
            return
        for place, (then, _) in self.copies.items():
            if _is_copy(place, then):
                continue
            now = place.copy()
            for name, old in then.items():
                new = now.get(name, ABSENT)
                if new is old or (id(old) in self._forgotten and _is_same_file(old, new)):
                    continue
                if _counts(place, name, old, new):
                    yield place, name, old
            for name in now.keys() - then.keys():
                if _hides(place, name, now[name]):
                    yield place, name, ABSENT

    def _rewritten(self) -> Iterator[tuple[FunctionType, str, Any]]:
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


def _is_forgotten(found: object) -> bool:
    """Say whether a module would be imported again if it were asked for."""
    return isinstance(found, ModuleType) and sys.modules.get(found.__name__) is not found


def _is_same_file(old: ModuleType, new: object) -> bool:
    """Say whether a module has been imported again."""
    file = getattr(old, "__file__", None)
    return isinstance(new, ModuleType) and file is not None and file == new.__file__


def _are_same(now: list[Any], then: list[Any]) -> bool:
    """Say whether two lists hold the same objects; ten times as fast as asking one by one.

    Lists compare their elements by identity first, and only other objects by their own methods.
    """
    with suppress(Exception):  # of arrays, for example
        return now == then
    return False


# Shared, as nearly always nothing has changed since; in a list, as this module is a place as well.
_LATEST: list[Code | None] = [None]


def present_code(classes: Iterable[type]) -> Code:
    """Return the present code of the libraries that results pass through.

    Args:
        classes: further classes whose code the model and its tokenizer run.
    """
    places, latest = places_of(classes), _LATEST[0]
    if latest is None or latest.places is not places or not latest.is_current():
        latest = _LATEST[0] = Code(places, latest)
    return latest


def _counts(place: Place, name: object, then: Any, new: Any) -> bool:
    """Say whether results may depend on an entry that is no longer what it was."""
    if callable(then) or hasattr(type(then), "__get__") or isinstance(then, ModuleType):
        return not _is_wrapped(then, new) and place.called(name) != _WITH_THE_DTYPE
    if place.owner is not None and not str(name).lstrip("_").isupper():
        return False  # a variable
    return isinstance(then, _PLAIN) and (type(new) is not type(then) or bool(new != then))


def _hides(place: Place, name: object, new: Any) -> bool:
    """Say whether a new entry hides what was found under its name before."""
    if not callable(new) and not hasattr(type(new), "__get__"):
        return False
    if isinstance(place.owner, ModuleType):
        return name in _BUILT_IN and not str(name).startswith("__")
    return place.layered and not _is_wrapped(_inherited(place.owner, name), new)


def _inherited(owner: type | None, name: Any) -> Any:
    bases = owner.__mro__[1:] if owner else ()
    return next((vars(base)[name] for base in bases if name in vars(base)), None)


def _is_wrapped(then: Any, now: Any) -> bool:
    """Say whether torch has wrapped one of its functions; it does what it did before.

    Torch does so when its compiler is loaded, when that is used, and when the first optimizer of a
    class is made.
    """
    inner = _innermost(now)
    return _is_from(inner, _COMPILER) or (_is_from(now, _TORCH) and inner is _innermost(then))


def _is_from(function: Any, folder: str) -> bool:
    code = getattr(function, "__code__", None)
    return code is not None and code.co_filename.startswith(folder)


def _innermost(function: Any) -> Any:
    seen: set[int] = set()
    while id(function) not in seen:
        seen.add(id(function))
        for name in _INNER:
            function = getattr(function, name, function)
    return function


def _copied(place: Place, known: _Copy | None) -> _Copy:
    """Copy a place, unless what is known of it still holds."""
    if known and _is_copy(place, known[0]):
        return known
    entries = place.copy()
    return entries, functions_in(entries.values())


def _is_copy(place: Place, entries: dict[Any, Any]) -> bool:
    now = place.values
    return len(now) == len(entries) and all(map(is_, now, entries.values()))
