"""A spec file that fits the schema, while everything else in it is checked."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from pytest_eac.data.files import expanded
from pytest_eac.errors import SpecProblem
from pytest_eac.spec.schema.spec_file import SpecFile
from pytest_eac.spec.spec import comparison_id
from pytest_eac.spec.yaml.places import MarkedValue, Where


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What a file says, where it says it, and the problems found in it so far.

    ``places`` has the place where each edit of a set is written, ``None`` for one from a data file.
    """

    path: Path
    marked: MarkedValue
    written: SpecFile
    problems: list[SpecProblem] = field(default_factory=list)
    places: list[Where | None] = field(default_factory=list)
    warnings: list[SpecProblem] = field(default_factory=list)

    def complain(self, at: Where, message: str, *, key: bool = False) -> None:
        """Add a problem at a place of the file, or at its key."""
        self.problems.append(self.marked.mark(at, key=key).problem(message, at))

    def warn(self, at: Where, message: str) -> None:
        """Add a warning at a place of the file: the spec can still be run."""
        self.warnings.append(self.marked.mark(at).problem(message, at))

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

    def place(self, check: str) -> Where:
        """Return where a check is written."""
        for group in ("metrics", "abilities"):
            if check in getattr(self.written.checks, group):
                return ("checks", group, check)
        if check.startswith("deviation-"):
            return ("checks", "deviation", "growth")
        return ("checks", check)

    def line(self, at: Where, *, key: bool = True) -> int:
        """Return the line of a place or its key; for what another file wrote, ``extends``'s."""
        mark = self.marked.mark(at, key=key)
        return mark.line if mark.file == self.path else self.line(("extends",))

    def lines(self) -> dict[str, int]:
        """Return the line of each check, and that of the model."""
        lines = {name: self.line(self.place(name)) for name, _ in self.written.checks.named()}
        if self.written.checks.changed is not None:
            lines["changed"] = self.line(("checks", "changed"))
        for index, comparison in enumerate(self.written.checks.compare):
            place = ("checks", "compare", index)
            lines[comparison_id(comparison)] = self.line(place, key=False)
        if self.written.orderings is not None:
            found = self.written.orderings.properties(self.written.checks)
            lines |= {each.id: self.line(("orderings",)) for each in found}
        if self.written.model is not None:
            lines["model"] = self.line(("model",))
        return lines
