"""A spec's text laid over the specs that it extends; every value keeps the place it comes from."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pytest_eac.data.files import NotRegularError, NotUtf8Error, exists, open_regular, utf8
from pytest_eac.errors import SpecProblem
from pytest_eac.spec.yaml.places import Mark, MarkedError, MarkedValue, Where
from pytest_eac.spec.yaml.values import TooLargeError, most_values, parse

MAX_BYTES = 16 * 2**20
"""How large a spec may be."""
MAX_EXTENDS = 100
"""How many entries the ``extends`` of a spec and of all that it is laid over may have together."""


def read_with_parents(path: Path, problems: list[SpecProblem]) -> MarkedValue | None:
    """Parse ``path`` and lay it over the specs that it extends."""
    return _Family(problems=problems).read(path, ())


@dataclass(slots=True, kw_only=True)
class _Family:
    """A spec and all that it extends, each file read once however many extend it.

    ``read_files`` has what came of each, its own parents included, by its real path. The values of
    all files together are bounded as those of one are, and so are those that are laid under others.
    """

    problems: list[SpecProblem]
    read_files: dict[Path, MarkedValue | None] = field(default_factory=dict)
    entries: int = 0
    size: int = 0
    values: int = 0
    inherited: int = 0
    is_full: bool = False

    def read(self, path: Path, above: tuple[Path, ...]) -> MarkedValue | None:
        """Return a file laid over its parents; ``above`` are the real paths of its children."""
        real = path.resolve()
        if real not in self.read_files:
            self.read_files[real] = self._read(path, (*above, real))
        return self.read_files[real]

    def _read(self, path: Path, line: tuple[Path, ...]) -> MarkedValue | None:
        try:
            text = _text(path)
            marked = parse(text, path, values=self.values, size=self.size)
        except MarkedError as error:
            self.problems.extend(error.problems)
            self.is_full = isinstance(error, TooLargeError)
            return None
        self.size += len(text)
        self.values += len(marked.values)
        parents = marked.value.get("extends", ())
        names = (parents,) if isinstance(parents, str) else parents
        if not isinstance(names, tuple) or not all(isinstance(name, str) for name in names):
            return marked  # a type error, which the schema reports
        at = marked.mark(("extends",))
        self.entries += len(names)
        if self.entries > MAX_EXTENDS:
            message = (
                f"found {self.entries:,} entries with those of the files above, expected at most "
                f"{MAX_EXTENDS}: merge some of the files"
            )
            self.problems.append(at.problem(message, ("extends",)))
            return None
        for name in reversed(names):
            if trouble := _trouble_with(path, name, line):
                self.problems.append(at.problem(trouble, ("extends",)))
                continue
            base = self.read(path.parent / name, line)
            if self.is_full:
                return None
            if base is None:
                continue
            self.inherited += len(base.values)
            if self.inherited > (most := most_values(self.size)):
                message = f"found more than {most:,} values in these and the files above, expected "
                message += "at most that for files of this size: name each file once"
                self.problems.append(at.problem(message, ("extends",)))
                self.is_full = True
                return None
            marked = _lay_over(base, marked)
        return marked


def _trouble_with(path: Path, name: str, line: tuple[Path, ...]) -> str | None:
    """Say why ``path``, the last of a line of children and parents, cannot extend a file."""
    parent = path.parent / name
    if not exists(parent):
        return f"there is no file {name!r}; the path is relative to this spec"
    if parent.resolve() in line:
        return f"{name!r} extends this file in turn; a spec cannot extend itself"
    return None


def _text(path: Path) -> str:
    """Read a spec's text.

    Raises:
        MarkedError: it is too large, cannot be read, or is not UTF-8.
    """
    start = Mark(file=path, line=1, column=1)
    data = b""
    try:
        with open_regular(path) as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) <= MAX_BYTES:
            return utf8(data)
    except NotUtf8Error as error:
        before = data[: error.at]
        column = len(before.rpartition(b"\n")[2].decode("utf-8", errors="replace")) + 1
        mark = Mark(file=path, line=before.count(b"\n") + 1, column=column)
        raise MarkedError([mark.problem(str(error))]) from None
    except NotRegularError as error:
        raise MarkedError([start.problem(str(error.strerror))]) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise MarkedError([start.problem(f"cannot be read: {reason}")]) from None
    message = f"found more than {MAX_BYTES:,} bytes, expected at most that for a spec"
    raise MarkedError([start.problem(f"{message}: keep long edit lists in a data file (from:)")])


def _lay_over(base: MarkedValue, top: MarkedValue) -> MarkedValue:
    """Merge two specs: mappings key by key, anything else is replaced by the upper one's.

    The marks of ``top`` are added to, so that the work does not grow with what it has already.
    """
    replaced: set[Where] = set()

    def merge(lower: Any, upper: Any, at: Where) -> Any:
        if not (isinstance(lower, dict) and isinstance(upper, dict)):
            replaced.add(at)
            return upper
        return lower | {
            key: merge(lower[key], value, (*at, key)) if key in lower else value
            for key, value in upper.items()
        }

    def add_remaining(lower: dict[Where, Mark], upper: dict[Where, Mark]) -> None:
        for path, mark in lower.items():
            if not any(path[:length] in replaced for length in range(1, len(path) + 1)):
                upper.setdefault(path, mark)

    value = merge(base.value, top.value, ())
    value["extends"] = ()
    add_remaining(base.keys, top.keys)
    add_remaining(base.values, top.values)
    return replace(top, value=value)
