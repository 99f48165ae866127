"""The outcomes of a run's checks, read from pytest's own reports and shown by a CI system."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from pytest_eac.plugin.output_conflicts import is_shared
from pytest_eac.reporting.markdown import summary
from pytest_eac.reporting.outcomes import Outcome
from pytest_eac.store import append_text, write_text
from pytest_eac.untrusted_text import coloured, line, lines

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pytest

    from pytest_eac.plugin.baseline_records import Baseline
    from pytest_eac.records.run import Record

# Set on the reports of checks; pytest-xdist carries plain attributes over from its workers.
_PLACE = "eac_place"
_MESSAGE = "eac_message"
_REFERS = "eac_refers"
_REASON = "wasxfail"  # pytest's own name for that of an expected failure
_KINDS = ("failed", "error", "passed", "skipped", "xfailed", "xpassed")


def set_place(report: pytest.TestReport | pytest.CollectReport, file: str, line: int) -> None:
    """Mark a report as that of a check, or of a whole spec, written at a line of the spec."""
    setattr(report, _PLACE, [file, line])


def set_message(report: pytest.TestReport, message: str) -> None:
    """Let a report say what its check found; pytest itself reports nothing for what passes."""
    setattr(report, _MESSAGE, message)


def set_referring(report: pytest.TestReport) -> None:
    """Mark a report that only refers to the error that another one shows."""
    setattr(report, _REFERS, True)


def make_safe(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Make harmless what pytest prints of a report as it is: it may quote models, data and specs.

    A traceback loses its colours where that changes it; what was captured keeps them.
    """
    found = report.longrepr
    if isinstance(found, tuple):
        path, at, reason = found
        report.longrepr = (line(path), at, lines(reason))
    elif found is not None and lines(text := report.longreprtext) != text:
        report.longrepr = lines(text)
    if (expected := getattr(report, _REASON, None)) is not None:
        setattr(report, _REASON, line(expected))
    report.sections = [(heading, coloured(text)) for heading, text in report.sections]


def outcomes(config: pytest.Config) -> tuple[Outcome, ...]:
    """Return the outcome of each check, those that went wrong first; nothing without a terminal.

    A spec that could not be used is one error.
    """
    reporter: Any = config.pluginmanager.get_plugin("terminalreporter")
    stats = reporter.stats if reporter else {}
    return tuple(
        Outcome(
            name=report.nodeid,
            outcome=kind,
            file=place[0],
            line=place[1],
            message=_message(report),
            refers=getattr(report, _REFERS, False),
        )
        for kind in _KINDS
        for report in stats.get(kind, ())
        if (place := getattr(report, _PLACE, None)) is not None
    )


def write_summary(
    file: Path, record: Record, outcomes: Sequence[Outcome], baseline: Baseline | None
) -> str:
    """Write a run's summary; returns where it went, in words.

    Raises:
        RecordError: it cannot be written, or the baseline cannot be read.
    """
    text = summary(record.chains, outcomes, record.unfinished, record.pooled)
    if baseline:
        text += baseline.markdown(record)
    (append_text if is_shared(file) else write_text)(file, text)
    return f"summary written to {file}"


def write_report(
    file: Path, record: Record, outcomes: Sequence[Outcome], arguments: Sequence[str]
) -> str:
    """Write a run's page; returns where it went, in words.

    Args:
        file: where to.
        record: the run.
        outcomes: of the checks.
        arguments: pytest's, as they were given.

    Raises:
        RecordError: it cannot be written.
    """
    from pytest_eac import __version__
    from pytest_eac.reporting.html.page import report_page

    command = shlex.join(["pytest", *arguments])
    write_text(file, report_page(record, outcomes, command=command, version=__version__))
    return f"report written to {file}"


def _message(report: pytest.TestReport) -> str:
    if isinstance(report.longrepr, tuple):
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    if isinstance(report.longrepr, str):  # without pytest-xdist's line about the worker
        return report.longrepr
    return report.longreprtext or getattr(report, _REASON, "") or getattr(report, _MESSAGE, "")
