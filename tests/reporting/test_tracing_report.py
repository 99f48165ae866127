from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from dataclasses import asdict, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_eac.records.json_files import to_json
from pytest_eac.records.tracing import (
    Effect,
    LayerEffect,
    SkippedFact,
    TracedFact,
    Tracing,
    layers_around,
    tracing_from_json,
)
from pytest_eac.reporting.tracing import tracing_lines, tracing_svg

SVG = "{http://www.w3.org/2000/svg}"


def effect(value: float, half: float | None = 0.1) -> Effect:
    if half is None:
        return Effect(value=value, low=None, high=None)
    return Effect(value=value, low=value - half, high=value + half)


def fact(edit: int, *, own: bool = False, prompt: str = "The Louvre lies in") -> TracedFact:
    return TracedFact(
        edit=edit,
        prompt=prompt,
        subject="The Louvre",
        answer="Paris",
        own=own,
        clean=0.75,
        corrupted=0.25,
        mlp=(),
    )


def tracing(*values: float, half: float | None = 0.1, window: int = 3) -> Tracing:
    return Tracing(
        fingerprint="0123456789abcdef",
        facts=(fact(0), fact(2)),
        skipped=(SkippedFact(edit=1, prompt="Rome is in", reason="the model says 'x', not 'y'"),),
        layers=tuple(
            LayerEffect(layer=layer, mlp=effect(value, half), state=effect(0.5))
            for layer, value in enumerate(values)
        ),
        window=window,
        samples=10,
        noise=3.0,
        embedding_std=0.04567,
        seed=7,
    )


EIGHT = tracing(0.0, 0.1, 0.2, 0.3, 0.4, 0.6, 0.55, 0.9)


def test_the_best_layer_is_one_that_can_be_edited() -> None:
    assert EIGHT.best_layer == 5


def test_a_tracing_is_read_as_it_was_written() -> None:
    facts = tuple(replace(each, mlp=(0.5,) * 8) for each in EIGHT.facts)
    whole = replace(EIGHT, facts=facts)
    assert tracing_from_json(to_json(whole)) == whole


