"""How two values differ, in one line: from where they begin to, and not all of a long one."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_eac.errors import ModelError
from pytest_eac.lm.checkpoints.allowed_files import counted

_SHOWN = 60  # characters of a value
_BEFORE = 20  # of those, the ones before the place where two values differ
_IDS = ("_id", "_ids")  # keys of token ids
_CODE = ("auto_map", "custom_pipelines", "custom_generate")  # keys that have code imported


def differences(
    was: Mapping[str, Any], now: Mapping[str, Any], prefix: str = "", *, every_key: bool = False
) -> Iterator[str]:
    """Yield a line for each key whose values differ; mappings are looked into, lists are not.

    An absent key is the same as ``null``.

    Args:
        was: what the base has.
        now: what the release has.
        prefix: what to put before each key in its line.
        every_key: do not leave out the keys that are known to be harmless. They are those of a
            configuration, and of one inside it: anything else may use the same words.
    """
    names = was.keys() | now.keys() if every_key else counted(was) | counted(now)
    for name in sorted(names):
        old, new = was.get(name), now.get(name)
        if alike(old, new, name):
            continue
        if isinstance(old, dict) and isinstance(new, dict) and len(prefix) < 80:
            if max(len(old), len(new)) < 1000:
                all_count = every_key or not ("model_type" in old and "model_type" in new)
                yield from differences(old, new, f"{prefix}{name}.", every_key=all_count)
                continue
            keys = (key for key in [*old, *new] if not alike(old.get(key), new.get(key)))
            if (one := next(keys, None)) is None:
                continue
            old, new = {one: old.get(one)}, {one: new.get(one)}
        yield described(f"{prefix}{name}", old, new)


def alike(old: Any, new: Any, name: str = "") -> bool:
    """Return whether two values of JSON are the same; 1 is 1.0, but not true, and no id is 1.0."""
    if isinstance(old, dict) and isinstance(new, dict):
        return old.keys() == new.keys() and all(alike(old[key], new[key], key) for key in old)
    if isinstance(old, list) and isinstance(new, list):
        pairs = zip(old, new, strict=False)
        return len(old) == len(new) and all(alike(one, two, name) for one, two in pairs)
    if isinstance(old, bool) or isinstance(new, bool) or name.endswith(_IDS):
        return type(old) is type(new) and bool(old == new)
    return bool(old == new)


def keys_dropped(written: Any, loaded: Any, base: Any, prefix: str = "") -> Iterator[str]:
    """Yield a line for each key that neither the loaded object nor the base's file has.

    Objects in lists are looked into as well; values are not compared.
    """
    into, own = (_by_key(value) for value in (loaded, base))
    for name, value in _by_key(written).items():
        if name in into:
            if isinstance(value, dict | list):
                yield from keys_dropped(value, into[name], own.get(name), f"{prefix}{name}.")
        elif isinstance(written, dict) and value is not None and not alike(value, own.get(name)):
            yield described(f"{prefix}{name}", own.get(name), value)


def _by_key(value: Any) -> dict[Any, Any]:
    if isinstance(value, list):
        return dict(enumerate(value))
    return value if isinstance(value, dict) else {}


def described(key: str, old: Any, new: Any) -> str:
    """Return the line for a key that has another value than in the base."""
    code = "; it names code, which was not run: release no code"
    line = f"{key} {contrast(old, new)}"
    return f"{line}{code}" if new and key.rpartition(".")[2] in _CODE else line


def reported(folder: Path, name: str, compare: Callable[[], Iterable[str]]) -> list[str]:
    """Return lines about a file of a folder, with its name; that it cannot be read is one of them.

    Args:
        folder: the release's.
        name: the file's path in it.
        compare: returns the lines, or raises a ``ModelError``.
    """
    try:
        lines = list(compare())
    except ModelError as error:
        lines = [str(error).removeprefix(f"{folder / name}: ")]
    return [f"{name}: {line}" for line in lines]


def contrast(old: Any, new: Any) -> str:
    """Show two values from where they begin to differ; for long texts, with line and column."""
    one, two = (_shown(value) for value in (old, new))
    at = first_difference(one, two)
    place = ""
    if isinstance(old, str) and isinstance(new, str) and max(len(old), len(new)) > _SHOWN:
        before = new[: first_difference(old, new)]
        column = len(before) - (before.rfind("\n") + 1) + 1
        place = f"differs at line {before.count(chr(10)) + 1}, column {column}: it "
    return f"{place}is {_excerpt(two, at)}, in the base {_excerpt(one, at)}"


def first_difference(one: Sequence[Any], two: Sequence[Any]) -> int:
    """Return the first index at which two sequences differ; where one ends, if that is earlier."""
    pairs = zip(one, two, strict=False)
    return next((n for n, pair in enumerate(pairs) if pair[0] != pair[1]), min(len(one), len(two)))


def _shown(value: Any) -> str:
    return "not there" if value is None else json.dumps(value, default=str, ensure_ascii=False)


def _excerpt(text: str, at: int) -> str:
    if len(text) <= _SHOWN:
        return text
    start = max(0, min(at - _BEFORE, len(text) - _SHOWN))
    end = start + _SHOWN
    return f"{'...' if start else ''}{text[start:end]}{'...' if end < len(text) else ''}"
