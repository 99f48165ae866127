from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from pytest_eac.errors import SettingsError
from pytest_eac.spec.hyperparameters import (
    ModelPreset,
    PresetCovariance,
    find_model_preset,
    model_presets,
    resolve_settings,
)
from pytest_eac.spec.methods import BUILT_IN, find_method, method_names
from pytest_eac.spec.schema.methods import MethodChoice
from pytest_eac.spec.schema.settings import (
    AnchorSettings,
    ContextSettings,
    CovarianceSettings,
    MethodSettings,
    ValueSettings,
)

UNKNOWN = {"model_type": "gpt2", "hidden_size": 12, "num_hidden_layers": 6}
SMOLLM2 = {"model_type": "llama", "hidden_size": 576, "num_hidden_layers": 30, "vocab_size": 49152}
PRESETS = {preset.name: preset for preset in model_presets()}


RELEASED = ("rome", "rome-eac", "memit", "memit-eac")


def choose(base: str = "rome-eac", **given: Any) -> MethodChoice:
    return MethodChoice.model_validate({"base": base, **given})


def refused(choice: MethodChoice, shape: dict[str, Any]) -> str:
    with pytest.raises(SettingsError) as raised:
        resolve_settings(choice, shape)
    return str(raised.value)


# Precedence


def test_without_a_preset_the_defaults_hold() -> None:
    settings = resolve_settings(choose(layers=(2,)), UNKNOWN)
    assert settings == MethodSettings(
        base="rome-eac",
        layers=(2,),
        anchors=AnchorSettings(),
        covariance=CovarianceSettings(),
    )
    assert settings.value == ValueSettings()
    assert settings.contexts == ContextSettings()


def test_the_models_preset_is_laid_over_the_defaults() -> None:
    preset = PRESETS["SmolLM2-135M"]
    settings = resolve_settings(choose(), SMOLLM2)
    assert settings.layers == tuple(preset.settings["all"]["layers"])
    assert settings.value.steps == preset.settings["all"]["value"]["steps"]
    assert settings.value.steps != ValueSettings().steps
    assert settings.contexts.lengths == preset.settings["all"]["contexts"]["lengths"]
    assert settings.value.stop_loss == ValueSettings().stop_loss, "not in the preset"


def test_a_familys_part_of_a_models_preset_is_for_that_family_only() -> None:
    parts = PRESETS["SmolLM2-135M"].settings
    with_anchors = resolve_settings(choose("rome-eac"), SMOLLM2)
    assert with_anchors.anchors is not None
    assert with_anchors.anchors.steps == parts["eac"]["anchors"]["steps"]
    assert resolve_settings(choose("rome"), SMOLLM2).anchors is None
    assert resolve_settings(choose("rome"), SMOLLM2).layers == parts["all"]["layers"]
    assert resolve_settings(choose("memit"), SMOLLM2).layers == parts["many-layers"]["layers"]


@pytest.mark.parametrize(
    ("method", "clamps"),
    [
        ("rome", {"all": 1.0, "one-layer": 2.0, "rome": 5.0}),
        ("rome-eac", {"all": 1.0, "one-layer": 2.0, "eac": 4.0, "rome": 5.0, "rome-eac": 6.0}),
        ("nas-eac", {"all": 1.0, "many-layers": 3.0, "eac": 4.0}),
        ("memit", {"all": 1.0, "many-layers": 3.0}),
    ],
)
def test_the_more_special_part_of_a_preset_wins(
    monkeypatch: pytest.MonkeyPatch, method: str, clamps: dict[str, float]
) -> None:
    """With ever fewer of the parts that are for a method, the next one counts."""
    every = {"all": 1.0, "one-layer": 2.0, "many-layers": 3.0, "eac": 4.0, "rome": 5.0}
    parts = {**every, "rome-eac": 6.0}
    wanted = dict(clamps)
    while wanted:
        preset = ModelPreset(
            name="x",
            match={},
            source="",
            covariance=PresetCovariance(),
            settings={name: {"value": {"clamp": clamp}} for name, clamp in parts.items()},
        )
        monkeypatch.setattr(
            "pytest_eac.spec.hyperparameters.find_model_preset", lambda _, p=preset: p
        )
        clamp = resolve_settings(choose(method, layers=(1,)), UNKNOWN).value.clamp
        name, expected = wanted.popitem()
        assert clamp == expected
        del parts[name]