@pytest.mark.parametrize(
    ("part", "value", "said"),
    [
        ("facts", [], "facts: found none"),
        ("layers", [], r"layers: found \[\], expected two or more"),
        ("facts", [{**asdict(fact(0)), "mlp": [0.5] * 7}], r"facts\[0\].mlp: found 7 effects"),
        ("facts", [{**asdict(fact(0)), "clean": 1.5}], r"facts\[0\].clean: found 1.5, expected"),
        ("samples", -1, "samples: found -1, expected"),
        ("noise", True, "noise: found True, expected a number"),
    ],
)
def test_a_tracing_whose_parts_do_not_fit_is_refused(part: str, value: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        tracing_from_json(json.dumps({**asdict(EIGHT), part: value}))


@pytest.mark.parametrize(
    ("layer", "window", "expected"),
    [(4, 1, [4]), (4, 2, [3, 4]), (4, 3, [3, 4, 5]), (0, 6, [0, 1, 2]), (9, 6, [6, 7, 8, 9])],
)
def test_a_window_lies_around_its_layer_and_within_the_model(
    layer: int, window: int, expected: list[int]
) -> None:
    assert list(layers_around(layer, window=window, depth=10)) == expected


def test_the_report_tells_what_was_traced_and_how() -> None:
    text = "\n".join(tracing_lines(EIGHT, "my.eac.yaml: tiny"))
    for told in (
        "my.eac.yaml: tiny",
        "8 layers, weights 0123456789ab, 2 of 3 facts",
        "10 noise samples each of 3 x 0.0457, seed 7",
        "   1 The Louvre lies in -> Paris ",
        "   3 The Louvre lies in -> Paris ",
        "skipped:\n   2 Rome is in: the model says 'x', not 'y'",
        "outputs of 3 layers",
    ):
        assert told in text
    assert "own next token" not in text


def test_answers_of_the_models_own_are_marked() -> None:
    own = replace(EIGHT, facts=(fact(0, own=True),), skipped=())
    lines = tracing_lines(own, "x")
    assert any("-> Paris* " in line for line in lines)
    assert "* the edit has no truth: this is the model's own next token" in lines
    assert "skipped:" not in lines


def rows(of: Tracing) -> list[str]:
    lines = tracing_lines(of, "x")
    start = next(index for index, line in enumerate(lines) if line.startswith(" layer "))
    return lines[start + 1 : start + 1 + len(of.layers)]


def test_the_chart_has_a_row_for_each_layer_and_marks_the_best() -> None:
    assert [int(row[1:6]) for row in rows(EIGHT)] == list(range(8))
    assert [row[0] for row in rows(EIGHT)] == list("     *  ")
    assert rows(EIGHT)[5].startswith("*    5 +0.600 +0.500 to +0.700 +0.500 ")


def test_a_bar_shows_the_mean_and_its_interval_on_one_scale() -> None:
    bars = [row[39:] for row in rows(tracing(0.25, 0.75, 0.5, half=0.25))]
    assert bars == [
        "|" + "=" * 9 + "-" * 9,
        "|" + "#" * 18 + "=" * 9 + "-" * 9,
        "|" + "#" * 9 + "=" * 9 + "-" * 9,
    ]
    below = [row[39:] for row in rows(tracing(-0.5, 0.5, half=0.0))]
    assert below == ["#" * 18 + "|", " " * 18 + "|" + "#" * 18]


def test_a_single_fact_has_no_interval() -> None:
    lone = tracing(0.5, 1.0, half=None)
    assert rows(lone)[0] == f"*    0 +0.500 {'-':^16} +0.500  |{'#' * 18}"
    assert "<svg" in tracing_svg(lone, "x")


def test_no_effect_at_all_can_be_told() -> None:
    none = tracing(0.0, 0.0, half=0.0)
    assert [row[39:] for row in rows(none)] == ["|", "|"]
    assert "<svg" in tracing_svg(none, "x")


def test_the_advice_is_yaml_to_paste() -> None:
    lines = tracing_lines(EIGHT, "x")
    assert "* the largest effect is at layer 5, its window holds layers 4 to 6" in lines
    assert "  layers within its interval: 6" in lines
    assert lines[lines.index("for an editor of one layer (rome, rome-eac):") + 1] == (
        "    layers: [5]"
    )
    at = lines.index("for memit, the five layers that end there:")
    assert lines[at + 1] == "    layers: [1, 2, 3, 4, 5]"
    text = " ".join(lines)
    assert "Hase et al. 2023" in text
    assert "docs/locate.md" in text


def test_near_the_bottom_there_are_fewer_layers_to_spread_over() -> None:
    lines = tracing_lines(tracing(0.1, 0.4, 0.0, window=1), "x")
    assert "* the largest effect is at layer 1" in lines
    at = lines.index("for memit, the five layers that end there, of which there are 1:")
    assert lines[at + 1] == "    layers: [1]"


def test_layers_whose_windows_hold_layer_0_are_passed_over() -> None:
    low = " ".join(" ".join(tracing_lines(tracing(0.5, 0.6, 0.1, 0.2, 0.9), "x")).split())
    assert "* the largest effect is at layer 3, its window holds layers 2 to 4" in low
    assert "larger, but not advised: 0, 1; restoring them restores the MLP of layer 0" in low
    assert "undoes part of the noise" not in " ".join(tracing_lines(EIGHT, "x"))
    whole = tracing(0.5, 0.6, 0.1, window=9)
    assert "undoes part of the noise" not in " ".join(tracing_lines(whole, "x"))


LONG = replace(
    EIGHT,
    facts=(fact(99_999, prompt="A very long prompt " * 9, own=True),),
    skipped=(SkippedFact(edit=99_999, prompt="A long prompt " * 9, reason="a reason " * 9),),
)
MANY = tracing(*[0.5] * 200, half=0.2)


@pytest.mark.parametrize("of", [EIGHT, LONG, MANY], ids=["plain", "long", "many"])
def test_every_line_has_at_most_80_columns(of: Tracing) -> None:
    name = "tests/regression/of/a/deeply/nested/folder/of/specs/facts.eac.yaml: someone/a-model-7b"
    assert [line for line in tracing_lines(of, name) if len(line) > 80] == []


def picture(of: Tracing, model: str = "tiny") -> ET.Element:
    return ET.fromstring(tracing_svg(of, model))


def test_the_picture_has_a_point_for_each_layer_and_marks_the_best() -> None:
    points = picture(EIGHT).findall(f"{SVG}circle[@class='layer']")
    assert len(points) == 8
    across = [float(point.get("cx", "")) for point in points]
    assert across == sorted(across)
    heights = [float(point.get("cy", "")) for point in points]
    assert heights.index(min(heights)) == 7
    assert [point.get("r") for point in points] == ["3"] * 5 + ["6"] + ["3"] * 2
    assert points[5].findtext(f"{SVG}title") == "layer 5: +0.600"


def test_the_picture_has_a_title_axes_and_a_band_around_the_line() -> None:
    drawn = picture(EIGHT)
    texts = [each.text for each in drawn.iter(f"{SVG}text")]
    for told in (
        "Causal tracing of tiny",
        "layer at the centre of the 3 restored MLPs",
        "restored probability of the answer",
        "MLP outputs of 3 layers restored, mean of 2 facts, 95 % interval",
        "layer 5",
    ):
        assert told in texts
    assert [str(layer) for layer in range(8)] == [each for each in texts if (each or "").isdigit()]
    assert drawn.findtext(f"{SVG}title") == "Causal tracing of tiny"
    (band,) = drawn.findall(f"{SVG}polygon")
    assert len(band.get("points", "").split()) == 16
    mlp, state = sorted(
        drawn.findall(f"{SVG}polyline"), key=lambda each: "stroke-dasharray" in each.attrib
    )
    assert len(mlp.get("points", "").split()) == len(state.get("points", "").split()) == 8
    rect = drawn.find(f"{SVG}rect")
    assert rect is not None
    assert rect.get("fill") == "white"


def test_names_are_escaped_in_the_picture() -> None:
    texts = [each.text for each in picture(EIGHT, "a<b>&c").iter(f"{SVG}text")]
    assert "Causal tracing of a<b>&c" in texts


@given(
    values=st.lists(st.floats(-1, 1), min_size=2, max_size=60),
    half=st.none() | st.floats(0, 1),
)
def test_any_effects_can_be_drawn_within_the_picture(
    values: list[float], half: float | None
) -> None:
    of = tracing(*values, half=half)
    assert [row for row in tracing_lines(of, "x") if len(row) > 80] == []
    drawn = picture(of)
    for point in drawn.findall(f"{SVG}circle"):
        assert 76 <= float(point.get("cx", "")) <= 736
        assert 92 <= float(point.get("cy", "")) <= 386
    (band,) = drawn.findall(f"{SVG}polygon")
    for place in band.get("points", "").split():
        assert 92 <= float(place.split(",")[1]) <= 386
