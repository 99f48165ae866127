"""The outcomes of checks, for those who are not at the terminal."""

from dataclasses import dataclass

from pytest_eac.untrusted_text import github_error


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The outcome of a check.

    Attributes:
        name: the node id.
        outcome: ``passed``, ``failed``, ``error``, ``skipped``, ``xfailed`` or ``xpassed``;
            ``stopped`` is that of a whole run.
        file: the spec.
        line: the check's line in it, counted from 1.
        message: what was found, or why it was skipped.
        refers: whether the message only refers to the error that another check shows.
    """

    name: str
    outcome: str
    file: str
    line: int
    message: str
    refers: bool = False

    @property
    def is_bad(self) -> bool:
        """Whether the run fails for it."""
        return self.outcome in {"failed", "error", "stopped"}


def stopped() -> Outcome:
    """Return the outcome of a run that was stopped."""
    message = (
        "stopped before its end: these results were judged before that; run the same command "
        "again to continue"
    )
    return Outcome(name="the run", outcome="stopped", file="", line=0, message=message)


def annotation(outcome: Outcome) -> str:
    """Return the workflow command by which GitHub shows the outcome of a check."""
    return github_error(outcome.message, file=outcome.file, line=outcome.line, title=outcome.name)
