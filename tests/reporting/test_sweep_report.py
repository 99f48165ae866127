import xml.etree.ElementTree as ET
from dataclasses import replace

from pytest_eac.judging.swept_values import Rule, SweptMethod, SweptValue
from pytest_eac.reporting.sweep import sweep_lines, sweep_svg
from pytest_eac.spec.option_grid import OptionValue
from tests.judging.hand_made_chains import NOTHING, chain, checkpoint, having, of_its_edits, share

SVG = "{http://www.w3.org/2000/svg}"
RULE = Rule(metric="retention", within=0.05)


def value(method: str, clamp: float, kept: float, moved: float, *, seeds: int = 1) -> SweptValue:
    point = checkpoint(10, relative=moved, retention=share(kept))
    return SweptValue(
        method=method,
        settings=(OptionValue(option="value.clamp", value=clamp),),
        chains=tuple(
            of_its_edits(chain(point, method=f"{method}[value.clamp={clamp}]", seed=seed))
            for seed in range(seeds)
        ),
    )


def choice(method: str, other: SweptValue | None = None) -> SweptMethod:
    tried = (value(method, 1, 0.5, 0.1), value(method, 4, 0.9, 0.4))
    return SweptMethod(method=method, tried=tried, chosen=tried[1], other=other)


def split(method: str = "rome") -> SweptMethod:
    other = value(method, 4, 0.8, 0.5)
    return replace(choice(method, other), confirmation="undecided: more edits are needed")


def lines(*choices: SweptMethod) -> list[str]:
    return list(sweep_lines(choices, RULE, options="value.clamp", of="specs/hand.eac.yaml, tiny"))


def picture(*choices: SweptMethod, rule: Rule = RULE) -> str | None:
    return sweep_svg(choices, rule, options="value.clamp", of="<spec> & model")


def test_the_table_has_a_row_for_each_value_and_says_what_is_chosen_and_why() -> None:
    found = lines(choice("rome"), choice("rome-eac"))
    assert [line for line in found if len(line) > 80] == []
    assert found[0] == "value.clamp: specs/hand.eac.yaml, tiny"
    assert "of the values whose retention is at most 0.05 below" in found[2]
    heading = found.index("rome") + 1
    assert found[heading].startswith("value.clamp ")
    assert found[heading + 1].startswith("1  ")
    assert found[heading + 3].startswith("4  ")
    assert found.count("  chosen: value.clamp=4") == 2
    assert "half" not in "\n".join(found)


def test_the_table_has_the_metrics_of_the_register_and_those_of_others() -> None:
    tried = value("rome", 1, 0.5, 0.1)
    of = tried.chains[0]
    own = replace(of, checkpoints=(having(of.checkpoints[0], "politeness", share(0.25)),))
    found = lines(SweptMethod(method="rome", tried=(replace(tried, chains=(own,)),), chosen=None))
    text = "\n".join(found)
    assert "politeness" in text
    assert "25.0%" in text
    assert "none is chosen: no edit has anything to measure retention on" in text


def test_a_split_shows_both_halves_and_the_confirmation() -> None:
    found = lines(split())
    first, other = found.index("rome (half of the edits)"), found.index("rome (the other half)")
    assert first < found.index("  chosen: value.clamp=4") < other
    assert found[other + 2].startswith("4  ")
    assert "80.0%" in found[other + 2]
    assert found[-1] == "  undecided: more edits are needed"


def test_rows_name_the_seed_where_there_are_several() -> None:
    tried = value("rome", 1, 0.5, 0.1, seeds=2)
    found = lines(SweptMethod(method="rome", tried=(tried,), chosen=tried))
    assert any(line.startswith("1 seed 1") for line in found)


def test_the_picture_has_a_curve_per_method_and_marks_what_is_chosen() -> None:
    root = ET.fromstring(picture(choice("rome"), split("rome-eac")) or "")
    assert root.findtext(f"{SVG}title") == "Sweep of value.clamp"
    curves = root.findall(f"{SVG}g[@class='method']")
    assert [curve.findtext(f"{SVG}title") for curve in curves] == ["rome", "rome-eac"]
    for curve in curves:
        assert len(curve.findall(f"{SVG}circle[@class='value']")) == 2
        assert len(curve.findall(f"{SVG}circle[@fill='none']")) == 1
    assert [len(curve.findall(f"{SVG}rect")) for curve in curves] == [0, 1]
    assert "<spec> & model" in "".join(root.itertext())


def test_points_lie_where_their_numbers_are() -> None:
    root = ET.fromstring(picture(choice("rome")) or "")
    weak, strong = root.findall(f".//{SVG}circle[@class='value']")
    assert float(weak.get("cx", "")) < float(strong.get("cx", ""))
    assert float(weak.get("cy", "")) > float(strong.get("cy", ""))
    assert weak.findtext(f"{SVG}title") == "rome, 1: retention 0.5, deviation 0.1"


def test_there_is_no_picture_of_nothing() -> None:
    point = checkpoint(10, retention=NOTHING)
    settings = (OptionValue(option="value.clamp", value=1),)
    tried = SweptValue(method="rome", settings=settings, chains=(chain(point),))
    assert picture(SweptMethod(method="rome", tried=(tried,), chosen=None)) is None
