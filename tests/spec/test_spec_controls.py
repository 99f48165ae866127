from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_eac.spec.load import load_spec
from tests.files import write
from tests.spec.spec_texts import HEAD, told

if TYPE_CHECKING:
    from pathlib import Path

METHODS = """\
methods:
  - chance: {base: random, like: narrow}
  - narrow: {base: rome-eac, anchors: {ratio: 0.1}}
  - spectrum: {base: random-spectrum, like: memit}
"""


def test_a_control_has_all_of_the_method_that_it_mirrors(tmp_path: Path) -> None:
    chance, narrow, spectrum = load_spec(write(tmp_path / "a.yaml", HEAD + METHODS)).methods
    assert (chance.name, chance.control, chance.choice) == ("chance", "random", narrow.choice)
    assert narrow.control is None
    assert (spectrum.control, spectrum.choice.base) == ("random-spectrum", "memit")


def test_a_control_can_be_chosen_without_its_method(tmp_path: Path) -> None:
    spec = load_spec(write(tmp_path / "a.yaml", HEAD + METHODS)).with_methods(("chance",))
    (chance,) = spec.methods
    assert chance.choice.anchors.ratio == 0.1


def test_a_control_of_a_method_that_takes_one_edit_takes_one(tmp_path: Path) -> None:
    text = "methods: [c: {base: random, like: rome}]\nsequence: {batch: 2}\n"
    (problem,) = told(write(tmp_path / "a.yaml", HEAD + text))
    assert "c takes one edit at a time" in problem


@pytest.mark.parametrize(
    ("method", "message"),
    [
        (
            "c: {base: random, like: narow}, narrow: {base: rome}",
            "3:35: methods[0].c.like: 'narow' is neither a method of this spec nor a "
            "built-in one; did you mean 'narrow'?",
        ),
        (
            "c: {base: random, like: d}, d: {base: random, like: rome}",
            "3:35: methods[0].c.like: 'd' is a control itself; expected a method",
        ),
        (
            "c: {base: random, like: c}",
            "3:35: methods[0].c.like: 'c' is a control itself; expected a method",
        ),
        (
            "c: {base: random-spectrum, like: random}",
            "3:44: methods[0].c.like: 'random' is a control itself; expected a method",
        ),
        (
            "c: {base: random}",
            "3:14: methods[0].c: random mirrors a method; say which, e.g. like: rome",
        ),
        (
            "c: {base: random, like: rome, layers: [3]}",
            "3:14: methods[0].c: random takes all from rome; drop layers",
        ),
        (
            "c: {base: rome, like: rome-eac}",
            "3:14: methods[0].c: rome is no control; 'like' goes with random and random-spectrum",
        ),
        (
            "random",
            "3:11: methods[0]: 'random' mirrors a method; say which, e.g. "
            "{my-random: {base: random, like: rome}}",
        ),
    ],
)
def test_a_control_that_mirrors_nothing_is_told_with_its_place(
    tmp_path: Path, method: str, message: str
) -> None:
    path = write(tmp_path / "a.yaml", HEAD + f"methods: [{method}]\n")
    assert told(path)[0] == message
