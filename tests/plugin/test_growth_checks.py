"""Growth of deviation as checks of a spec."""

from __future__ import annotations

import re
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
    result.stdout.fnmatch_lines(["deviation-exponent of eac-s0: * (95% interval *"])


def test_what_passes_tells_its_numbers_on_the_page_and_in_the_summary(specs: Specs) -> None:
    growth = "{max_exponent: 90}"
    specs.write(f"{{deviation: {{max: 1.0e9, growth: {growth}}}}}", methods=QUICK, edits=SIX)
    files = ["--eac-report=run.html", "--eac-summary=run.md"]
    result = specs.run(*files)
    result.assert_outcomes(passed=2)
    ours = result.outlines[result.outlines.index(" edits ".center(80, "=")) :]
    told = [line for line in ours if line.startswith(("eac-s0", "deviation", "  "))]
    assert len(told) > 5
    assert max(map(len, told)) <= 80
    for file in files:
        text = (specs.pytester.path / file.partition("=")[2]).read_text(encoding="utf-8")
        assert re.search(r"deviation-exponent of eac-s0: \S+ \(95% interval", text)
    quiet = specs.run("-qq")
    assert "dev s/edit" in result.stdout.str()
    assert "dev s/edit" not in quiet.stdout.str()
