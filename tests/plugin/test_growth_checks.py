"""Growth of deviation as checks of a spec."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.plugin.conftest import Specs


def test_each_limit_of_growth_is_an_item_and_too_few_edits_do_not_pass(specs: Specs) -> None:
    growth = "{max_exponent: 9, max_slope: 1, no_acceleration: true, no_collapse_before: 3}"
    specs.write(f"{{deviation: {{max: 1.0e9, growth: {growth}}}}}")
    result = specs.run("-rs", "-v")
    result.assert_outcomes(passed=1, skipped=4)
    result.stdout.fnmatch_lines(["*::eac-s0::deviation-collapse SKIPPED*"])
    result.stdout.fnmatch_lines(["*deviation-exponent of eac-s0: undecided: needs about 5 edits*"])
