"""How pytest runs the suite: which methods are tried, and on what model."""

from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from pytest_eac.conformance.bench import Bench
from pytest_eac.conformance.trial import Trial
from pytest_eac.errors import EacError, SettingsError
from pytest_eac.plugin import register_from_hooks
from pytest_eac.plugin.options import read_options
from pytest_eac.spec.methods import find_method, method_names

_HERE = Path(__file__).parent


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(
    file_path: Path, parent: pytest.Collector
) -> Generator[None, list[pytest.Collector], list[pytest.Collector]]:
    """Collect the suite also in a project whose ``python_files`` leaves it out."""
    found = yield
    if not found and file_path.parent == _HERE and file_path.match("test_*.py"):
        return [pytest.Module.from_parent(parent, path=file_path)]
    return found


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run every test for each method that ``--eac-method`` names, or else for all."""
    register_from_hooks(metafunc.config)
    names = read_options(metafunc.config).methods or method_names()
    for name in names:
        try:
            find_method(name)
        except KeyError as error:
            raise pytest.Collector.CollectError(f"--eac-method: {error.args[0]}") from None
        except SettingsError:
            continue  # announced, but cannot be imported: its tests report that
    metafunc.parametrize("trial", names, indirect=True, scope="module")


@pytest.fixture(scope="session")
def bench(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """The model that all methods are tried on."""
    try:
        return Bench(read_options(request.config), tmp_path_factory.mktemp("eac"))
    except EacError as error:  # no test can run without it: one error, not one a test
        pytest.exit(f"--eac-model: {error}", returncode=pytest.ExitCode.TESTS_FAILED)


@pytest.fixture(scope="module")
def trial(request: pytest.FixtureRequest, bench: Bench) -> Trial:
    """A method, ready to be tried."""
    found = Trial(name=request.param, bench=bench)
    try:
        _skip_without_options(found.name)
        found.prepare()
    except Exception as error:
        found.trouble = found.reason("making one edit", error)
    bench.tidy()
    return found


@pytest.fixture(autouse=True)
def _tidy(bench: Bench) -> Iterator[None]:
    yield
    bench.tidy()


def _skip_without_options(name: str) -> None:
    options = find_method(name).options
    fields = options.model_fields.items() if options else ()
    if needed := [key for key, each in fields if each.is_required()]:
        pytest.skip(
            f"{name} has options without a default ({', '.join(needed)}): "
            "give them one, so that the method can be tried"
        )
