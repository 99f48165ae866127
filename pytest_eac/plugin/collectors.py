"""A spec file as pytest nodes: file -> chain -> one item per check."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pytest_eac.errors import EacError, SpecError
from pytest_eac.plugin.chains import PlannedChain
from pytest_eac.plugin.check_items import ChecksNode
from pytest_eac.plugin.outcomes import make_safe, set_place
from pytest_eac.plugin.session import EacSession
from pytest_eac.records.run import EDITED, Verdict, samples_id
from pytest_eac.spec.load import load_spec
from pytest_eac.spec.schema import checks
from pytest_eac.spec.spec import Spec, SpecMethod, comparison_id
from pytest_eac.untrusted_text import line, safe_warnings


class SpecNode(pytest.Module):
    """A spec file. Being a ``Module`` it gives fixtures of module scope a place to live."""

    def __init__(self, *, eac: EacSession, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.eac = eac
        self.obj = ModuleType(self.path.stem)
        self._wrong_at = 1

    @classmethod
    def of(cls, path: Path, parent: pytest.Collector, eac: EacSession) -> SpecNode:
        """Make the node of a file; pytest prints names and ids as they are, so they are escaped."""
        root = parent.config.rootpath
        shown = path.relative_to(root) if path.is_relative_to(root) else path
        own: dict[str, Any] = {}
        if (escaped := line(shown.as_posix())) != shown.as_posix():
            nodeid = escaped.replace("::", r"\x3a\x3a")  # by which pytest would take it apart
            own = {"nodeid": nodeid, "name": line(path.name)}
        return cls.from_parent(parent, path=path, eac=eac, **own)

    def collect(self) -> Iterator[pytest.Collector]:
        """Yield a node per chain, and those of several chains together.

        With a released model there is one node for that instead.
        """
        self.eac.read_files()
        with safe_warnings():
            spec = self.eac.adapt(load_spec(self._shown_path()))
        options = self.eac.options
        if not options.trust_task_files and options.from_results is None:
            spec.require_trusted_tasks("--eac-trust-task-files (or eac_trust_task_files = true)")
        if self.eac.baseline:
            self.eac.baseline.require_known(spec)
        for mark in ("eac", *spec.marks):
            self.add_marker(mark)
        if spec.fixtures:
            self.add_marker(pytest.mark.usefixtures(*spec.fixtures))
        if options.edited is not None or spec.checks.changed is not None:
            yield ReleaseNode.from_parent(self, name=EDITED, eac=self.eac, spec=spec)
        if options.edited is not None:
            return
        yield from self._chains_and_more(spec)

    def _chains_and_more(self, spec: Spec) -> Iterator[pytest.Collector]:
        """Yield a node per chain, and those of several chains together."""
        samples = spec.each_sample()
        for sample in samples:  # outermost: the unedited model is asked once for each
            for method in spec.methods:
                for seed in spec.seeds:
                    yield self._chain(PlannedChain(spec=sample, method=method, seed=seed))
        for method in spec.methods if len(samples) > 1 else ():
            yield SamplesNode.of(self, samples, method)
        if _comparisons(spec):
            yield CompareNode.from_parent(self, name="compare", eac=self.eac, samples=samples)

    def _chain(self, planned: PlannedChain) -> ChainNode:
        node: ChainNode = ChainNode.from_parent(
            self, name=planned.name, eac=self.eac, planned=planned
        )
        return node

    def _shown_path(self) -> Path:
        """The path as the user would write it, for messages."""
        here = self.config.invocation_params.dir
        return self.path.relative_to(here) if self.path.is_relative_to(here) else self.path

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException]) -> Any:  # type: ignore[override]
        """Show a broken spec as its list of problems, without a traceback."""
        if isinstance(excinfo.value, SpecError):
            self._wrong_at = excinfo.value.problems[0].line
            count = len(excinfo.value.problems)
            return f"{count} problem{'s' * (count > 1)} in this spec:\n{excinfo.value}"
        if isinstance(excinfo.value, EacError):
            return str(excinfo.value)
        return super().repr_failure(excinfo)

    def mark(self, report: pytest.CollectReport) -> None:
        """Mark a report on this file with the line that it is about."""
        set_place(report, self._shown_path().as_posix(), self._wrong_at)
        make_safe(report)


class ChainNode(ChecksNode):
    """One chain: a method with a seed, on a set of edits."""

    def __init__(self, *, eac: EacSession, planned: PlannedChain, **kwargs: Any) -> None:
        super().__init__(eac=eac, spec=planned.spec, **kwargs)
        self.planned = planned
        self.method_name = planned.method.name
        self.properties = (("eac_method", planned.method.name), ("eac_seed", planned.seed))
        if planned.spec.samples > 1:
            self.properties += (("eac_sample", planned.spec.sample),)

    def checks(self) -> Iterator[tuple[str, Callable[[], Verdict]]]:
        """Yield the spec's checks, what must hold under other orders, and the baseline's."""
        verdicts, planned = self.eac.verdicts, self.planned
        for name, _ in self.spec.checks.named():
            yield name, partial(verdicts.of_chain, planned, name)
        for wanted in self.spec.properties:
            yield wanted.id, partial(verdicts.of_orders, planned, wanted)
        if baseline := self.eac.baseline:
            for metric in baseline.checked:
                judge = partial(verdicts.of_baseline, planned, baseline, metric)
                yield f"baseline-{metric}", judge


class SamplesNode(ChecksNode):
    """A method over several sets of edits."""

    def __init__(
        self, *, eac: EacSession, samples: tuple[Spec, ...], method: SpecMethod, **kwargs: Any
    ) -> None:
        super().__init__(eac=eac, spec=samples[0], **kwargs)
        self.samples = samples
        self.method_name = method.name
        self.properties = (("eac_method", method.name), ("eac_samples", len(samples)))

    @classmethod
    def of(cls, parent: SpecNode, samples: tuple[Spec, ...], method: SpecMethod) -> SamplesNode:
        """Make the node of a method."""
        name = samples_id(method.name)
        node: SamplesNode = cls.from_parent(
            parent, name=name, eac=parent.eac, samples=samples, method=method
        )
        return node

    def checks(self) -> Iterator[tuple[str, Callable[[], Verdict]]]:
        """Yield the checks of a chain, but for those of growth."""
        judge = self.eac.verdicts.of_samples
        for name, _ in self.spec.checks.pooled():
            yield name, partial(judge, self.samples, self.method_name or "", name)


class CompareNode(ChecksNode):
    """The comparisons between the chains of a spec."""

    def __init__(self, *, eac: EacSession, samples: tuple[Spec, ...], **kwargs: Any) -> None:
        super().__init__(eac=eac, spec=samples[0], **kwargs)
        self.samples = samples

    def checks(self) -> Iterator[tuple[str, Callable[[], Verdict]]]:
        """Yield the comparisons whose methods both run."""
        for each in _comparisons(self.spec):
            yield comparison_id(each), partial(self.eac.verdicts.of_comparison, self.samples, each)


class ReleaseNode(ChecksNode):
    """A released model under one spec: what it changed, then every check of a chain."""

    method_name = EDITED
    properties = (("eac_method", EDITED),)

    def checks(self) -> Iterator[tuple[str, Callable[[], Verdict]]]:
        """Yield the spec's checks; without a release, one that says what is missing."""
        names = ["changed"]
        if self.eac.options.edited is not None:
            names += [name for name, _ in self.spec.checks.named()]
        for name in names:
            yield name, partial(self.eac.verdicts.of_edited, self.spec, name)


def _comparisons(spec: Spec) -> list[checks.CompareCheck]:
    """Return the comparisons whose methods both run."""
    names = {method.name for method in spec.methods}
    return [each for each in spec.checks.compare if {each.subject, each.than} <= names]
