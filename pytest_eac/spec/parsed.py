"""A spec file that the schema has nothing against, while the rest of it is checked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pytest_eac.data.files import expanded
from pytest_eac.spec.spec import comparison_id

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pytest_eac.errors import SpecProblem
    from pytest_eac.spec.schema.spec_file import SpecFile
    from pytest_eac.spec.yaml.places import Mark, MarkedValue, Where


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What a file says, where it says it, and the problems found in it so far.

    ``places`` has the place where each edit is written, ``None`` for one from a data file.
    """

    path: Path
    marked: MarkedValue
    written: SpecFile
    problems: list[SpecProblem] = field(default_factory=list)
    places: list[Where | None] = field(default_factory=list)

    def complain(self, at: Where, message: str, *, key: bool = False) -> None:
        """Add a problem at a place of the file, or at its key."""
        self.problems.append(self.marked.mark(at, key=key).problem(message, at))

    def beside(self, place: Where, written: str, trouble_with: Callable[[Path], str | None]) -> str:
        """Return the absolute path of a file that is named relative to the file that names it.

        Args:
            place: where it is named.
            written: how it is named there.
            trouble_with: says why a file cannot be used, if so.
        """
        path = self.marked.mark(place).file.parent / expanded(written)
        if trouble := trouble_with(path):
            self.complain(place, f"found {written!r}, {trouble}")
        return str(path.absolute())

    def is_list(self, key: str) -> bool:
        """Say whether a list is written under a key of the file."""
        return isinstance(self.marked.value.get(key), tuple)

    def place(self, check: str) -> Where:
        """Return where a check is written."""
        for group in ("metrics", "abilities"):
            if check in getattr(self.written.checks, group):
                return ("checks", group, check)
        if check.startswith("deviation-"):
            return ("checks", "deviation", "growth")
        return ("checks", check)

    def line(self, mark: Mark) -> int:
        """Return a mark's line; for what another file wrote, that of ``extends``."""
        if mark.file == self.path:
            return mark.line
        return self.marked.mark(("extends",), key=True).line

    def lines(self) -> dict[str, int]:
        """Return the line of each check, and that of the model."""
        lines = {
            name: self.line(self.marked.mark(self.place(name), key=True))
            for name, _ in self.written.checks.named()
        }
        if self.written.checks.changed is not None:
            lines["changed"] = self.line(self.marked.mark(("checks", "changed"), key=True))
        for index, comparison in enumerate(self.written.checks.compare):
            mark = self.marked.mark(("checks", "compare", index))
            lines[comparison_id(comparison)] = self.line(mark)
        if self.written.orderings is not None:
            line = self.line(self.marked.mark(("orderings",), key=True))
            each = self.written.orderings.properties(self.written.checks)
            lines |= {found.id: line for found in each}
        if self.written.model is not None:
            lines["model"] = self.line(self.marked.mark(("model",), key=True))
        return lines
