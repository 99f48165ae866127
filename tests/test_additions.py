"""What it takes to add to the registry: one new file, and one line of a table.

Each addition is made in a scratch copy of the package; one process then runs a spec that uses them
all on the tiny model.
"""

from __future__ import annotations

import difflib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from pytest_eac.spec.registry import ABILITIES, METHODS, METRICS, SOURCES
from tests.conftest import ROOT, TINY_LLAMA
from tests.sources import copy_sources, source_files

if TYPE_CHECKING:
    from pathlib import Path

TABLE = "spec/registry.py"

RULE = '''
"""Half of ROME's update."""

from pydantic import Field

from pytest_eac.editing.recipe import Recipe
from pytest_eac.editing.updates.rome import rome
from pytest_eac.spec.registry_entries import Method
from pytest_eac.spec.types import Ratio, Strict


class Options(Strict):
    share: Ratio = Field(0.5, description="Share of the update that is made")


def partly(problem):
    whole = rome(problem)
    return problem.delta(problem.options.share * whole.left, whole.right)


PARTLY = Method(
    solve=Recipe(rule=partly, whole_layer=False),
    takes_value=True,
    many_edits=False,
    many_layers=False,
    covariance=True,
    covariance_optional=True,
    update=Options,
)
'''
SOURCE = '''
"""Facts as tab-separated values: subject, prompt, target, truth."""

import json

from pytest_eac.data.files import lines
from pytest_eac.spec.sources.source_format import SourceFormat
from pytest_eac.spec.schema.edits import InlineEdit


def convert(record):
    return InlineEdit(**json.loads(record))


def read(path):
    for number, line in lines(path):
        values = line.rstrip("\\n").split("\\t")
        yield number, json.dumps(dict(zip(("subject", "prompt", "target", "truth"), values)))


FORMAT = SourceFormat(about="tab-separated values", read=read, convert=convert)
'''
ABILITY = '''
"""Questions with answers of a word."""

from pytest_eac.spec.registry_entries import Prompt, Task

TASK = Task(
    asked="short questions",
    data="short",
    prompt=Prompt(text="Q: {question} A:"),
    ask="pytest_eac.abilities.by_generation:questions",
)
'''
METRIC = '''
"""How many of the truths are still given."""

from pytest_eac.spec.registry_entries import Metric


def relapse(edited):
    return edited.measure_targets(edited.unedited.questions.groups["truth"][: edited.count])


RELAPSE = Metric(
    measure=relapse,
    asks="Does the model fall back?",
    needs="truth",
    kind="share",
    better="lower",
)
'''


@dataclass(frozen=True, slots=True, kw_only=True)
class Addition:
    """A new entry: its kind, its file in the package, and its line of the table."""

    kind: str
    file: str
    text: str
    name: str
    entry: str


ADDITIONS = (
    Addition(
        kind=METHODS, file="editing/updates/partly.py", text=RULE, name="partly", entry="PARTLY"
    ),
    Addition(
        kind=METRICS, file="measuring/relapse.py", text=METRIC, name="relapse", entry="RELAPSE"
    ),
    Addition(kind=SOURCES, file="spec/sources/tsv.py", text=SOURCE, name="tsv", entry="FORMAT"),
    Addition(
        kind=ABILITIES, file="abilities/built_in/short.py", text=ABILITY, name="short", entry="TASK"
    ),
)