def test_the_named_preset_is_laid_over_the_models() -> None:
    settings = resolve_settings(choose(preset="released"), SMOLLM2)
    assert settings.preset == "released"
    assert settings.value.steps == 10, "the released code's, not the model preset's"
    assert settings.layers == resolve_settings(choose(), SMOLLM2).layers, "still the model's"
    assert settings.anchors == AnchorSettings(
        ratio=0.2, steps=10, start="warm", l1=0, kl_reference="start"
    )


def test_the_released_preset_takes_the_covariance_from_plain_rome_and_nothing_else() -> None:
    paper = resolve_settings(choose("rome"), SMOLLM2)
    released = resolve_settings(choose("rome", preset="released"), SMOLLM2)
    assert paper.covariance is not None
    assert released.covariance is None
    assert released.model_copy(update={"preset": "paper", "covariance": paper.covariance}) == paper


def test_the_released_preset_is_refused_for_a_method_that_the_code_does_not_have() -> None:
    with pytest.raises(ValidationError, match="the released code has no alphaedit; it has: rome, "):
        choose("alphaedit", preset="released")


def test_a_methods_own_defaults_are_laid_over_the_usual_ones() -> None:
    assert resolve_settings(choose("nas", layers=(1,)), UNKNOWN).value.norm == "anchored"
    assert resolve_settings(choose("alphaedit", layers=(1,)), UNKNOWN).value.norm == "free"
    rect = resolve_settings(choose("rect", layers=(1,), update={"keep": 0.1}), UNKNOWN)
    assert rect.update.weight is None
    assert rect.update.keep == 0.1, "the spec's"
    assert resolve_settings(choose("rect", layers=(1,)), UNKNOWN).update.keep == 0.4


def test_a_spec_can_do_without_a_covariance() -> None:
    assert resolve_settings(choose("rome", covariance="none"), SMOLLM2).covariance is None


def test_only_methods_that_read_a_covariance_have_one() -> None:
    without = [name for name in BUILT_IN if not BUILT_IN[name].covariance]
    assert without == ["ft", "ft-l"]
    for name in BUILT_IN:
        settings = resolve_settings(choose(name, layers=(1,)), UNKNOWN)
        assert (settings.covariance is None) == (name in without)


def test_the_spec_is_laid_over_everything() -> None:
    settings = resolve_settings(
        choose(
            preset="released",
            layers=(3,),
            value={"steps": 7},
            anchors={"ratio": 0.5, "start": "cold"},
            contexts={"lengths": ((2, 1),)},
        ),
        SMOLLM2,
    )
    assert settings.layers == (3,)
    assert settings.value.steps == 7
    assert settings.value.learning_rate == 0.5, "the model preset's"
    assert settings.anchors == AnchorSettings(
        ratio=0.5, steps=10, start="cold", l1=0, kl_reference="start"
    )
    assert settings.contexts.lengths == ((2, 1),)


def test_what_the_spec_says_counts_even_where_it_says_the_default() -> None:
    default = ValueSettings().steps
    assert resolve_settings(choose(), SMOLLM2).value.steps != default
    assert resolve_settings(choose(value={"steps": default}), SMOLLM2).value.steps == default


def test_prefixes_given_by_hand_are_kept() -> None:
    settings = resolve_settings(choose(contexts={"texts": ("Yes. {}",)}), SMOLLM2)
    assert settings.contexts.texts == ("Yes. {}",)


def test_resolving_leaves_the_presets_as_they_were() -> None:
    before = [repr(preset) for preset in model_presets()]
    resolve_settings(choose(value={"steps": 3}, anchors={"ratio": 0.9}), SMOLLM2)
    assert [repr(preset) for preset in model_presets()] == before
    assert resolve_settings(choose(), SMOLLM2).value.steps == 25


# Layers


def test_an_unknown_model_is_refused_with_the_known_ones_and_a_way_out() -> None:
    said = refused(choose("rome"), UNKNOWN)
    assert "gpt2, 6 layers of width 12" in said
    assert all(name in said for name in PRESETS)
    assert "{my-rome: {base: rome, layers: [2]}}" in said


def test_a_model_of_which_nothing_is_known_is_refused_in_the_same_way() -> None:
    assert "known models: " in refused(choose(), {})


@pytest.mark.parametrize("layer", [5, 6, 100])
def test_the_last_layer_and_those_beyond_it_are_refused(layer: int) -> None:
    said = refused(choose(layers=(layer,)), UNKNOWN)
    assert said.startswith(f"layer {layer} cannot be edited: the model has layers 0 to 5")


@pytest.mark.parametrize("layer", [0, 4])
def test_every_layer_but_the_last_can_be_edited(layer: int) -> None:
    assert resolve_settings(choose(layers=(layer,)), UNKNOWN).layers == (layer,)


