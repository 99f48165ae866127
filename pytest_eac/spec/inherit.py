"""A spec's text laid over the specs that it extends; every value keeps the place it comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_eac.spec.files import NotUtf8Error, utf8
from pytest_eac.spec.marked import parse
from pytest_eac.spec.marks import Mark, MarkedError, MarkedValue, Where

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_eac.errors import Problem


def read_with_parents(
    path: Path, above: tuple[Path, ...], problems: list[Problem]
) -> MarkedValue | None:
    """Parse ``path`` and lay it over the specs that it extends."""
    try:
        marked = parse(_text(path), path)
    except MarkedError as error:
        problems.extend(error.problems)
        return None
    parents = marked.value.get("extends", ())
    names = (parents,) if isinstance(parents, str) else parents
    if not isinstance(names, tuple) or not all(isinstance(name, str) for name in names):
        return marked  # a type error, which the schema reports
    for name in reversed(names):
        message = None
        there = exists(path.parent / name)
        parent = (path.parent / name).resolve() if there else None
        if parent in {file.resolve() for file in (*above, path)}:
            message = f"{name!r} extends this file in turn; a spec cannot extend itself"
        elif parent is None or not parent.is_file():
            message = f"there is no file {name!r}; the path is relative to this spec"
        if message:
            problems.append(marked.mark(("extends",)).problem(message, ("extends",)))
            continue
        base = read_with_parents(path.parent / name, (*above, path), problems)
        if base is not None:
            marked = _lay_over(base, marked)
    return marked


def _text(path: Path) -> str:
    """Read a spec's text.

    Raises:
        MarkedError: it cannot be read, or is not UTF-8.
    """
    data = b""
    try:
        data = path.read_bytes()
        return utf8(data)
    except NotUtf8Error as error:
        before = data[: error.at]
        column = len(before.rpartition(b"\n")[2].decode("utf-8", errors="replace")) + 1
        mark = Mark(file=path, line=before.count(b"\n") + 1, column=column)
        raise MarkedError([mark.problem(str(error))]) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        mark = Mark(file=path, line=1, column=1)
        raise MarkedError([mark.problem(f"cannot be read: {reason}")]) from None


def _lay_over(base: MarkedValue, top: MarkedValue) -> MarkedValue:
    """Merge two specs: mappings key by key, anything else is replaced by the upper one's."""
    replaced: set[Where] = set()

    def merge(lower: Any, upper: Any, at: Where) -> Any:
        if not (isinstance(lower, dict) and isinstance(upper, dict)):
            replaced.add(at)
            return upper
        return lower | {
            key: merge(lower[key], value, (*at, key)) if key in lower else value
            for key, value in upper.items()
        }

    def remaining(marks: dict[Where, Mark]) -> dict[Where, Mark]:
        return {
            path: mark
            for path, mark in marks.items()
            if not any(path[:length] in replaced for length in range(1, len(path) + 1))
        }

    value = merge(base.value, top.value, ())
    value["extends"] = ()
    return MarkedValue(
        value=value,
        keys=remaining(base.keys) | top.keys,
        values=remaining(base.values) | top.values,
    )


def exists(path: Path) -> bool:
    """Say whether a path exists; one that no file can have does not."""
    try:
        return path.exists()
    except (OSError, ValueError):  # too long, or not a path at all
        return False
