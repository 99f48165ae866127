"""A check of a spec as a pytest item, and the node that the checks of a chain share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_eac.errors import EacError, ModelError, NamedModelError, UnavailableError
from pytest_eac.plugin.outcomes import make_safe, set_message, set_place, set_referring
from pytest_eac.plugin.session import EacSession
from pytest_eac.records.run import Verdict
from pytest_eac.spec.spec import Spec
from pytest_eac.untrusted_text import line, safe_warnings, visible

# What says how far a verdict's number can be trusted; only what there is goes into JUnit.
_NUMBERS = ("n", "low", "high", "p", "p_adjusted", "correction", "corrected_over", "needs")


class CheckFailedError(Exception):
    """A check that was missed; its text is the whole of what the user is shown."""


class RequiredError(Exception):
    """Something that ``--eac-require`` asks for is missing; no known issue excuses that."""


class NotJudgedError(EacError):
    """A check that was stopped by an error which another check of the run shows in full."""

    def __init__(self, first: str) -> None:
        self.first = first
        super().__init__(first)

    def __str__(self) -> str:
        return f"not judged: stopped by the error of {self.first}"


class ChecksNode(pytest.Collector):
    """Checks of a spec that go together.

    Attributes:
        method_name: the method that a known issue may be limited to.
        properties: what JUnit says of each check.
    """

    method_name: str | None = None
    properties: tuple[tuple[str, object], ...] = ()

    def __init__(self, *, eac: EacSession, spec: Spec, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.eac = eac
        self.spec = spec

    def checks(self) -> Iterator[tuple[str, Callable[[], Verdict]]]:
        """Yield the name of each check, and what judges it."""
        raise NotImplementedError

    def collect(self) -> Iterator[pytest.Item]:
        """Yield an item per check."""
        for name, judge in self.checks():
            yield CheckItem.make(self, name, judge)


class CheckItem(pytest.Function):
    """One check. Being a ``Function`` it takes part in fixtures, marks, ``--lf`` and JUnit."""

    node: ChecksNode
    judge: Callable[[], Verdict]
    verdict: Verdict | None = None
    missing: EacError | None = None

    @classmethod
    def make(cls, parent: ChecksNode, name: str, judge: Callable[[], Verdict]) -> CheckItem:
        """Create an item; the spec's known issues become strict expected failures."""

        def check() -> None:
            item.check()

        item: CheckItem = cls.from_parent(parent, name=name, callobj=check)
        item.node, item.judge = parent, judge
        for issue in parent.spec.known_issues:
            if issue.check == name and issue.method in {None, parent.method_name}:
                xfail = pytest.mark.xfail(reason=issue.reason, strict=True, raises=CheckFailedError)
                item.add_marker(xfail)
        return item

    def setup(self) -> None:
        """Set up fixtures, then run the chain this check needs, unless it has run already.

        An error that stops a chain is raised for each of its checks, so that none is green and
        ``--lf`` runs all of them again; all but the first only refer to it.
        """
        super().setup()
        if self.config.getoption("setuponly", default=False):
            return
        try:
            with safe_warnings():
                self.verdict = self.judge()
        except UnavailableError as error:
            if not self.node.eac.options.require:
                pytest.skip(str(error))
            self.missing = error
        except Exception as error:
            self._refer(error)
            raise

    def _refer(self, error: Exception) -> None:
        """Raise a reference in place of an error that another check has shown already.

        Where an option names a model that cannot be used, nothing was tried: other checks skip.
        """
        first = self.node.eac.first_to_show(error, self.nodeid)
        if first == self.nodeid:
            return
        if isinstance(error, NamedModelError):
            pytest.skip(f"{error.option}: cannot be used, see the error of {first}")
        raise NotJudgedError(first) from None

    def check(self) -> None:
        """Turn the verdict into pytest's outcome."""
        if self.missing is not None:
            self._refer(self.missing)
            raise RequiredError(f"{self._with_place(self.missing)} (--eac-require)")
        verdict = self.verdict
        if verdict is None:
            return
        self._set_properties(verdict)
        if verdict.outcome == "failed":
            raise CheckFailedError(f"{verdict.message}\n{self._line()}")
        if verdict.outcome == "undecided":
            if self.node.eac.options.require:
                raise RequiredError(f"{verdict.message} (--eac-require)")
            pytest.skip(verdict.message)

    def _set_properties(self, verdict: Verdict) -> None:
        """Put the verdict into JUnit's properties; a rerun replaces those of the run before."""
        numbers = {f"eac_{name}": getattr(verdict, name) for name in _NUMBERS}
        own = (
            *self.node.properties,
            ("eac_observed", verdict.observed),
            ("eac_required", visible(verdict.required)),
            ("eac_outcome", verdict.outcome),
            *((name, value) for name, value in numbers.items() if value is not None),
        )
        kept = [pair for pair in self.user_properties if pair[0] not in {*dict(own), *numbers}]
        self.user_properties[:] = [*kept, *own]

    @property
    def title(self) -> str:
        """The item's heading in reports: chain and check."""
        return f"{self.parent.name}::{self.name}" if self.parent else self.name

    @property
    def line(self) -> int:
        """The line of the spec that asks for the check; the first for what no line asks for."""
        lines = self.node.spec.lines
        return lines.get(self.name) or lines.get(self.name.removeprefix("baseline-"), 1)

    def _line(self) -> str:
        return f"{self._file}:{self.line}: the check"

    @property
    def _file(self) -> str:
        return line(str(self.node.spec.file))

    def _with_place(self, error: EacError) -> str:
        """Return an error's text and the line of the spec that it belongs to."""
        place = self.node.spec.lines.get("model")
        if about := self.node.spec.lines.get(error.check or ""):
            return f"{error}\n{self._file}:{about}: the check"
        options = self.node.eac.options
        named = options.model or options.edited
        if isinstance(error, ModelError | UnavailableError) and place and not named:
            return f"{error}\n{self._file}:{place}: the model"
        return f"{error}\n{self._line()}"

    def reword(self, report: pytest.TestReport, call: pytest.CallInfo[None]) -> None:
        """Point a skip at the spec, and show an error of a chain as its text alone.

        ``repr_failure`` is asked for neither.
        """
        set_place(report, self.node.spec.file.as_posix(), self.line)
        if self.verdict:
            set_message(report, self.verdict.message)
        if report.skipped and isinstance(report.longrepr, tuple):
            place = self.line if self.verdict else 1
            report.longrepr = (str(self.path), place, report.longrepr[2])
        elif call.excinfo and isinstance(call.excinfo.value, NotJudgedError):
            set_referring(report)
            report.longrepr = str(call.excinfo.value)
        elif report.failed and call.excinfo and isinstance(call.excinfo.value, EacError):
            report.longrepr = self._with_place(call.excinfo.value)
        elif call.excinfo and isinstance(call.excinfo.value, pytest.FixtureLookupError):
            name = call.excinfo.value.argname
            reason = call.excinfo.value.msg or "no such fixture, or one that needs parameters"
            report.longrepr = f"{self.node.spec.file}: fixture {name!r}: {reason}"
        make_safe(report)

    def reportinfo(self) -> tuple[Path, int, str]:
        """Place the item at its check's line in the YAML file."""
        return Path(line(str(self.path))), self.line - 1, self.title

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException]) -> Any:  # type: ignore[override]
        """Show our own errors as their text; anything else is a bug and keeps its traceback."""
        if isinstance(excinfo.value, CheckFailedError | RequiredError | EacError):
            return str(excinfo.value)
        return super().repr_failure(excinfo)
