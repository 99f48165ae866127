from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom

from pytest_eac.judging import hypotheses
from pytest_eac.judging.checks import judge
from pytest_eac.judging.compare_checks import compare
from pytest_eac.judging.suite import confident_checks, suite_size
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
        ),
    }
)


def hits(right: int, n: int):
    return replace(share(right / n, n), scores=(1.0,) * right + (0.0,) * (n - right))


def spec_like(suite: str, methods: int, seeds: int) -> Spec:
    found = object.__new__(Spec)
    for name, value in {
        "stats": Stats.model_validate({"suite": suite}),
        "methods": ("m",) * methods,
        "seeds": tuple(range(seeds)),
        "checks": CHECKS,
    }.items():
        object.__setattr__(found, name, value)
    return found


def test_what_has_a_confidence_is_counted_and_alarms_are_not() -> None:
    assert confident_checks(CHECKS) == ("efficacy", "locality", "deviation-exponent", "qa")


def test_a_suite_has_the_p_values_of_all_chains_and_comparisons_of_its_specs() -> None:
    specs = [spec_like("holm", 2, 3), spec_like("none", 9, 9), spec_like("holm", 1, 1)]
    assert suite_size(specs) == (6 * 4 + 1) + (1 * 4 + 1)
    assert suite_size(specs, released=True) == 4 + 4
    assert suite_size(specs[1:2]) == 0


def test_a_chain_gets_the_share_of_the_level_that_its_checks_have_of_all() -> None:
    checks = Checks.model_validate(
        {name: {"min": 0.8, "confidence": 0.95} for name in ("efficacy", "locality")}
    )
    measured = chain(checkpoint(40, hits(40, 40), locality=hits(39, 40)))
    alone = judge(measured, checks)
    assert [each.outcome for each in alone] == ["passed", "passed"]
    found = judge(measured, checks, suite=10)
    for one, two in zip(alone, found, strict=True):
        assert two.p == one.p
        assert two.p_adjusted == pytest.approx(5 * (one.p_adjusted or 0))
        assert (two.correction, two.corrected_over) == ("holm", 10)
    assert [each.outcome for each in judge(measured, checks, suite=100)] == ["passed", "undecided"]
    none = judge(measured, checks, Stats.model_validate({"correction": "none"}), suite=10)
    assert none == found, "a suite is corrected, whatever is said of chains"


def test_a_comparison_gets_one_share_of_the_level() -> None:
    asked = CompareCheck.model_validate(
        {"metric": "retention", "more": "a", "than": "b", "confidence": 0.95}
    )
    one, two = (
        chain(checkpoint(30, retention=hits(right, 30)), method=name)
        for name, right in (("a", 30), ("b", 22))
    )
    alone, found = (compare("c", asked, [one], [two], suite=suite) for suite in (0, 20))
    assert (alone.outcome, alone.corrected_over) == ("passed", None)
    assert (found.outcome, found.corrected_over) == ("undecided", 20)
    assert found.p_adjusted == pytest.approx(20 * 0.5**8)
    assert "; 0.078 corrected over 20 checks; " in found.message


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
