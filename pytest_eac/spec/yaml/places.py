"""Places in the files that a spec is written in."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_eac.errors import SpecProblem

Where = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A place in a file; line and column count from 1."""

    file: Path
    line: int
    column: int

    def problem(self, message: str, path: Where = ()) -> SpecProblem:
        """Describe something wrong at this place."""
        return SpecProblem(
            file=self.file,
            line=self.line,
            column=self.column,
            path=dotted(path),
            message=message,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkedValue:
    """A plain value and, for each path into it, where its key and the value itself stand."""

    value: Any
    keys: dict[Where, Mark]
    values: dict[Where, Mark]

    def mark(self, path: Where, *, key: bool = False) -> Mark:
        """Return the mark of ``path``, or of the nearest enclosing value that has one."""
        marks = self.keys if key else self.values
        while path and path not in marks:
            path = path[:-1]
            marks = self.values
        return marks.get(path) or self.values[()]


class MarkedError(Exception):
    """The text is no usable YAML; carries the problems found."""

    def __init__(self, problems: list[SpecProblem]) -> None:
        self.problems = problems
        super().__init__(problems)


def dotted(path: Where) -> str:
    """Write a path as users write it: ``edits[2].subject``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
