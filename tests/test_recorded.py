from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.fuzz.records import small_record
from pytest_eac.records.json_files import from_json

if TYPE_CHECKING:
    from collections.abc import Callable


def changed(path: str, value: Any) -> str:
    """The text of a real record with one value replaced, or removed where it is ``...``."""
    data = json.loads(json.dumps(small_record()))
    *way, last = (int(part) if part.isdecimal() else part for part in path.split("/"))
    holder = data
    for part in way:
        holder = holder[part]
    if value is ...:
        del holder[last]
    else:
        holder[last] = value(holder[last]) if callable(value) else value
    return json.dumps(data)


def refusal(text: str) -> str:
    with pytest.raises(ValueError) as raised:
        from_json(text)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def fewer(found: list[Any]) -> list[Any]:
    return found[:-1]


LAST = "chains/0/checkpoints/2"


def test_the_record_that_is_changed_here_is_right() -> None:
    assert len(from_json(json.dumps(small_record())).chains) == 3


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("chains/0/edits", fewer, "before: found 4 texts, expected 3"),
        ("chains/0/edits", [], "edits: found none, expected at least one"),
        ("chains/0/before", fewer, "before: found 3 texts, expected 4, one for each edit"),
        ("chains/0/per_edit", fewer, "per_edit: found 3, expected 4"),
        ("chains/2/per_edit", lambda _: small_record()["chains"][0]["per_edit"], "expected 0"),
        ("chains/0/batch", 0, "batch: found 0, expected at least 1"),
        ("chains/0/checkpoints", [], "checkpoints: found those after [], expected one after all 4"),
        ("chains/0/checkpoints", fewer, "found those after [1, 2], expected one after all 4 edits"),
        ("chains/0/checkpoints", lambda f: f[::-1], "checkpoints[1].at: found 2, expected more"),
        (f"{LAST}/at", 5, "checkpoints[2].at: found 5, expected more than 2, at most 4"),
        ("chains/0/checkpoints/0/at", 0, "checkpoints[0].at: found 0, expected more than 0"),
        (
            f"{LAST}/metrics/efficacy/scores",
            fewer,
            "efficacy.scores: found 3, expected 4, one for each",
        ),
        (f"{LAST}/metrics/efficacy/n", 3, "efficacy.n: found 3, expected 4"),
        (f"{LAST}/metrics/efficacy/value", None, "efficacy.value: found None, with 4 scores"),
        (
            f"{LAST}/metrics/efficacy/value",
            1.5,
            "efficacy.value: found 1.5, expected the mean of scores",
        ),
        (f"{LAST}/metrics/mine/scores", fewer, "metrics.mine.scores: found 3, expected 4"),
        (f"{LAST}/metrics/number/n", 2, "metrics.number.n: found 2, expected 0"),
        ("chains/0/known/scores", fewer, "known.scores: found 3, expected 4"),
        ("chains/0/edits/1/superseded_by", 1, "edits[1].superseded_by: found 1, expected a later"),
        ("chains/0/edits/1/superseded_by", 4, "edits[1].superseded_by: found 4, expected a later"),
        (f"{LAST}/abilities/nli/scores", fewer, "nli.scores: found 4, expected 5, as n says"),
        ("chains/0/abilities/nli", ..., "abilities.nli: is not among the unedited model's"),
        ("chains/0/abilities/perplexity/base", 0.0, "found a perplexity that is not above 0"),
        ("chains/0/per_edit/3/deviation/l1", 0, "per_edit[3].deviation.l1: found 0, which is"),
        (f"{LAST}/deviation/frobenius", 1e60, "deviation.frobenius: found 1e+60, which is"),
        ("chains/0/hyperparameters/base", ["rome"], "hyperparameters.base: found ['rome']"),
        ("chains/0/hyperparameters/value", [1], "hyperparameters.value: found [1], expected an"),
        ("unfinished/0/chain/before", fewer, "before: found 3 texts"),
    ],
)
def test_parts_that_do_not_fit_together_are_refused_with_chain_and_place(
    path: str, value: Any, said: str
) -> None:
    text = refusal(changed(path, value))
    assert said in text
    assert text.startswith(("chains[", "unfinished[0].chain (rome-eac-s1)."))
    assert text.endswith("; run the spec again, or undo the change of the file")


def test_an_ability_of_other_items_than_the_unedited_models_is_refused() -> None:
    data = json.loads(changed(f"{LAST}/abilities/nli/scores", fewer))
    data["chains"][0]["checkpoints"][2]["abilities"]["nli"]["n"] = 4
    assert "abilities.nli.n: found 4, expected 5, as for the unedited" in refusal(json.dumps(data))