SPEC = f"""
eac: 1
model: {TINY_LLAMA}
methods:
  - a-quarter: {{base: partly, layers: [1], covariance: none, update: {{share: 0.25}},
      contexts: {{texts: ["{{}}"]}}}}
  - with-anchors: {{base: partly-eac, layers: [1], covariance: none, contexts: {{texts: ["{{}}"]}}}}
edits: [{{from: facts.tsv, format: tsv}}]
checks:
  efficacy: {{min: 0}}
  relapse: {{max: 1}}
  abilities: {{short: {{min: 0, data: short.jsonl}}}}
"""
RUN = """
import json, sys
from pathlib import Path
from pytest_eac.reporting.meanings import meaning
from pytest_eac.spec.load import load_spec
from pytest_eac.spec.schema.spec_file import json_schema

spec = load_spec(Path("additions.eac.yaml"))
schema = json_schema()
found = {"torch was imported": "torch" in sys.modules}

from pytest_eac import judge, load_model, run_chain

model = load_model(spec.model.id)
chains = [run_chain(model, spec, method) for method in spec.methods]
found["package"] = sys.modules["pytest_eac"].__file__
found["subjects"] = [edit.subject for edit in spec.edits]
found["updates"] = [chain.hyperparameters["update"] for chain in chains]
found["anchors"] = [chain.hyperparameters["anchors"] is not None for chain in chains]
found["moved"] = [chain.checkpoints[-1].deviation.l1 > 0 for chain in chains]
found["prompts"] = [chain.abilities["short"].template for chain in chains]
found["relapse"] = [chain.checkpoints[-1].metrics["relapse"].n for chain in chains]
found["judged"] = [each.outcome for chain in chains for each in judge(chain, spec.checks)]
found["meaning"] = meaning("short").says
found["metric"] = schema["$defs"]["Checks"]["properties"]["relapse"]["description"]
found["option"] = schema["$defs"]["UpdateSettings"]["properties"]["share"]["description"]
found["format"] = schema["$defs"]["EditSource"]["properties"]["format"]["description"]
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a copy of the package to which each addition is made."""
    folder = tmp_path_factory.mktemp("extended")
    copy = copy_sources("pytest_eac", folder)
    table = copy / TABLE
    lines = table.read_text(encoding="utf-8").splitlines(keepends=True)
    for each in ADDITIONS:
        (copy / each.file).write_text(each.text.lstrip(), encoding="utf-8")
        module = "pytest_eac." + each.file.removesuffix(".py").replace("/", ".")
        start = lines.index(f"    {each.kind.upper()}: {{\n")
        lines.insert(start + 1, f'        "{each.name}": "{module}:{each.entry}",\n')
    table.write_text("".join(lines), encoding="utf-8")
    return folder


def _files(folder: Path) -> dict[str, bytes]:
    return {name: path.read_bytes() for name, path in source_files(folder).items()}


def test_an_addition_is_a_new_file_and_a_line_of_the_table(extended: Path) -> None:
    before, after = _files(ROOT / "pytest_eac"), _files(extended / "pytest_eac")
    assert after.keys() - before.keys() == {each.file for each in ADDITIONS}
    assert [name for name in before if before[name] != after.get(name)] == [TABLE]
    old, new = (files[TABLE].decode().splitlines() for files in (before, after))
    changes = [line for line in difflib.ndiff(old, new) if line[0] in "+-"]
    assert len(changes) == len(ADDITIONS)
    assert all(line.startswith("+") for line in changes)


def test_a_spec_runs_with_all_that_was_added(extended: Path) -> None:
    (extended / "additions.eac.yaml").write_text(SPEC, encoding="utf-8")
    fact = "Norway\tThe capital of {} is\tRome\tOslo\n"
    (extended / "facts.tsv").write_text(fact, encoding="utf-8")
    item = '{"question": "Where is Oslo?", "answer": "Norway"}\n'
    (extended / "short.jsonl").write_text(item, encoding="utf-8")
    run = subprocess.run(
        [sys.executable, "-c", RUN],
        cwd=extended,
        env={**os.environ, "PYTHONPATH": str(extended), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout.splitlines()[-1])
    assert found == {
        "torch was imported": False,
        "package": str(extended / "pytest_eac" / "__init__.py"),
        "subjects": ["Norway"],
        "updates": [{"share": 0.25}, {"share": 0.5}],
        "anchors": [False, True],
        "moved": [True, True],
        "prompts": ["short@1", "short@1"],
        "relapse": [1, 1],
        "judged": ["passed", "passed", "undecided"] * 2,  # the tiny model answers nothing
        "metric": "Does the model fall back?",
        "meaning": "How much is kept of an ability: short questions.",
        "option": "Share of the update that is made (partly).",
        "format": f"tsv: tab-separated values; {found['format'].partition('; ')[2]}",
    }
