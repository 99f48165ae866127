from __future__ import annotations

import pytest

from pytest_eac.reporting.meanings import MEANINGS, meaning, table
from pytest_eac.spec.metrics import metric_names
from pytest_eac.spec.schema.abilities import BUILT_IN
from pytest_eac.spec.schema.checks import Checks
from pytest_eac.spec.schema.deviation import GrowthBounds
from tests.conftest import ROOT

GROWTH = GrowthBounds(max_exponent=1, max_slope=1, no_acceleration=True, no_collapse_before=1)


def test_the_docs_have_the_same_sentences_and_formulas() -> None:
    assert "\n".join(table()) in (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")


def test_every_check_that_a_chain_can_have_has_a_meaning() -> None:
    own = set(Checks.model_fields) - {"metrics", "abilities", "compare"}
    assert set(MEANINGS) == own | set(GROWTH.checks()) | set(BUILT_IN)


@pytest.mark.parametrize("name", [*MEANINGS, "lm_eval:x", "own", "baseline-efficacy"])
def test_every_meaning_names_a_page_that_is_there(name: str) -> None:
    assert (ROOT / "docs" / f"{meaning(name).page}.md").is_file()


def test_the_kinds_of_orderings_are_told_apart() -> None:
    names = ["orderings-state", *(f"orderings-{each}" for each in metric_names())]
    names += [f"orderings-spread-{each}" for each in metric_names()]
    pages = {meaning(name).page for name in names}
    assert pages == {"orderings"}
    assert len({meaning(name).says for name in names}) == 3
