"""The pytest plugin: hooks that forward to one session object.

Nothing heavy is imported here: a run that collects no spec pays for reading its options only.
"""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest

from pytest_eac.plugin.options import Options, add_options, read_options

if TYPE_CHECKING:
    from collections.abc import Generator

    from pytest_eac.plugin.session import EacSession

_OPTIONS: pytest.StashKey[Options] = pytest.StashKey()
_CHAINS = "eac_chains"  # of a worker's input: where workers find each other's chains
_RECORD = "eac_record"  # of a worker's output, and of a report, whose attributes xdist carries over
_SESSION: pytest.StashKey[EacSession] = pytest.StashKey()
_SHARED: pytest.StashKey[str] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the ``--eac-...`` options and their ini counterparts."""
    add_options(parser)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Declare the hooks by which a project registers its own methods, metrics and so on."""
    from pytest_eac.plugin import hookspecs

    pluginmanager.add_hookspecs(hookspecs)


def pytest_configure(config: pytest.Config) -> None:
    """Read the options, and register the marker that every item of a spec carries."""
    config.stash[_OPTIONS] = read_options(config)
    config.addinivalue_line("markers", "eac: an edit specification of pytest-eac")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect specs: ``*.eac.yaml``, and YAML files with a top-level ``eac`` key."""
    from pytest_eac.spec.detect import is_spec, is_yaml

    if not (is_yaml(file_path) and is_spec(file_path)):
        return None
    from pytest_eac.plugin.collectors import SpecNode

    register_from_hooks(parent.config)  # a conftest.py beside this spec has come since the last one
    return SpecNode.of(file_path, parent, _session(parent.config))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Note the order of the chains."""
    eac = session.config.stash.get(_SESSION, None)
    if eac:
        eac.order.note([item.nodeid for item in session.items])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node: Any, ids: list[str]) -> None:
    """Note the order of the chains, which workers of pytest-xdist end in any other."""
    from pytest_eac.spec.detect import is_spec, is_yaml

    config: pytest.Config = node.config
    files = (config.rootpath / each for each in {nodeid.partition("::")[0] for nodeid in ids})
    if any(is_yaml(file) and is_spec(file) for file in files):
        _session(config).order.note(ids)


def pytest_report_collectionfinish(config: pytest.Config) -> list[str]:
    """Say which models the collected specs are for."""
    session = config.stash.get(_SESSION, None)
    return session.header() if session else []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table of chains x metrics."""
    session = terminalreporter.config.stash.get(_SESSION, None)
    if session:
        session.print_summary(terminalreporter)
        if os.environ.get("GITHUB_ACTIONS") == "true":
            from pytest_eac.plugin.outcomes import outcomes
            from pytest_eac.reporting.outcomes import annotation

            for outcome in outcomes(terminalreporter.config):
                if outcome.is_bad and not outcome.refers:
                    terminalreporter.write_line(annotation(outcome))


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Write the files that were asked for, or hand a worker's results to the controller."""
    eac = session.config.stash.get(_SESSION, None)
    if eac is None:
        return
    if hasattr(session.config, "workeroutput"):
        from pytest_eac.records.json_files import to_json

        session.config.workeroutput[_RECORD] = to_json(eac.record())
        return
    from pytest_eac.plugin.outcomes import outcomes

    code = pytest.ExitCode
    ended = exitstatus in {code.OK, code.TESTS_FAILED, code.NO_TESTS_COLLECTED}
    stopped = session.shouldfail or session.shouldstop or eac.early_end.workers_died
    eac.finish(outcomes(session.config), complete=ended and not stopped)
    if eac.files.troubles:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Give the workers of pytest-xdist a folder in which they find each other's chains.

    With ``--dist each`` every worker is to run everything by itself.
    """
    config: pytest.Config = node.config
    if config.getoption("dist") == "each":
        return
    if _SHARED not in config.stash:
        folder = TemporaryDirectory(prefix="pytest-eac-")
        config.add_cleanup(folder.cleanup)
        config.stash[_SHARED] = folder.name
    node.workerinput[_CHAINS] = config.stash[_SHARED]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Take over what a worker of pytest-xdist has measured, and note one that has died."""
    eac = node.config.stash.get(_SESSION, None)
    if eac and error and error != "keyboard-interrupt":
        eac.early_end.workers_died += 1
    if text := getattr(node, "workeroutput", {}).get(_RECORD):
        _take_over(node.config, text)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Take over a chain as soon as a worker of pytest-xdist has ended it."""
    node = getattr(report, "node", None)
    text = report.__dict__.pop(_RECORD, None)
    if node is not None and text:
        _take_over(node.config, text).write_results()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep each chain on one worker; other ``--dist`` modes are the user's own choice."""
    if config.getoption("dist") != "load" or not _has_spec(config):
        return None
    from pytest_eac.plugin.scheduler import ChainScheduling

    return ChainScheduling(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Let a spec that cannot be used say where it is wrong."""
    report = yield
    if report.failed and _SESSION in collector.config.stash:
        from pytest_eac.plugin.collectors import SpecNode

        if isinstance(collector, SpecNode):
            collector.mark(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let a check report its skips and errors in its own words."""
    report = yield
    if _SESSION in item.config.stash:
        from pytest_eac.plugin.check_items import CheckItem

        if isinstance(item, CheckItem):
            item.reword(report, call)
            hand_over = hasattr(item.config, "workerinput")
            if hand_over and (fresh := item.config.stash[_SESSION].chains.take_fresh()):
                from pytest_eac.records.json_files import to_json

                setattr(report, _RECORD, to_json(fresh))
    return report


def _has_spec(config: pytest.Config) -> bool:
    from pytest_eac.spec.detect import has_spec

    paths = (config.invocation_params.dir / each.partition("::")[0] for each in config.args)
    return any(has_spec(path) for path in paths)


def _take_over(config: pytest.Config, text: str) -> EacSession:
    """Add what a worker of pytest-xdist has measured, a record as JSON."""
    from pytest_eac.records.json_files import from_json

    eac = _session(config)
    eac.absorb(from_json(text))
    return eac


def _session(config: pytest.Config) -> EacSession:
    if _SESSION not in config.stash:
        from pytest_eac.plugin.session import EacSession

        shared = getattr(config, "workerinput", {}).get(_CHAINS)
        eac = config.stash[_SESSION] = EacSession(
            config, config.stash[_OPTIONS], shared=Path(shared) if shared else None
        )
        if not hasattr(config, "workerinput"):
            from pytest_eac.plugin.stopping import Stopping

            config.pluginmanager.register(Stopping(config, eac.early_end))
    return config.stash[_SESSION]


def register_from_hooks(config: pytest.Config) -> None:
    """Register what the project's ``conftest.py`` files define.

    Raises:
        pytest.Collector.CollectError: a method has the name of a built-in one.
    """
    from pytest_eac.errors import SettingsError
    from pytest_eac.spec.methods import register_from

    try:
        register_from(config.hook)
    except SettingsError as error:
        raise pytest.Collector.CollectError(str(error)) from None


def pytest_unconfigure() -> None:
    """Forget them: another run in this process has its own."""
    import sys

    if registry := sys.modules.get("pytest_eac.spec.registry"):
        registry.forget()