@pytest.mark.parametrize("method", ["rome", "rome-eac", "r-rome", "emmet"])
def test_two_layers_are_refused_by_a_method_for_one(method: str) -> None:
    said = refused(choose(method, layers=(1, 2)), UNKNOWN)
    assert said == f"{method} edits one layer, found layers: [1, 2]"


def test_several_layers_are_taken_by_a_method_for_many() -> None:
    assert resolve_settings(choose("memit", layers=(1, 2, 4)), UNKNOWN).layers == (1, 2, 4)


@pytest.mark.parametrize("layers", [(2, 1), (1, 1)])
def test_layers_that_do_not_ascend_are_refused(layers: tuple[int, ...]) -> None:
    said = refused(choose("memit", layers=layers), UNKNOWN)
    assert said == f"found layers: {list(layers)}, expected them ascending, each once"


def test_layers_that_are_to_be_found_by_tracing_stay_open() -> None:
    assert resolve_settings(choose("memit", layers="auto"), UNKNOWN).layers == "auto"


# Presets


@pytest.mark.parametrize("preset", model_presets(), ids=lambda preset: preset.name)
@pytest.mark.parametrize(
    ("named", "method"),
    [("paper", name) for name in BUILT_IN] + [("released", name) for name in RELEASED],
)
def test_every_shipped_preset_gives_valid_settings(
    preset: ModelPreset, method: str, named: str
) -> None:
    settings = resolve_settings(choose(method, preset=named), preset.match)
    assert settings.base == method
    family = "many-layers" if BUILT_IN[method].many_layers else "one-layer"
    parts = ("all", family, "eac", method.removesuffix("-eac"), method)
    given = [preset.settings[part] for part in parts if part in preset.settings]
    assert settings.layers == tuple([part["layers"] for part in given if "layers" in part][-1])
    assert (settings.anchors is not None) == find_method(method).anchors


@pytest.mark.parametrize("preset", model_presets(), ids=lambda preset: preset.name)
def test_every_shipped_preset_says_where_it_comes_from(preset: ModelPreset) -> None:
    assert len(preset.source.split()) >= 3
    assert set(preset.settings) <= {"all", "one-layer", "many-layers", "eac", *BUILT_IN}
    assert find_model_preset(preset.match) is preset


def test_no_two_presets_are_for_one_model() -> None:
    assert len(PRESETS) == len(model_presets())
    for preset in model_presets():
        matching = [
            other
            for other in model_presets()
            if all(preset.match.get(key, value) == value for key, value in other.match.items())
        ]
        assert matching == [preset]


@pytest.mark.parametrize("key", ["model_type", "hidden_size", "num_hidden_layers"])
def test_a_preset_is_for_a_model_of_exactly_its_shape(key: str) -> None:
    assert find_model_preset(SMOLLM2) is PRESETS["SmolLM2-135M"]
    assert find_model_preset(SMOLLM2 | {key: "other"}) is None
    assert find_model_preset({k: v for k, v in SMOLLM2.items() if k != key}) is None


# Methods


def test_the_built_in_methods_are_these_and_those_that_solve_for_a_value_have_an_eac_twin() -> None:
    with_values = [
        "rome",
        "r-rome",
        "memit",
        "memit-prev",
        "emmet",
        "rect",
        "prune",
        "alphaedit",
        "nas",
        "encore",
    ]
    twins = [name for plain in with_values for name in (plain, f"{plain}-eac")]
    assert list(BUILT_IN) == [*twins, "ft", "ft-l"]
    assert method_names()[: len(BUILT_IN)] == tuple(BUILT_IN)


def test_only_methods_with_eac_have_anchors() -> None:
    assert all(find_method(name).anchors == name.endswith("-eac") for name in BUILT_IN)


def test_an_eac_twin_differs_from_its_plain_method_in_its_anchors_alone() -> None:
    for name, method in BUILT_IN.items():
        if name.endswith("-eac"):
            assert replace(method, anchors=False) == BUILT_IN[name.removesuffix("-eac")]


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_built_in_method_is_where_the_table_says(name: str) -> None:
    assert callable(BUILT_IN[name].resolve())


def test_an_unknown_method_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(KeyError, match="unknown method 'alpha-edit'; did you mean 'alphaedit'"):
        find_method("alpha-edit")


def test_a_method_that_solves_for_no_value_has_no_eac_twin() -> None:
    with pytest.raises(KeyError, match="unknown method 'ft-eac'"):
        find_method("ft-eac")
