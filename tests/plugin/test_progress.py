"""How far a chain is, told on terminals and in logs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_eac.plugin.progress import ProgressLine

if TYPE_CHECKING:
    from tests.plugin.conftest import Specs


class Reporter:
    """A reporter that keeps what it is given."""

    def __init__(self, *, isatty: bool) -> None:
        self.isatty = isatty
        self.lines: list[str] = []
        self.rewritten: list[str] = []

    def ensure_newline(self) -> None:
        """Do nothing."""

    def flush(self) -> None:
        """Do nothing."""

    def write_line(self, text: str) -> None:
        """Keep a line."""
        self.lines.append(text)

    def rewrite(self, text: str, *, erase: bool) -> None:
        """Keep what the line is rewritten to."""
        self.rewritten.append(text)


def run(reporter: Reporter, times: list[float], *, verbosity: int = 0) -> None:
    plugins = {"terminalreporter": reporter}
    config: Any = SimpleNamespace(
        pluginmanager=SimpleNamespace(get_plugin=plugins.get), get_verbosity=lambda: verbosity
    )
    now = 0.0
    progress = ProgressLine(config, "rome-s0", clock=lambda: now)
    for done, now in enumerate(times, start=1):  # noqa: B007
        progress(done, len(times), "editing")
    progress.close()


def test_a_log_gets_a_plain_line_at_most_every_30_seconds() -> None:
    reporter = Reporter(isatty=False)
    run(reporter, [10.0, 29.0, 30.0, 59.0, 61.0])
    assert reporter.lines == ["rome-s0: 3/5 edits, editing", "rome-s0: 5/5 edits, editing"]
    assert not reporter.rewritten


def test_a_terminal_has_its_line_rewritten_each_time_and_wiped() -> None:
    reporter = Reporter(isatty=True)
    run(reporter, [1.0, 40.0])
    assert [each[:12] for each in reporter.rewritten] == ["rome-s0: 1/2", "rome-s0: 2/2", "\r"]
    assert not reporter.lines


def test_the_time_left_goes_by_the_last_edits_not_by_those_from_the_cache() -> None:
    reporter = Reporter(isatty=True)
    cached = [0.01 * k for k in range(1, 21)]
    run(reporter, [*cached, *(60.0 * k for k in range(1, 41)), *(2400.0 + k for k in range(1, 21))])
    assert "min left" not in reporter.rewritten[19]
    assert reporter.rewritten[39].endswith("editing, about 40 min left")
    assert reporter.rewritten[78].endswith("editing, less than a minute left")
    assert reporter.rewritten[79] == "rome-s0: 80/80 edits, editing"


def test_edits_that_are_made_again_are_timed_anew() -> None:
    reporter = Reporter(isatty=True)
    config: Any = SimpleNamespace(
        pluginmanager=SimpleNamespace(get_plugin={"terminalreporter": reporter}.get),
        get_verbosity=lambda: 0,
    )
    now = 0.0
    progress = ProgressLine(config, "rome-s0", clock=lambda: now)
    for now, done in enumerate([1, 2, 3, 1, 2, 3, 1, 2, 3]):  # noqa: B007
        progress(done, 4, "editing")
    assert "left" not in reporter.rewritten[-1]  # two edits since then tell nothing


def test_hours_are_told_as_hours() -> None:
    reporter = Reporter(isatty=True)
    run(reporter, [180.0 * k for k in range(1, 101)])
    assert reporter.rewritten[29].endswith("about 3 h 30 min left")


@pytest.mark.parametrize("isatty", [True, False])
def test_nothing_is_told_when_quiet(isatty: bool) -> None:
    reporter = Reporter(isatty=isatty)
    run(reporter, [40.0, 80.0], verbosity=-1)
    assert not reporter.lines
    assert not reporter.rewritten


@pytest.mark.slow
def test_workers_of_xdist_tell_theirs_past_the_capturing(specs: Specs) -> None:
    often = "from pytest_eac.plugin import progress\nprogress.EVERY = 0.0\n"
    specs.pytester.makeconftest(often)
    (specs.pytester.path / "texts.jsonl").write_text('{"text": "A quiet person."}\n' * 3)
    specs.write("{efficacy: {min: 0}, abilities: {perplexity: {keep: 0.1, data: texts.jsonl}}}")
    result = specs.pytester.runpytest_subprocess("-n", "1")
    result.assert_outcomes(passed=2)
    result.stderr.fnmatch_lines(
        [
            "[[]gw0[]] small eac-s0: 0/2 edits, asking the unedited model, perplexity",
            "[[]gw0[]] small eac-s0: 1/2 edits, editing",
            "[[]gw0[]] small eac-s0: 2/2 edits, measuring, perplexity",
        ]
    )
    quiet = specs.pytester.runpytest_subprocess("-n", "1", "-q")
    quiet.stderr.no_fnmatch_line("*gw0*")
