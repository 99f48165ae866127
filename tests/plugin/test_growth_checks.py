"""Growth of deviation as checks of a spec."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.plugin.conftest import QUICK, SIX

if TYPE_CHECKING:
    from tests.plugin.conftest import Specs


def test_each_limit_of_growth_is_an_item_and_too_few_edits_do_not_pass(specs: Specs) -> None:
    growth = "{max_exponent: 9, max_slope: 1, no_acceleration: true, no_collapse_before: 3}"
    specs.write(f"{{deviation: {{max: 1.0e9, growth: {growth}}}}}")
    result = specs.run("-rs", "-v")
    result.assert_outcomes(passed=1, skipped=4)
    result.stdout.fnmatch_lines(["*::eac-s0::deviation-collapse SKIPPED*"])
    result.stdout.fnmatch_lines(["*deviation-exponent of eac-s0: undecided: needs about 5 edits*"])


def test_a_limit_of_growth_with_a_confidence_is_told_in_the_table_too(specs: Specs) -> None:
    growth = "{max_exponent: 90, max_slope: 1.0e9, confidence: 0.9}"
    specs.write(f"{{deviation: {{max: 1.0e9, growth: {growth}}}}}", methods=QUICK, edits=SIX)
    result = specs.run("-v")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["eac-s0 *devi*nent *-*holm over 2 passed"])
