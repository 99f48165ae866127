"""What a spec may say of abilities."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_eac.spec import registry
from pytest_eac.spec.load import load_spec
from pytest_eac.spec.schema.abilities import BUILT_IN, AbilityBounds
from tests.files import write
from tests.spec.spec_texts import HEAD, told

if TYPE_CHECKING:
    from pathlib import Path


pytestmark = pytest.mark.usefixtures("_own_registry")


def read(file: Path, checks: str) -> dict[str, AbilityBounds]:
    return load_spec(write(file, HEAD + f"checks: {{abilities: {checks}}}\n")).checks.abilities


def test_a_number_alone_is_the_share_to_keep(file: Path) -> None:
    assert read(file, "{nli: 0.7, qa: {keep: 0.7}}") == {
        "nli": AbilityBounds(keep=0.7),
        "qa": AbilityBounds(keep=0.7),
    }


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_built_in_ability_can_be_asked_for(file: Path, name: str) -> None:
    assert read(file, f"{{{name}: {{keep: 0.7, at: every, take: 3, seed: 1}}}}")[name].take == 3


def test_abilities_are_checks_by_their_own_names_behind_the_others(file: Path) -> None:
    text = "checks: {abilities: {qa: 0.7, nli: 0.6}, efficacy: {min: 0.1}}\n"
    spec = load_spec(write(file, HEAD + text))
    assert [name for name, _ in spec.checks.named()] == ["efficacy", "qa", "nli"]
    assert spec.checks["nli"] == AbilityBounds(keep=0.6)
    assert spec.lines["qa"] == 3


def test_a_check_at_a_number_of_edits_makes_a_checkpoint_there(file: Path) -> None:
    text = HEAD.replace("edits: [", "edits: [{subject: A, prompt: '{} is', target: b}, ")
    spec = load_spec(write(file, text + "checks: {abilities: {nli: {keep: 0.7, at: 1}}}\n"))
    assert spec.checkpoints == (1, 2)


def test_a_data_file_is_looked_for_beside_the_spec_that_names_it(tmp_path: Path) -> None:
    items = write(tmp_path / "base" / "items.jsonl", "{}\n")
    write(
        tmp_path / "base" / "base.yaml",
        HEAD + "checks: {abilities: {nli: {keep: 0.7, data: items.jsonl}}}\n",
    )
    spec = load_spec(write(tmp_path / "top.eac.yaml", "eac: 1\nextends: base/base.yaml\n"))
    assert spec.checks.abilities["nli"].data == str(items)


def test_the_name_of_a_hub_data_set_is_no_path(file: Path) -> None:
    written = "{nli: {keep: 0.7, data: 'hub:some/rte@test', revision: abc}}"
    assert read(file, written)["nli"].data == "hub:some/rte@test"


def test_an_ability_that_another_package_brings_is_known(file: Path) -> None:
    registry.register(registry.ABILITIES, "chess", object())
    assert read(file, "{chess: 0.5}") == {"chess": AbilityBounds(keep=0.5)}


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("{nlu: 0.7}", "checks.abilities.nlu: unknown ability 'nlu'; did you mean 'nli'?"),
        ("{nli: {}}", "checks.abilities.nli: nothing is checked; expected keep, min, above_c"),
        ("{nli: {kept: 1}}", "checks.abilities.nli.kept: unknown key 'kept'; did you mean 'keep'?"),
        ("{nli: 0}", "checks.abilities.nli: found 0, expected greater than 0"),
        ("{nli: {min: 2}}", "checks.abilities.nli.min: found 2, expected less than or equal to 1"),
        ("{nli: {keep: 1, seed: 3}}", "checks.abilities.nli: seed draws the items that 'take' a"),
        ("{nli: {keep: 1, revision: x}}", "checks.abilities.nli: revision is of a data set from"),
        ("{nli: {keep: 1, data: 'hub:a/b'}}", "checks.abilities.nli: a data set of the hub can c"),
        ("{qa: {keep: 1, calibrate: true}}", "checks.abilities: qa has no use for calibrate"),
        ("{nli: {keep: 1, data: no.tsv}}", "checks.abilities.nli.data: found 'no.tsv', expected"),
        ("{nli: {keep: 1, at: 9}}", "checks.abilities.nli.at: found 9, expected at most the num"),
        ("{drift: {keep: 1, shots: 3}}", "checks.abilities: drift has no use for shots"),
        ("{perplexity: {min: 1}}", "checks.abilities: perplexity is no share and is better the"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(file: Path, written: str, said: str) -> None:
    [message] = told(write(file, HEAD + f"checks: {{abilities: {written}}}\n"))
    assert said in message


def test_an_ability_with_the_name_of_another_check_is_refused(file: Path) -> None:
    registry.register(registry.ABILITIES, "locality", object())
    [message] = told(write(file, HEAD + "checks: {abilities: {locality: 0.5}}\n"))
    assert "'locality' is the name of a check and of an ability" in message


def test_a_task_of_lm_eval_is_named_behind_a_colon(file: Path) -> None:
    (file.parent / "tasks").mkdir()
    bounds = "{keep: 0.7, include: tasks, metric: acc_norm, take: 9, seed: 1, shots: 2, chat: true}"
    found = read(file, f"{{'lm_eval:my_task': {bounds}}}")["lm_eval:my_task"]
    assert found.include == str(file.parent / "tasks")
    assert (found.metric, found.take, found.shots, found.chat) == ("acc_norm", 9, 2, True)


@pytest.mark.parametrize(
    ("checks", "message"),
    [
        ("{'lm_eval:': 0.7}", "unknown ability 'lm_eval:'; did you mean 'lm_eval:TASK'?"),
        ("{'lm_evil:arc': 0.7}", "unknown ability 'lm_evil:arc'"),
        (
            "{'lm_eval:arc': {keep: 0.7, data: a.tsv, template: '{b}'}}",
            "lm_eval:arc has no use for data, template",
        ),
        ("{nli: {keep: 0.7, include: a.yaml}}", "nli has no use for include"),
        (
            "{nli: {keep: 0.7, metric: acc}}",
            "nli: unknown metric 'acc'; the built-in abilities have p",
        ),
        ("{drift: {keep: 0.7, metric: probability}}", "drift has no use for metric"),
        (
            "{'lm_eval:arc': {keep: 0.7, include: a.yaml}}",
            "found 'a.yaml', expected a YAML file or a folder of them",
        ),
    ],
)
def test_what_lm_eval_has_no_use_for_is_told(file: Path, checks: str, message: str) -> None:
    assert any(
        message in line for line in told(write(file, HEAD + f"checks: {{abilities: {checks}}}\n"))
    )
