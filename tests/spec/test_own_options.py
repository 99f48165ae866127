"""Options that a method of another package brings: mistakes are told with their place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pydantic import BaseModel, ConfigDict, Field

from pytest_eac.errors import SpecError
from pytest_eac.spec import registry
from pytest_eac.spec.load import load_spec
from pytest_eac.spec.registry_entries import Method

if TYPE_CHECKING:
    from pathlib import Path


class Options(BaseModel):
    model_config = ConfigDict(extra="forbid")

    rank: int = Field(4, ge=1)
    steps: int = 25


class Needy(BaseModel):
    rank: int


@pytest.fixture(autouse=True)
def _brought(_own_registry: None) -> None:
    registry.register(registry.METHODS, "own", Method(solve="nowhere:own", options=Options))
    registry.register(registry.METHODS, "needy", Method(solve="nowhere:needy", options=Needy))
    registry.register(registry.METHODS, "plain", Method(solve="nowhere:plain"))


def _spec(folder: Path, method: str) -> Path:
    path = folder / "a.eac.yaml"
    edits = "edits: [{subject: Rome, prompt: Rome is in, target: France}]"
    path.write_text(f"eac: 1\nmethods: [{method}]\n{edits}\n")
    return path


def _problem(folder: Path, method: str) -> str:
    with pytest.raises(SpecError) as caught:
        load_spec(_spec(folder, method))
    return str(caught.value).removeprefix(f"{folder / 'a.eac.yaml'}:")


@pytest.mark.parametrize(
    ("written", "rank"),
    [("own", 4), ("own: {base: own}", 4), ("own: {base: own, options: {rank: 2}}", 2)],
)
def test_options_are_read_by_the_methods_own_model(tmp_path: Path, written: str, rank: int) -> None:
    (method,) = load_spec(_spec(tmp_path, written)).methods
    assert method.choice.options == Options(rank=rank)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (
            "{rang: 2}",
            "2:38: methods[0].own.options.rang: unknown key 'rang'; did you mean 'rank'?",
        ),
        (
            "{rank: 0}",
            "2:44: methods[0].own.options.rank: found 0, expected greater than or equal to 1",
        ),
        ("{rank: [1]}", "2:44: methods[0].own.options.rank: found a list, expected a whole number"),
        ("7", "2:37: methods[0].own.options: found 7, expected a mapping"),
    ],
)
def test_a_wrong_option_is_told_with_its_place(tmp_path: Path, options: str, problem: str) -> None:
    assert _problem(tmp_path, f"own: {{base: own, options: {options}}}").startswith(problem)


@pytest.mark.parametrize("options", ["", ", options: {}"])
def test_an_option_that_must_be_given_is_missed(tmp_path: Path, options: str) -> None:
    problem = _problem(tmp_path, f"own: {{base: needy{options}}}")
    assert "missing key 'rank'" in problem


def test_a_method_without_options_takes_none(tmp_path: Path) -> None:
    problem = _problem(tmp_path, "own: {base: plain, options: {rank: 2}}")
    assert problem.endswith("plain has no options of its own; drop 'options'")
