"""A spec file as pytest nodes: file -> chain -> one item per check."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_eac.errors import EacError, SpecError
from pytest_eac.spec.load import Method, Spec, comparison_id, is_spec, load_spec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from pytest_eac.plugin.session import EacSession
    from pytest_eac.record import Verdict


class CheckFailedError(Exception):
    """A check that was missed; its text is the whole of what the user is shown."""


def collect_spec(
    path: Path, parent: pytest.Collector, session: EacSession
) -> pytest.Collector | None:
    """Return a node for a spec file, ``None`` for any other YAML file."""
    if not is_spec(path):
        return None
    return SpecNode.from_parent(parent, path=path, eac=session)


class SpecNode(pytest.File):
    """A spec file."""

    def __init__(self, *, eac: EacSession, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.eac = eac

    def collect(self) -> Iterator[pytest.Collector]:
        """Yield a node per chain, and one for the comparisons between chains."""
        spec = self.eac.adapt(load_spec(self._shown_path()))
        for mark in ("eac", *spec.marks):
            self.add_marker(mark)
        for method in spec.methods:
            for seed in spec.seeds:
                yield ChainNode.from_parent(
                    self, name=f"{method.name}-s{seed}", spec=spec, method=method, seed=seed
                )
        names = {method.name for method in spec.methods}
        if any({each.subject, each.than} <= names for each in spec.checks.compare):
            yield CompareNode.from_parent(self, name="compare", spec=spec)

    def _shown_path(self) -> Path:
        """The path as the user would write it, for messages."""
        here = self.config.invocation_params.dir
        return self.path.relative_to(here) if self.path.is_relative_to(here) else self.path

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException]) -> Any:  # type: ignore[override]
        """Show a broken spec as its list of problems, without a traceback."""
        if isinstance(excinfo.value, SpecError):
            count = len(excinfo.value.problems)
            return f"{count} problem{'s' * (count > 1)} in this spec:\n{excinfo.value}"
        if isinstance(excinfo.value, EacError):
            return str(excinfo.value)
        return super().repr_failure(excinfo)


class ChainNode(pytest.Collector):
    """One chain: a method with a seed."""

    def __init__(self, *, spec: Spec, method: Method, seed: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.spec = spec
        self.method = method
        self.seed = seed

    def collect(self) -> Iterator[pytest.Item]:
        """Yield an item per check."""
        eac = _eac(self)
        for name, _ in self.spec.checks.named():

            def judge(name: str = name) -> Verdict:
                return eac.judge(self.spec, self.method, self.seed, name)

            yield CheckItem.make(self, name, self.spec, judge, method=self.method.name)


class CompareNode(pytest.Collector):
    """The comparisons between the chains of a spec."""

    def __init__(self, *, spec: Spec, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.spec = spec

    def collect(self) -> Iterator[pytest.Item]:
        """Yield an item per comparison whose methods both run."""
        eac = _eac(self)
        names = {method.name for method in self.spec.methods}
        for comparison in self.spec.checks.compare:
            if not {comparison.subject, comparison.than} <= names:
                continue

            def judge(comparison: Any = comparison) -> Verdict:
                return eac.compare(self.spec, comparison)

            yield CheckItem.make(self, comparison_id(comparison), self.spec, judge, method=None)


def _eac(node: pytest.Collector) -> EacSession:
    assert isinstance(node.parent, SpecNode)  # noqa: S101 - how the nodes are built
    return node.parent.eac


class CheckItem(pytest.Function):
    """One check. Being a ``Function`` it takes part in fixtures, marks, ``--lf`` and JUnit."""

    spec: Spec
    judge: Callable[[], Verdict]
    verdict: Verdict | None = None
    missing: EacError | None = None

    @classmethod
    def make(
        cls,
        parent: pytest.Collector,
        name: str,
        spec: Spec,
        judge: Callable[[], Verdict],
        *,
        method: str | None,
    ) -> CheckItem:
        """Create an item with the spec's fixtures and known issues as marks."""

        def check() -> None:
            item.check()

        item: CheckItem = cls.from_parent(parent, name=name, callobj=check)
        item.spec, item.judge = spec, judge
        for mark in _marks(spec, name, method):
            item.add_marker(mark)
        return item

    def setup(self) -> None:
        """Set up fixtures, then run the chain this check needs, unless it has run already."""
        super().setup()
        eac = _eac(self.parent) if isinstance(self.parent, pytest.Collector) else None
        if eac is None:
            return
        try:
            self.verdict = self.judge()
        except eac.unavailable as error:
            if not eac.options.require:
                pytest.skip(str(error))
            self.missing = error

    def check(self) -> None:
        """Turn the verdict into pytest's outcome."""
        if self.missing is not None:
            raise CheckFailedError(f"{self.missing} (--eac-require)")
        verdict = self.verdict
        if verdict is None:
            return
        for key, value in (
            ("eac_observed", verdict.observed),
            ("eac_required", verdict.required),
            ("eac_outcome", verdict.outcome),
        ):
            self.user_properties.append((key, value))
        if verdict.outcome == "failed":
            raise CheckFailedError(f"{verdict.message}\n{self._line()}")
        if verdict.outcome == "undecided":
            if _eac(self.parent).options.require:  # type: ignore[arg-type]
                raise CheckFailedError(f"{verdict.message} (--eac-require)")
            pytest.skip(verdict.message)

    def _line(self) -> str:
        return f"{self.spec.file}:{self.spec.lines.get(self.name, 1)}: the check"

    def reportinfo(self) -> tuple[Path, int, str]:
        """Place the item at its check's line in the YAML file."""
        return self.path, self.spec.lines.get(self.name, 1) - 1, self.name

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException]) -> Any:  # type: ignore[override]
        """Show our own errors as their text; anything else is a bug and keeps its traceback."""
        if isinstance(excinfo.value, CheckFailedError | EacError):
            return str(excinfo.value)
        return super().repr_failure(excinfo)


def _marks(spec: Spec, check: str, method: str | None) -> Iterable[pytest.MarkDecorator]:
    if spec.fixtures:
        yield pytest.mark.usefixtures(*spec.fixtures)
    for issue in spec.known_issues:
        if issue.check == check and issue.method in {None, method}:
            yield pytest.mark.xfail(reason=issue.reason, strict=True, raises=CheckFailedError)
