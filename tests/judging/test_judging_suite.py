from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom

from pytest_eac.judging import hypotheses
from pytest_eac.judging.checks import judge
from pytest_eac.judging.compare_checks import compare
from pytest_eac.judging.compare_samples import compare_over_samples
from pytest_eac.judging.samples import judge_samples
from pytest_eac.judging.suite import confident, suite_size
from pytest_eac.records.run import Measurement
from pytest_eac.spec.schema.checks import Checks, CompareCheck, Stats
from pytest_eac.spec.spec import Spec
from tests.judging.hand_made_chains import chain, checkpoint, share

CHECKS = Checks.model_validate(
    {
        "efficacy": {"min": 0.8, "confidence": 0.95},
        "locality": {"min": 0.8, "confidence": 0.95},
        "retention": {"min": 0.5},
        "deviation": {
            "max_relative": 3,
            "growth": {"max_exponent": 1.0, "no_acceleration": True, "confidence": 0.95},
        },
        "abilities": {"qa": {"loses_at_most": 0.1, "confidence": 0.9}, "drift": 0.5},
        "compare": (
            {"metric": "retention", "more": "a", "than": "b", "confidence": 0.95},
            {"metric": "retention", "more": "b", "than": "a"},
            {"metric": "deviation", "less": "b", "than": "a", "at_equal": "retention"},
        ),
    }
)
TWO = Checks.model_validate(
    {name: {"min": 0.8, "confidence": 0.95} for name in ("efficacy", "locality")}
)
BETTER = CompareCheck.model_validate(
    {"metric": "retention", "more": "a", "than": "b", "confidence": 0.95}
)


def hits(right: int, n: int) -> Measurement:
    return replace(share(right / n, n), scores=(1.0,) * right + (0.0,) * (n - right))


def spec_like(suite: str, methods: int, seeds: int, samples: int = 1) -> Spec:
    found = object.__new__(Spec)
    for name, value in {
        "stats": Stats.model_validate({"suite": suite}),
        "methods": ("m",) * methods,
        "seeds": tuple(range(seeds)),
        "edit_sets": ((),) * samples,
        "checks": CHECKS,
    }.items():
        object.__setattr__(found, name, value)
    return found


def test_what_has_a_confidence_is_counted_and_alarms_are_not() -> None:
    assert confident(CHECKS.named()) == ("efficacy", "locality", "deviation-exponent", "qa")
    assert confident(CHECKS.pooled()) == ("efficacy", "locality", "qa")


def test_a_suite_has_the_p_values_of_all_chains_and_comparisons_of_its_specs() -> None:
    specs = [spec_like("holm", 2, 3), spec_like("none", 9, 9), spec_like("holm", 1, 1)]
    assert suite_size(specs) == (6 * 4 + 2) + (1 * 4 + 2)
    assert suite_size(specs, released=True) == 4 + 4
    assert suite_size(specs[1:2]) == 0


def test_sets_of_edits_add_their_chains_and_what_is_judged_over_all_of_them() -> None:
    assert suite_size([spec_like("holm", 2, 3, samples=5)]) == 2 * (3 * 5 * 4 + 3) + 2


def test_a_chain_gets_the_share_of_the_level_that_its_checks_have_of_all() -> None:
    measured = chain(checkpoint(40, hits(40, 40), locality=hits(39, 40)))
    alone = judge(measured, TWO)
    assert [each.outcome for each in alone] == ["passed", "passed"]
    found = judge(measured, TWO, suite=10)
    for one, two in zip(alone, found, strict=True):
        assert two.p == one.p
        assert two.p_adjusted == pytest.approx(5 * (one.p_adjusted or 0))
        assert (two.correction, two.corrected_over) == ("holm", 10)
    assert [each.outcome for each in judge(measured, TWO, suite=100)] == ["passed", "undecided"]
    none = judge(measured, TWO, Stats.model_validate({"correction": "none"}), suite=10)
    assert none == found, "a suite is corrected, whatever is asked of chains"


def test_a_method_over_its_sets_of_edits_gets_its_share_too() -> None:
    chains = [
        replace(chain(checkpoint(40, hits(n, 40), locality=hits(40, 40))), sample=index)
        for index, n in enumerate((39, 40, 38, 40))
    ]
    alone, found = judge_samples(chains, TWO), judge_samples(chains, TWO, suite=10)
    for one, two in zip(alone, found, strict=True):
        assert two.p_adjusted == pytest.approx(min(1, 5 * (one.p_adjusted or 0)))
        assert two.corrected_over == 10


def test_a_comparison_gets_one_share_of_the_level() -> None:
    one, two = (
        chain(checkpoint(30, retention=hits(right, 30)), method=name)
        for name, right in (("a", 30), ("b", 22))
    )
    alone, found = (compare("c", BETTER, [one], [two], suite=suite) for suite in (0, 20))
    assert (alone.outcome, alone.corrected_over) == ("passed", None)
    assert (found.outcome, found.corrected_over) == ("undecided", 20)
    assert found.p_adjusted == pytest.approx(20 * 0.5**8)
    assert "p=0.0039, 0.078 corrected over 20 checks by Holm; right with a" in found.message
    assert (found.needs or 0) > (alone.needs or 0)


def test_a_comparison_over_sets_of_edits_gets_one_share_of_the_level() -> None:
    sides = [
        [
            replace(chain(checkpoint(30, retention=hits(n, 30)), method=name), sample=index)
            for index, n in enumerate(right)
        ]
        for name, right in (("a", (30, 29, 30, 30)), ("b", (22, 20, 24, 21)))
    ]
    alone, found = (compare_over_samples("c", BETTER, *sides, suite=n) for n in (0, 100))
    assert (alone.outcome, alone.corrected_over) == ("passed", None)
    assert alone.p is not None
    assert (found.outcome, found.corrected_over) == ("undecided", 100)
    assert found.p_adjusted == pytest.approx(100 * alone.p)
    assert "corrected over 100 checks by Holm" in found.message


def test_over_a_suite_even_one_wrong_pass_is_as_rare_as_the_level_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Six chains with two checks each, all true shares at the limit: alone, most runs have one."""
    monkeypatch.setattr(hypotheses, "needed_above", lambda *_, **__: None)  # only verdicts matter
    generator = np.random.default_rng(1)
    checks = Checks.model_validate(
        {name: {"min": 0.6, "confidence": 0.95} for name in ("efficacy", "locality")}
    )
    runs, wrong = 40, {0: 0, 12: 0}
    for _ in range(runs):
        chains = [
            chain(checkpoint(30, hits(int(one), 30), locality=hits(int(two), 30)))
            for one, two in generator.binomial(30, 0.6, (6, 2))
        ]
        for suite in wrong:
            wrong[suite] += any(
                each.outcome == "passed"
                for one in chains
                for each in judge(one, checks, suite=suite)
            )
    assert wrong[12] <= binom.ppf(0.999, runs, 0.05)
    assert wrong[0] > 2 * wrong[12]
