"""The exception family: one root, data as attributes, the text in ``__str__``.

Every message says where, what was found, what was expected, and what to do.
"""

from dataclasses import dataclass
from pathlib import Path

from pytest_eac.untrusted_text import line, lines


def _encodable(text: str) -> str:
    """Escape halves of characters, which a file may hold and nothing can print."""
    return text.encode("utf-8", "backslashreplace").decode()


def first_line(error: BaseException) -> str:
    """Return the first line of what another library's exception says, or else its class."""
    return str(error).strip().partition("\n")[0][:200] or type(error).__name__


class EacError(Exception):
    """Root of everything this package raises on purpose.

    Attributes:
        check: the check of a spec that it is about, where it is about one.
    """

    check: str | None = None

    def __str__(self) -> str:
        return _encodable(super().__str__())


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecProblem:
    """One thing wrong in a spec file, with its place in the text (both counted from 1)."""

    file: Path
    line: int
    column: int
    path: str
    message: str

    def __str__(self) -> str:
        return self._after_place("")

    @property
    def as_warning(self) -> str:
        """The same text as a warning: the spec can still be used."""
        return self._after_place("warning: ")

    def _after_place(self, kind: str) -> str:
        where = f"{self.path}: " if self.path else ""
        return line(f"{self.file}:{self.line}:{self.column}: {kind}{where}{self.message}")


class SpecError(EacError):
    """A spec that cannot be used; carries every problem found, in the order of the text."""

    def __init__(self, problems: tuple[SpecProblem, ...]) -> None:
        self.problems = problems
        super().__init__(problems)

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.problems)


class DataError(EacError):
    """A data file that a spec names is missing, unreadable or malformed."""


class UnavailableError(EacError):
    """A model, data set or device that is not on this machine; ``remedy`` is the way to get it."""

    def __init__(self, what: str, *, remedy: str) -> None:
        self.what = what
        self.remedy = remedy
        super().__init__(what, remedy)

    def __str__(self) -> str:
        return _encodable(f"{self.what}; {self.remedy}")


class DeviceUnavailableError(UnavailableError):
    """A device that this machine does not have."""


class ModelError(EacError):
    """A model that is there but cannot be used (architecture, format, dtype, content)."""


class NamedModelError(ModelError):
    """A model that an option names and that is not there or cannot be used.

    Attributes:
        option: the option, such as ``--eac-model``.
    """

    def __init__(self, option: str, reason: str) -> None:
        self.option = option
        super().__init__(f"{option}: {reason}")


class NonFiniteError(EacError):
    """A NaN or an infinity where a number is needed: an error of its own, never a failed check.

    ``edit`` is the index of the edit that it is about, where several are worked on together.
    """

    def __init__(self, what: str, *, edit: int | None = None) -> None:
        self.edit = edit
        super().__init__(what)


class EditError(EacError):
    """An edit that cannot be carried out on this model."""


class SpoiledModelError(EditError):
    """Code that was given the model left it, or the process, changed: load the model again.

    The settings of the process have been restored; no result of that code is kept.
    """


class SettingsError(EacError):
    """Hyperparameters that are missing or do not fit the model or method."""


class RecordError(EacError):
    """A results file or a cache folder that cannot be read or written."""


class MismatchError(RecordError):
    """A stored record of other edits, another model or another scoring than the ones asked for."""


class EacWarning(UserWarning):
    """Something that costs time or leaves a gap, but makes no number wrong."""

    def __str__(self) -> str:
        return lines(super().__str__())
