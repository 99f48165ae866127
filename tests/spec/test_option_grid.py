from pathlib import Path

import pytest

from pytest_eac.errors import SettingsError
from pytest_eac.spec.load import load_spec
from pytest_eac.spec.option_grid import read_settings, variants
from pytest_eac.spec.schema.settings import CovarianceSettings
from pytest_eac.spec.spec import SpecMethod
from tests.files import write

EDITS = 'eac: 1\nedits: [{subject: Oslo, prompt: "{} lies in", target: Peru}]\n'
METHODS = """methods:
  - rome-eac
  - weak: {base: rome, value: {steps: 3, clamp: 2}, covariance: {tokens: 500}}
  - by-chance: {base: random, like: weak}
"""


@pytest.fixture
def methods(tmp_path: Path) -> tuple[SpecMethod, ...]:
    return load_spec(write(tmp_path / "some.eac.yaml", EDITS + METHODS)).methods


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("value.clamp=1,2.5, 4", [1, 2.5, 4]),
        ("layers=[3],[3, 4]", [(3,), (3, 4)]),
        ("covariance=none", ["none"]),
        ("anchors.retrain=true,false", [True, False]),
    ],
)
def test_values_are_read_as_in_yaml(text: str, values: list[object]) -> None:
    found = read_settings(text)
    assert [each.value for each in found] == values
    assert {each.option for each in found} == {text.partition("=")[0]}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("value.clamp", "found 'value.clamp', expected OPTION=VALUE,..."),
        ("value.clamp=", "expected OPTION=VALUE,..."),
        ("value..clamp=1", "expected OPTION=VALUE,..."),
        ("value.clamp=[1", "cannot be read: YAML syntax: "),
        ("value.clamp=1]\nmore: [2", "cannot be read: found more than one list"),
        ("value.clamp=!!python/name:os 1", "cannot be read: "),
        ("value.clamp=1,2,1", "value.clamp: the value 1 is given twice"),
    ],
)
def test_what_is_no_option_with_values_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match="value") as raised:
        read_settings(text)
    assert said in str(raised.value)


def test_every_method_gets_every_combination_and_keeps_its_other_options(
    methods: tuple[SpecMethod, ...],
) -> None:
    found = variants(methods, [read_settings("value.clamp=1,4"), read_settings("preset=paper")])
    assert [(each.of, each.method.name) for each in found] == [
        (name, f"{name}[value.clamp={value},preset=paper]")
        for name in ("rome-eac", "weak", "by-chance")
        for value in (1, 4)
    ]
    weak, control = found[2].method, found[5].method
    assert (weak.choice.value.clamp, weak.choice.value.steps) == (1, 3)
    assert isinstance(weak.choice.covariance, CovarianceSettings)
    assert weak.choice.covariance.tokens == 500
    assert (control.control, control.choice.base) == ("random", "rome")
    assert control.choice.value.clamp == 4
    assert methods[1].choice.value.clamp == 2


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (
            ["value.clmp=1,2"],
            "--set value.clmp=1,2: rome-eac, weak, by-chance: unknown key 'clmp'; did you mean "
            "'clamp'?",
        ),
        (
            ["value.clamp=1,x"],
            "--set value.clamp=x: rome-eac, weak, by-chance: found 'x', expected a number",
        ),
        (
            ["value.clamp.most=1"],
            "--set value.clamp.most=1: rome-eac, weak, by-chance: value.clamp: found a mapping, "
            "expected a number",
        ),
        (
            ["anchors.ratio=0.1"],
            "--set anchors.ratio=0.1: weak, by-chance: rome has no anchors; take rome-eac or drop "
            "'anchors'; rome-eac can be chosen with --method",
        ),
        (["base=memit"], "this option is the method itself; methods are chosen with --method"),
        (["covariance.corpus=no.txt"], "found 'no.txt', expected a file, built-in or hub:NAME"),
        (["value.clamp=1", "value.clamp=2"], "--set value.clamp: given twice; give all values at"),
    ],
)
def test_a_wrong_option_or_value_is_one_clear_error(
    methods: tuple[SpecMethod, ...], texts: list[str], said: str
) -> None:
    with pytest.raises(SettingsError) as raised:
        variants(methods, [read_settings(text) for text in texts])
    assert said in str(raised.value)
    assert str(raised.value).count("\n") == 0


def test_options_that_exclude_each_other_are_found_together(
    methods: tuple[SpecMethod, ...],
) -> None:
    options = [read_settings("anchors.ratio=0.1"), read_settings("anchors.threshold=0.2")]
    with pytest.raises(SettingsError, match="found a threshold and a ratio, expected one"):
        variants(methods[:1], options)


def test_a_corpus_is_a_file_of_the_working_folder(
    methods: tuple[SpecMethod, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = write(tmp_path / "texts.txt", "some text")
    (found,) = variants(methods[:1], [read_settings("covariance.corpus=texts.txt")])
    covariance = found.method.choice.covariance
    assert isinstance(covariance, CovarianceSettings)
    assert covariance.corpus == str(file)
