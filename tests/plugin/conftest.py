from __future__ import annotations

import importlib
import json
from typing import TYPE_CHECKING

import pytest

from pytest_eac import load_spec, run_chain
from pytest_eac.cache.kinds import LIMITED, clear
from pytest_eac.measuring.environment import describe_environment
from pytest_eac.records.run import Record
from pytest_eac.store import default_cache_dir, write_record
from tests.conftest import TINY_LLAMA, WORLD

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_eac.lm.loading.load import LoadedModel


class Specs:
    """Writes specs on the tiny Llama into a pytester folder and runs them."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester
        self.world = WORLD
        lines = self.world.read_text(encoding="utf-8").splitlines()
        self.facts = [json.loads(line) for line in lines]

    def write(
        self,
        checks: str = "{efficacy: {min: 0.0}}",
        *,
        name: str = "small.eac.yaml",
        model: str | None = str(TINY_LLAMA),
        methods: str = "[eac: {base: rome-eac, layers: [1], contexts: {texts: ['{}']}}]",
        edits: str | None = None,
        more: str = "",
    ) -> Path:
        """Write a spec whose first line is ``eac: 1``."""
        lines = ["eac: 1"]
        lines += [f"model: {model}"] if model else []
        lines += [f"methods: {methods}", f"checks: {checks}"]
        default = f"[{{from: {WORLD}, format: jsonl, take: 2}}]"
        lines += [f"edits: {edits or default}", more]
        path = self.pytester.path / name
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    def run(self, *arguments: str) -> pytest.RunResult:
        """Run pytest in this process, which has torch loaded already."""
        return self.pytester.runpytest_inprocess(*arguments)


# Six edits, made quickly rather than well.
QUICK = (
    "[eac: {base: rome-eac, layers: [1], contexts: {texts: ['{}']}, value: {steps: 2},"
    " anchors: {retrain: false}}]"
)
SIX = f"[{{from: {WORLD}, format: jsonl, take: 6}}]"


@pytest.fixture(scope="session")
def _recorded(tiny_llama: LoadedModel, tmp_path_factory: pytest.TempPathFactory) -> Record:
    path = tmp_path_factory.mktemp("recorded") / "small.eac.yaml"
    path.write_text(f"eac: 1\nmethods: {QUICK}\nedits: {SIX}\n", encoding="utf-8")
    spec = load_spec(path)
    return Record(
        environment=describe_environment(),
        chains=(run_chain(tiny_llama, spec, spec.methods[0]),),
    )


@pytest.fixture
def stored(specs: Specs, _recorded: Record) -> Path:
    """The records of a spec of six edits, in ``stored.json`` beside it."""
    file = specs.pytester.path / "stored.json"
    write_record(file, _recorded)
    specs.write("{efficacy: {min: 0.0}, deviation: {max_relative: 99}}", methods=QUICK, edits=SIX)
    return file


@pytest.fixture(scope="session")
def _everything_imported(tiny_llama: LoadedModel, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Run a chain once out here, and load what verifies signatures.

    An inner run's modules are forgotten when it ends, and compiled ones load only once a process.
    """
    importlib.import_module("model_signing")
    path = tmp_path_factory.mktemp("import") / "small.yaml"
    method = "{eac: {base: rome-eac, layers: [1], contexts: {lengths: [[2, 1]]}}}"
    source = f"{{from: {WORLD}, format: jsonl, take: 1}}"
    path.write_text(f"eac: 1\nmethods: [{method}]\nedits: [{source}]\n")
    spec = load_spec(path)
    run_chain(tiny_llama, spec, spec.methods[0])
    describe_environment()


@pytest.fixture
def specs(_everything_imported: None, pytester: pytest.Pytester) -> Specs:
    for kind in LIMITED:  # what one test has solved, another does not find
        clear(default_cache_dir(), kind)
    return Specs(pytester)