def test_a_miss_of_an_edit_that_is_not_there_is_refused() -> None:
    miss = {"edit": 4, "group": "prompt", "got": "g", "score": 0.0}
    said = refusal(changed(f"{LAST}/metrics/locality/misses", [miss]))
    assert "checkpoints[2].metrics.locality.misses: found one of edit 4, of 4 edits" in said


@pytest.mark.parametrize(
    ("group", "index"), [("prompt", 1), ("locality", 1), ("elsewhere", 0), ("truth", 1)]
)
def test_a_miss_of_a_prompt_that_its_edit_has_not_is_refused(group: str, index: int) -> None:
    miss = {"edit": 3, "group": group, "index": index, "got": "g", "score": 0.0}
    said = refusal(changed("chains/0/known/misses", [miss]))
    assert said.startswith(
        f"chains[0] (rome-s0).known.misses: found {group}[{index}] of edit 3, which has no such"
    )


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("chains/0/model", 1, "chains[0].model: found 1, expected less than 1"),
        ("chains/2/released", 9, "chains[2].released: found 9, expected less than 1"),
        ("chains/1/edits/2/edit", 5, "chains[1].edits[2].edit: found 5, expected less than 5"),
        ("unfinished/0/chain/edits/0/edit", 9, "unfinished[0].chain.edits[0].edit: found 9"),
        ("edits/0/texts", None, "edits[0]: expected either texts or their sha256"),
        ("edits/0/sha256", "ab" * 32, "edits[0]: expected either texts or their sha256"),
        ("edits/1/texts/start", -1, "edits[1].texts.start: found -1, expected greater"),
        ("edits/2/texts/probes/locality/0/prompt", ..., "probes.locality[0].prompt: is missing"),
    ],
)
def test_what_a_file_has_once_is_checked_where_it_stands_and_where_it_is_named(
    path: str, value: Any, said: str
) -> None:
    assert said in refusal(changed(path, value))


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("chains/0/seed", True, "chains[0].seed: found True, expected a whole number"),
        ("chains/0/seed", "7", "chains[0].seed: found '7', expected a whole number"),
        ("chains/0/seed", -1, "chains[0].seed: found -1, expected greater than or equal to 0"),
        ("chains/0/seconds", True, "chains[0].seconds: found True, expected a number"),
        ("chains/0/seconds", -1.0, "chains[0].seconds: found -1.0, expected greater"),
        ("chains/0/confidence", 1.0, "chains[0].confidence: found 1.0, expected less than 1"),
        ("chains/0/known/scores/0", 2, "chains[0].known.scores[0]: found 2, expected less"),
        ("chains/0/known/misses", {}, "chains[0].known.misses: found an object, expected a list"),
        ("chains/0/known", ..., "chains[0].known: is missing"),
        (f"{LAST}/deviation/l1", 1e61, "checkpoints[2].deviation.l1: found 1e+61, expected less"),
        ("releases/0/changes/differences/0/rank", -1, "differences[0].rank: found -1"),
    ],
)
def test_what_is_no_number_of_its_kind_is_refused_with_its_place(
    path: str, value: Any, said: str
) -> None:
    assert said in refusal(changed(path, value))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (
            lambda text: text.replace('"batch": 1', '"batch": 1, "batch": 1', 1),
            "the key 'batch' tw",
        ),
        (
            lambda text: text.replace('"batch": 1', '"batch": 1e999', 1),
            "found 1e999, expected a fi",
        ),
        (lambda text: text.replace('"batch": 1', f'"batch": {"9" * 5000}', 1), "found '9999"),
        (lambda text: text.replace('"batch": 1', f'"batch": {2**63}', 1), "a whole number of 64 b"),
        (lambda text: text.replace('"batch": 1', '"batch": NaN', 1), "found NaN, expected a finit"),
        (lambda text: text.replace('"s": 1', "", 1).replace("Oslo", "\\ud800"), "not JSON"),
        (
            lambda text: text.replace('"base": "rome"', f'"base": {"[" * 40}{"]" * 40}', 1),
            "nested deeper than 32",
        ),
        (
            lambda text: text.replace('"base": "rome"', f'"base": {"[" * 9000}{"]" * 9000}', 1),
            "nested deeper than 32",
        ),
    ],
)
def test_what_json_allows_and_no_record_has_is_refused(
    spoil: Callable[[str], str], said: str
) -> None:
    text = json.dumps(small_record()).replace('"reason": "nan"', '"reason": "Oslo"')
    assert spoil(text) != text
    assert said in refusal(spoil(text))
