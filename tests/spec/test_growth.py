from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from pytest_eac.spec import registry
from pytest_eac.spec.load import load_spec
from pytest_eac.spec.registry import ABILITIES, METRICS
from pytest_eac.spec.schema.checks import Checks
from tests.files import write
from tests.spec.spec_texts import HEAD, told

if TYPE_CHECKING:
    from pathlib import Path


def test_limits_of_growth_are_checks_by_their_own_names(tmp_path: Path) -> None:
    text = HEAD + "checks:\n  deviation:\n    growth: {max_exponent: 1.0, no_acceleration: true}\n"
    spec = load_spec(write(tmp_path / "a.eac.yaml", text))
    names = [name for name, _ in spec.checks.named()]
    assert names == ["deviation-exponent", "deviation-acceleration"]
    assert spec.lines["deviation-exponent"] == 5
    assert spec.checks["deviation-exponent"] == spec.checks.deviation


def test_a_growth_check_may_be_a_known_issue(tmp_path: Path) -> None:
    text = HEAD + (
        "checks: {deviation: {max: 9, growth: {max_slope: 1}}}\n"
        "known_issues: [{check: deviation-slope, reason: fast}]\n"
    )
    load_spec(write(tmp_path / "a.eac.yaml", text))


@pytest.mark.parametrize(
    ("growth", "message"),
    [
        ("{}", "nothing is checked; expected max_exponent, max_slope, no_acceleration or"),
        ("{confidence: 0.9}", "nothing is checked"),
        ("{max_exponent: -1}", "found -1"),
        ("{no_collapse_before: 0}", "found 0"),
        ("{no_acceleration: false}", "found False, expected True"),
        ("{max_slope: 1, confidence: 1}", "found 1"),
        ("{max_slop: 1}", "unknown key 'max_slop'; did you mean 'max_slope'?"),
    ],
)
def test_limits_that_make_no_sense_are_refused(tmp_path: Path, growth: str, message: str) -> None:
    [found] = told(
        write(tmp_path / "a.eac.yaml", HEAD + f"checks: {{deviation: {{growth: {growth}}}}}\n")
    )
    assert message in found


@pytest.mark.usefixtures("_own_registry")
@pytest.mark.parametrize(
    ("group", "name", "limits"),
    [(ABILITIES, "abilities", {"keep": 0.7}), (METRICS, "metrics", {"min": 0})],
)
def test_another_check_cannot_have_the_name_of_one_of_growth(
    group: str, name: str, limits: dict[str, Any]
) -> None:
    registry.register(group, "deviation-slope", object())
    checks = {name: {"deviation-slope": limits}}
    with pytest.raises(ValidationError, match="'deviation-slope' is the name of"):
        Checks.model_validate({"deviation": {"growth": {"max_slope": 1}}, **checks})
