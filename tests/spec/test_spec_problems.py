from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_eac.spec import registry
from pytest_eac.spec.load import load_spec
from pytest_eac.spec.methods import BUILT_IN, CONTROLS
from tests.files import write
from tests.spec.spec_texts import EDITS, HEAD, facts, problems, told

if TYPE_CHECKING:
    from pathlib import Path


def told_of(file: Path, text: str) -> list[str]:
    return told(write(file, text))


# Several problems


def test_every_problem_is_reported_at_once_in_the_order_of_the_text(file: Path) -> None:
    text = """\
eac: 2
nmae: landmarks
model: {id: 7, dtype: float23}
methods: []
seeds: [-1]
edits:
  - {subject: Oslo, prompt: nothing, target: Peru}
  - {subject: Oslo}
sequence: {batch: two}
scoring: {match: acuracy}
checks: {efficacy: {min: 2}, locality: {}}
marks: [a b]
"""
    found = problems(write(file, text))
    assert [(problem.line, problem.path) for problem in found] == [
        (1, "eac"),
        (2, "nmae"),
        (3, "model.id"),
        (3, "model.dtype"),
        (4, "methods"),
        (5, "seeds[0]"),
        (7, "edits[0].prompt"),
        (8, "edits[1].prompt"),
        (8, "edits[1].target"),
        (9, "sequence.batch"),
        (10, "scoring.match"),
        (11, "checks.efficacy.min"),
        (11, "checks.locality"),
        (12, "marks[0]"),
    ]
    assert {problem.file for problem in found} == {file}


def test_what_needs_the_whole_file_is_reported_at_once_in_the_order_of_the_text(
    file: Path,
) -> None:
    text = """\
eac: 1
checks:
  generalization: {min: 0.5}
  efficacy: {min: 0.5, at: 9}
  compare: [{metric: deviation, less: rom-eac, than: emmet}]
known_issues: [{check: eficacy, method: memit, reason: slow}]
methods: [rome-eac, rome-eac, romee]
sequence: {batch: 4, checkpoints: [1, 9]}
"""
    found = problems(write(file, text + EDITS))
    assert [(problem.line, problem.path) for problem in found] == [
        (3, "checks.generalization"),
        (4, "checks.efficacy.at"),
        (5, "checks.compare[0].less"),
        (5, "checks.compare[0].than"),
        (6, "known_issues[0].check"),
        (6, "known_issues[0].method"),
        (7, "methods[1]"),
        (7, "methods[2]"),
        (8, "sequence.batch"),
        (8, "sequence.checkpoints[1]"),
    ]


def test_a_misspelt_key_does_not_hide_an_unknown_method(file: Path) -> None:
    found = told_of(file, HEAD + "methods: [romee]\nsedes: [1]\n")
    assert [line.split(": ")[1] for line in found] == ["methods[0]", "sedes"]


def test_a_wrong_value_does_not_hide_what_needs_the_whole_file(file: Path) -> None:
    text = """\
eac: 1
methods: [rome, rome-eac]
edits:
  - {subject: Oslo, prompt: "{} lies in", target: Peru, truth: 3}
  - {from: nowhere.json, format: jsonl}
sequence: {batch: 2}
checks:
  efficacy: {min: 7}
  compare: [{metric: deviation, less: romeeac, than: rome}]
"""
    found = told_of(file, text)
    assert [line.split(": ")[1] for line in found] == [
        "edits[0].truth",
        "sequence.batch",
        "checks.efficacy.min",
        "checks.compare[0].less",
    ]


def test_a_wrong_check_does_not_hide_an_edit_that_lacks_something(file: Path) -> None:
    text = (
        HEAD
        + "scoring: {match: success}\nchecks: {efficacy: {min: 7}, retention: {min: 0, at: 9}}\n"
    )
    found = told_of(file, text)
    assert [line.split(": ")[1] for line in found] == [
        "scoring.match",
        "checks.efficacy.min",
        "checks.retention.at",
    ]


def test_problems_of_the_text_itself_come_in_its_order_too(file: Path) -> None:
    found = told_of(file, "eac: 1\nmodel:\n  <<: 3\n  id: !mine x\n" + EDITS)
    assert [line.split(":")[0] for line in found] == ["3", "4"]


# The schema


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("mdel: x", "3:1: mdel: unknown key 'mdel'; did you mean 'model'?"),
        ("methds: [rome]", "3:1: methds: unknown key 'methds'; did you mean 'methods'?"),
        (
            "sequence: {chekpoints: [1]}",
            "3:12: sequence.chekpoints: unknown key 'chekpoints'; did you mean 'checkpoints'?",
        ),
        (
            "checks: {retention: {min: 0.1, mni: 3}}",
            "3:32: checks.retention.mni: unknown key 'mni'; did you mean 'min'?",
        ),
        (
            "checks: {known: {min: 1, at: every}}",
            "3:26: checks.known.at: unknown key 'at'; known are confidence, max, min",
        ),
        (
            "methods: [{mine: {base: rome, value: {stepz: 3}}}]",
            "3:39: methods[0].mine.value.stepz: unknown key 'stepz'; did you mean 'steps'?",
        ),
        (
            "methods: {mine: {base: rome, value: {stepz: 3}}}",
            "3:38: methods.mine.value.stepz: unknown key 'stepz'; did you mean 'steps'?",
        ),
        (
            "methods: {variants: {base: rome, foo: 3}}",
            "3:34: methods.variants.foo: unknown key 'foo'; "
            "known are anchors, base, contexts, covariance, layers, like, options, preset, update, "
            "value",
        ),
    ],
)
def test_an_unknown_key_is_reported_with_the_nearest_known_one(
    file: Path, text: str, said: str
) -> None:
    assert told_of(file, HEAD + text) == [said]


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        ("neighborhod: 3", "2:61: edits[0].neighborhod: unknown key 'neighborhod'; did you mean"),
        ("source: x", "2:61: edits[0].source: unknown key 'source'; known are "),
        ("inline: x", "2:61: edits[0].inline: unknown key 'inline'; known are "),
    ],
)
def test_an_unknown_key_of_an_edit_is_reported(file: Path, edit: str, said: str) -> None:
    text = f'eac: 1\nedits: [{{subject: Oslo, prompt: "{{}} lies in", target: Peru, {edit}}}]\n'
    [found] = told_of(file, text)
    assert found.startswith(said)


def test_a_method_may_have_any_name_without_confusing_the_place_of_a_problem(file: Path) -> None:
    text = "methods: [{variants: {base: rome}, other: {base: romee}}]\n"
    assert told_of(file, HEAD + text) == [
        "3:50: methods[0].other.base: unknown method 'romee'; did you mean 'rome'?"
    ]


@pytest.mark.parametrize("key", ["inline", "source"])
def test_a_stray_key_does_not_confuse_the_place_of_another_problem(file: Path, key: str) -> None:
    found = told_of(file, f'eac: 1\nedits: [{{{key}: {{}}, subject: Oslo, prompt: "{{}} is"}}]\n')
    assert [line.split(": ")[1] for line in found] == ["edits[0].target", f"edits[0].{key}"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: 5", "3:7: name: found 5, expected a text; put it in quotes"),
        ("name: 1e-3", "3:7: name: found 0.001, expected a text; put it in quotes"),
        ("name: true", "3:7: name: found True, expected a text; put it in quotes"),
        ("name: [x]", "3:7: name: found a list, expected a text"),
        ("name: {a: x}", "3:7: name: found a mapping, expected a text"),
        ("model: {id: 5}", "3:13: model.id: found 5, expected a text; put it in quotes"),
        ("extends: 5", "3:10: extends: found 5, expected a text; put it in quotes"),
        ("extends: [5]", "3:11: extends[0]: found 5, expected a text; put it in quotes"),
        ("model: 5", "3:8: model: found 5, expected a mapping"),
        ("scoring: accuracy", "3:10: scoring: found 'accuracy', expected a mapping"),
        ("checks:", "3:1: checks: found nothing, expected a mapping"),
        ("methods: {x: rome}", "3:14: methods.x: found 'rome', expected a mapping"),
        ("methods: [[rome]]", "3:11: methods[0]: found a list, expected a text"),
        ("seeds: 0", "3:8: seeds: found 0, expected a list"),
        ("seeds: [1.0]", "3:9: seeds[0]: found 1.0, expected a whole number"),
        ("seeds: [true]", "3:9: seeds[0]: found True, expected a whole number"),
        ("marks: slow", "3:8: marks: found 'slow', expected a list"),
        (
            "checks: {efficacy: {min: '0.5'}}",
            "3:26: checks.efficacy.min: found '0.5', expected a number; write 0.5",
        ),
        (
            "checks: {efficacy: {min: true}}",
            "3:26: checks.efficacy.min: found True, expected a number",
        ),
    ],
)
def test_a_value_of_another_type_is_reported_with_what_was_expected(
    file: Path, text: str, said: str
) -> None:
    assert told_of(file, HEAD + text) == [said]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "marks: [gate, skip]",
            "3:15: marks[1]: found 'skip', which would keep the checks from being judged; expected "
            "none that does",
        ),
        (
            "marks: [xfail]",
            "3:9: marks[0]: found 'xfail', which would hide failures; expected known_issues in its "
            "place",
        ),
        (
            "marks: [parametrize]",
            "3:9: marks[0]: found 'parametrize', expected none: a check takes no parameters",
        ),
    ],
)
def test_a_mark_that_does_more_than_select_is_refused(file: Path, text: str, said: str) -> None:
    assert told_of(file, HEAD + text) == [said]


def test_a_number_where_a_fact_needs_a_text_is_to_be_put_in_quotes(file: Path) -> None:
    text = "eac: 1\nedits:\n  - subject: 1984\n    prompt: '{} was written by'\n    target: 12\n"
    assert told_of(file, text) == [
        "3:14: edits[0].subject: found 1984, expected a text; put it in quotes",
        "5:13: edits[0].target: found 12, expected a text; put it in quotes",
    ]
    spec = load_spec(write(file, text.replace("1984", "'1984'").replace("12", '"12"')))
    assert (spec.edits[0].subject, spec.edits[0].target) == ("1984", "12")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("eac: 1\n", ["1:1: edits: missing key 'edits'"]),
        (EDITS, ["1:1: eac: missing key 'eac'; a spec starts with 'eac: 1'"]),
        (
            "eac: 1\nedits:\n  - {}\n",
            [
                "3:5: edits[0].subject: missing key 'subject'",
                "3:5: edits[0].prompt: missing key 'prompt'",
                "3:5: edits[0].target: missing key 'target'",
            ],
        ),
        ("eac: 1\nedits: [{from: x}]\n", ["2:9: edits[0].format: missing key 'format'"]),
        (HEAD + "model: {dtype: auto}\n", ["3:8: model.id: missing key 'id'"]),
        (HEAD + "methods: {x: {}}\n", ["3:14: methods.x.base: missing key 'base'"]),
        (
            HEAD + "known_issues: [{check: efficacy}]\n",
            ["3:16: known_issues[0].reason: missing key 'reason'"],
        ),
    ],
)
def test_a_missing_key_is_reported_at_what_lacks_it(file: Path, text: str, said: list[str]) -> None:
    assert told_of(file, text) == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "model: {id: x, dtype: float23}",
            "3:23: model.dtype: found 'float23', expected 'auto', 'float32', 'bfloat16' or "
            "'float16'; did you mean 'float32'?",
        ),
        (
            "scoring: {match: acuracy}",
            "3:18: scoring.match: found 'acuracy', expected 'accuracy', 'success' or "
            "'generation'; did you mean 'accuracy'?",
        ),
        (
            "checks: {deviation: {norm: l2, max: 1}}",
            "3:28: checks.deviation.norm: found 'l2', expected 'l1' or 'frobenius'",
        ),
        (
            "methods: {x: {base: romee}}",
            "3:21: methods.x.base: unknown method 'romee'; did you mean 'rome'?",
        ),
        (
            "methods: {x: {base: memit, layers: first}}",
            "3:36: methods.x.layers: found 'first', expected a list or 'auto'",
        ),
        (
            "methods: {x: {base: memit, covariance: built-in}}",
            "3:40: methods.x.covariance: found 'built-in', expected a mapping or 'none'",
        ),
    ],
)
def test_a_word_that_is_none_of_the_possible_ones_is_reported_with_them(
    file: Path, text: str, said: str
) -> None:
    assert told_of(file, HEAD + text) == [said]


def test_where_a_word_or_a_number_may_stand_both_are_named(file: Path) -> None:
    [found] = told_of(file, HEAD + "checks: {efficacy: {min: 0.5, at: fnal}}")
    assert found.startswith("3:35: checks.efficacy.at: found 'fnal', expected 'final' or 'every'")
    assert "a whole number" in found
    assert found.endswith("; did you mean 'final'?")


@pytest.mark.parametrize("written", ["2", "'1'", "0", "x", "true"])
def test_another_version_of_the_format_is_refused(file: Path, written: str) -> None:
    [found] = told_of(file, f"eac: {written}\n" + EDITS)
    assert found.startswith("1:6: eac: found ")
    assert found.endswith("expected 1")


@pytest.mark.parametrize(
    ("text", "place", "found"),
    [
        ("checks: {efficacy: {min: 1.5}}", "3:26: checks.efficacy.min", "1.5"),
        ("checks: {efficacy: {max: -0.1}}", "3:26: checks.efficacy.max", "-0.1"),
        ("checks: {efficacy: {min: .nan}}", "3:26: checks.efficacy.min", "nan"),
        ("checks: {deviation: {max: .inf}}", "3:27: checks.deviation.max", "inf"),
        ("checks: {deviation: {max_relative: -1}}", "3:36: checks.deviation.max_relative", "-1"),
        ("checks: {efficacy: {min: 0, at: 0}}", "3:33: checks.efficacy.at", "0"),
        ("seeds: [-1]", "3:9: seeds[0]", "-1"),
        ("seeds: [4294967296]", "3:9: seeds[0]", "4294967296"),
        ("sequence: {checkpoints: [0]}", "3:26: sequence.checkpoints[0]", "0"),
        ("sequence: {batch: 0}", "3:19: sequence.batch", "0"),
        (
            "methods: {x: {base: rome, covariance: {ridge: -1}}}",
            "3:47: methods.x.covariance.ridge",
            "-1",
        ),
        ("methods: {x: {base: rome, layers: [-1]}}", "3:36: methods.x.layers[0]", "-1"),
        ("methods: {x: {base: rome, value: {clamp: 0}}}", "3:42: methods.x.value.clamp", "0"),
        (
            "methods: {x: {base: rome-eac, anchors: {ratio: 1.1}}}",
            "3:48: methods.x.anchors.ratio",
            "1.1",
        ),
    ],
)
def test_a_number_out_of_range_is_reported_with_the_range(
    file: Path, text: str, place: str, found: str
) -> None:
    [said] = told_of(file, HEAD + text)
    assert said.startswith(f"{place}: found {found}, ")
    assert any(
        each in said
        for each in ("greater than or equal to", "less than", "finite number", "greater than")
    )


@pytest.mark.parametrize("key", ["methods", "seeds"])
def test_an_empty_list_where_something_must_stand_is_refused(file: Path, key: str) -> None:
    assert told_of(file, HEAD + f"{key}: []\n") == [
        f"3:{len(key) + 3}: {key}: found an empty list, expected at least 1 item"
    ]


def test_a_spec_without_edits_is_refused(file: Path) -> None:
    assert told_of(file, "eac: 1\nedits: []\n") == [
        "2:8: edits: found an empty list, expected at least 1 item"
    ]


def test_a_method_without_layers_is_refused(file: Path) -> None:
    [found] = told_of(file, HEAD + "methods: {x: {base: rome, layers: []}}\n")
    assert found.startswith("3:35: methods.x.layers: ")


def test_a_pair_with_one_number_is_not_called_a_missing_key(file: Path) -> None:
    [found] = told_of(file, HEAD + "methods: {x: {base: rome, contexts: {lengths: [[5]]}}}\n")
    assert found.startswith("3:48: methods.x.contexts.lengths[0]")
    assert "missing key" not in found


@pytest.mark.parametrize("text", ["name: ''", "marks: ['a b']", "methods: {'a b': {base: rome}}"])
def test_an_empty_or_odd_name_is_refused(file: Path, text: str) -> None:
    [found] = told_of(file, HEAD + text)
    assert found.startswith("3:")


def test_a_long_value_is_shown_cut_off(file: Path) -> None:
    [found] = told_of(file, HEAD + f"scoring: {{match: {'x' * 500}}}\n")
    assert "..." in found
    assert len(found) < 200


# Edits


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("Bergen lies in", "the subject 'Oslo' does not occur in the prompt 'Bergen lies in'"),
        ("The Oslofjord lies in", "occurs only inside another word, 'Oslofjord', in the prompt"),
        ("Oslo and Oslo lie in", "occurs 2 times in the prompt"),
        ("{} and {} lie in", "{} stands 2 times in the prompt"),
    ],
)
def test_the_subject_must_occur_exactly_once_in_the_prompt(
    file: Path, prompt: str, said: str
) -> None:
    [found] = told_of(file, "eac: 1\n" + facts(prompt=prompt))
    assert "edits[0].prompt: " in found
    assert said in found
    assert found.endswith("expected it exactly once, as a word of its own, or {} in its place")


@pytest.mark.parametrize("key", ["subject", "target", "truth"])
@pytest.mark.parametrize("blank", [" ", "\t\n"])
def test_a_blank_text_is_refused(file: Path, key: str, blank: str) -> None:
    found = told_of(file, "eac: 1\n" + facts(**{key: blank}))
    assert f"edits[0].{key}: found only white space, expected a text" in found[0]


@pytest.mark.parametrize("key", ["subject", "target", "truth"])
def test_a_text_that_nobody_can_see_is_refused(file: Path, key: str) -> None:
    found = told_of(file, "eac: 1\n" + facts(**{key: "\u200b \u2060"}))
    assert f"edits[0].{key}: found only invisible characters, expected a text" in found[0]


@pytest.mark.parametrize(
    ("changed", "path"),
    [
        ({"paraphrases": ["Oslo is in", " "]}, "edits[0].paraphrases[1]"),
        ({"neighborhood": [{"prompt": " "}]}, "edits[0].neighborhood[0].prompt"),
        (
            {"neighborhood": [{"prompt": "Bergen is in", "answer": " "}]},
            "edits[0].neighborhood[0].answer",
        ),
    ],
)
def test_a_blank_prompt_or_answer_is_refused(
    file: Path, changed: dict[str, object], path: str
) -> None:
    [found] = told_of(file, "eac: 1\n" + facts(**changed))
    assert f"{path}: " in found


def test_a_missing_data_file_is_reported_at_its_key(file: Path) -> None:
    text = "eac: 1\nedits:\n  - from: nowhere.json\n    format: counterfact\n"
    missing = file.parent / "nowhere.json"
    assert told_of(file, text) == [
        f"3:11: edits[0].from: {missing}: there is no such file; the path is relative to the spec"
    ]


def test_a_malformed_data_file_is_reported_at_its_key(file: Path) -> None:
    data = write(file.parent / "facts.jsonl", '\n{"subject": "Oslo"\n')
    [found] = told_of(file, "eac: 1\nedits: [{from: facts.jsonl, format: jsonl}]\n")
    assert found.startswith(f"2:16: edits[0].from: {data}:2: record 1: ")


def test_all_missing_data_files_are_reported(file: Path) -> None:
    entries = [f"  - {{from: {name}.jsonl, format: jsonl}}\n" for name in "ab"]
    found = told_of(file, "eac: 1\nedits:\n" + "".join(entries))
    assert [line.split(":")[0] for line in found] == ["3", "4"]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('eac: 1\nedits: [{from: "a\\0b", format: jsonl}]\n', "2:16: edits[0].from: "),
        (HEAD + 'extends: "a\\0b"\n', "3:10: extends: "),
    ],
)
def test_a_path_that_no_file_can_have_is_a_problem_of_the_spec(
    file: Path, text: str, place: str
) -> None:
    [found] = told_of(file, text)
    assert found.startswith(place)


# Methods, checks, names


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "methods: [romee]",
            "3:11: methods[0]: unknown method 'romee'; did you mean 'rome'?",
        ),
        (
            "methods: pruning",
            "3:10: methods: unknown method 'pruning'; did you mean 'prune'?",
        ),
        (
            "methods: xyz",
            f"3:10: methods: unknown method 'xyz'; known are {', '.join((*BUILT_IN, *CONTROLS))}",
        ),
        ("methods: [rome, rome]", "3:17: methods[1]: method 'rome' is given twice"),
        (
            "methods: [rome, {rome: {base: rome-eac}}]",
            "3:17: methods[1]: method 'rome' is given twice",
        ),
        (
            "methods: {x: {base: memit, anchors: {ratio: 0.1}}}",
            "3:14: methods.x: memit has no anchors; take memit-eac or drop 'anchors'",
        ),
        (
            "methods: {x: {base: ft, anchors: {ratio: 0.1}}}",
            "3:14: methods.x: ft has no anchors; drop 'anchors'",
        ),
        (
            "methods: {x: {base: ft, value: {steps: 3}}}",
            "3:14: methods.x: ft solves for no value; drop 'value'",
        ),
        (
            "methods: {x: {base: ft, covariance: {ridge: 1}}}",
            "3:14: methods.x: ft reads no covariance; drop 'covariance'",
        ),
        (
            "methods: {x: {base: memit-eac, covariance: none}}",
            "3:14: methods.x: memit-eac needs a covariance; only rome and r-rome do without",
        ),
        (
            "methods: {x: {base: memit, update: {keep: 0.3}}}",
            "3:37: methods.x.update.keep: unknown key 'keep'; it is an option of rect; this method "
            "has: weight",
        ),
        (
            "methods: {x: {base: rome, update: {weight: 3}}}",
            "3:36: methods.x.update.weight: unknown key 'weight'; it is an option of memit, "
            "memit-prev, rect, prune, encore; this method has: none",
        ),
        (
            "methods: {x: {base: rome, anchors: {ratio: 0.1}}}",
            "3:14: methods.x: rome has no anchors; take rome-eac or drop 'anchors'",
        ),
        (
            "methods: {x: {base: ft, contexts: {texts: ['{}']}}}",
            "3:14: methods.x: ft solves for no value; drop 'contexts'",
        ),
        (
            "methods: {x: {base: alphaedit, preset: released}}",
            "3:14: methods.x: the released code has no alphaedit; it has: rome, rome-eac, memit, "
            "memit-eac",
        ),
        (
            "methods: {x: {base: rome-eac, anchors: {threshold: 0.3, ratio: 0.1}}}",
            "3:14: methods.x: anchors: found a threshold and a ratio, expected one of the two",
        ),
        (
            "methods: {x: {base: rome-eac, anchors: {choice: all, ratio: 0.1}}}",
            "3:14: methods.x: anchors: choice all keeps all; drop ratio and threshold",
        ),
        (
            "methods: {x: {base: rome-eac, anchors: {choice: all, threshold: 0.1}}}",
            "3:14: methods.x: anchors: choice all keeps all; drop ratio and threshold",
        ),
        (
            "methods: {x: {base: rome-eac, anchors: {retrain: false, steps: 5, l1: 0}}}",
            "3:14: methods.x: anchors: there is no stage 2 without retraining; drop l1, steps",
        ),
        (
            "methods: {x: {base: rome, contexts: {texts: ['{}'], lengths: [[2, 1]]}}}",
            "3:14: methods.x: contexts: texts are given, so nothing is sampled; drop lengths",
        ),
        (
            "methods: {x: {base: alphaedit, update: {l2: 0}}}",
            "3:45: methods.x.update.l2: found 0, expected greater than 0",
        ),
        (
            "methods: {x: {base: memit, update: {weight: 0}}}",
            "3:45: methods.x.update.weight: found 0, expected greater than 0",
        ),
        (
            "methods: [{rome: {base: alphaedit}}]",
            "3:12: methods[0].rome: 'rome' is a built-in method; give a variant of alphaedit a "
            "name of its own",
        ),
        (
            "methods: {rome: {base: alphaedit}}",
            "3:11: methods.rome: 'rome' is a built-in method; give a variant of alphaedit a name "
            "of its own",
        ),
        (
            "methods: {x: {base: rome, options: {by: 2}}}",
            "3:36: methods.x.options: rome has no options of its own; drop 'options'",
        ),
        (
            "methods: {x: {base: rome, options: 7}}",
            "3:36: methods.x.options: rome has no options of its own; drop 'options'",
        ),
        (
            "sequence: {batch: 2}",
            "3:19: sequence.batch: found 2; rome-eac takes one edit at a time: expected 1",
        ),
        (
            "sequence: {checkpoints: [1, 2]}",
            "3:29: sequence.checkpoints[1]: found 2, expected at most the number of edits, 1",
        ),
        (
            "checks: {efficacy: {min: 0.5, at: 2}}",
            "3:35: checks.efficacy.at: found 2, expected at most the number of edits, 1",
        ),
        (
            "checks: {deviation: {max: 5, at: 2}}",
            "3:34: checks.deviation.at: found 2, expected at most the number of edits, 1",
        ),
        (
            "checks: {efficacy: {}}",
            "3:20: checks.efficacy: nothing is checked; expected min or max",
        ),
        ("checks: {known: {}}", "3:17: checks.known: nothing is checked; expected min or max"),
        (
            "checks: {deviation: {norm: l1}}",
            "3:21: checks.deviation: nothing is checked; expected max_relative, min_relative, "
            "max, min or growth",
        ),
        (
            "checks: {efficacy: {min: 0.9, max: 0.5}}",
            "3:20: checks.efficacy: min is above max: no value can pass",
        ),
        (
            "checks: {compare: [{metric: deviaton, less: rome-eac, than: rome}]}",
            "3:29: checks.compare[0].metric: unknown metric 'deviaton'; did you mean 'deviation'?",
        ),
        (
            "checks: {efficacy: {min: 0.9, confidence: 95}}",
            "3:43: checks.efficacy.confidence: found 95, expected less than 1",
        ),
        (
            "stats: {correction: bonferroni}",
            "3:21: stats.correction: found 'bonferroni', expected 'holm', 'bh' or 'none'",
        ),
        (
            "checks: {abilities: {perplexity: {keep: 0.9, confidence: 0.9}}}",
            "3:21: checks.abilities: perplexity is no share and is better the lower it is; "
            "take keep",
        ),
        (
            "checks: {compare: [{metric: deviation, less: rome, than: rome-eac}]}",
            "3:46: checks.compare[0].less: 'rome' is not one of this spec's methods; "
            "did you mean 'rome-eac'?",
        ),
        (
            "checks: {compare: [{metric: deviation, more: rome-eac, than: memit}]}",
            "3:62: checks.compare[0].than: 'memit' is not one of this spec's methods; "
            "known are rome-eac",
        ),
        (
            "checks: {compare: [{metric: deviation, less: rome-eac, than: rome-eac}]}",
            "3:20: checks.compare[0]: a method cannot be compared with itself",
        ),
        (
            "checks: {compare: [{metric: deviation, than: rome-eac}]}",
            "3:20: checks.compare[0]: expected exactly one of less and more",
        ),
        (
            "checks: {compare: [{metric: deviation, less: a, more: b, than: rome-eac}]}",
            "3:20: checks.compare[0]: expected exactly one of less and more",
        ),
        (
            "known_issues: [{check: efficacy, reason: x}]",
            "3:24: known_issues[0].check: 'efficacy' is not a check of this spec",
        ),
    ],
)
def test_what_cannot_be_run_or_judged_is_refused(file: Path, text: str, said: str) -> None:
    assert told_of(file, HEAD + text) == [said]


@pytest.mark.parametrize(
    "written",
    [
        "{rome: {base: rome, layers: [3]}}",
        "{x: {base: rome-eac, anchors: {threshold: 0.3}}}",
        "{x: {base: rome-eac, anchors: {choice: all}}}",
        "{x: {base: rome-eac, anchors: {retrain: false, ratio: 0.1}}}",
        "{x: {base: emmet, update: {l2: 0}}}",
        "{x: {base: memit-eac, preset: released}}",
    ],
)
def test_what_is_of_use_is_taken(file: Path, written: str) -> None:
    assert len(load_spec(write(file, HEAD + f"methods: {written}")).methods) == 1


@pytest.mark.parametrize("kind", ["", "_relative"])
def test_deviation_limits_that_no_value_can_meet_are_refused(file: Path, kind: str) -> None:
    pair = f"min{kind}: 3, max{kind}: 2"
    assert told_of(file, HEAD + f"checks: {{deviation: {{{pair}}}}}\n") == [
        f"3:21: checks.deviation: min{kind} is above max{kind}: no value can pass"
    ]


@pytest.mark.parametrize(
    ("checks", "hint"),
    [
        ("known: 0.9", "write {min: 0.9}"),
        ("efficacy: 90%", "write {min: 0.9}"),
        ("locality: '>= 0.8'", "write {min: 0.8}"),
        ("retention: 90", "write limits, such as {min: 0.9}"),
        ("generalization: true", "write limits, such as {min: 0.9}"),
        ("deviation: 0.1", "write {max_relative: 0.1}"),
        ("deviation: [0.1]", "write limits, such as {max_relative: 0.1}"),
        ("deviation: {growth: 1.2}", "write {max_exponent: 1.2}"),
        ("deviation: {growth: no_acceleration}", "write {no_acceleration: true}"),
        ("changed: 0.5", "write {max_relative: 0.5}"),
        ("changed: ['*.weight']", "write {only: [...]}"),
        ("abilities: [nli]", "write each with its limit, such as {nli: 0.8}"),
        ("abilities: {nli: '0.7'}", "write {keep: 0.7}"),
    ],
)
def test_a_value_in_the_place_of_limits_is_shown_as_limits(
    file: Path, checks: str, hint: str
) -> None:
    [found] = told_of(file, HEAD + f"checks: {{{checks}}}\n")
    assert found.startswith("3:")
    assert found.endswith(f", expected a mapping; {hint}")


@pytest.mark.parametrize("key", ["max", "min"])
def test_a_share_for_the_norm_itself_is_shown_as_a_share(file: Path, key: str) -> None:
    assert told_of(file, HEAD + f"checks: {{deviation: {{{key}: 0.1}}}}\n") == [
        f"3:27: checks.deviation.{key}: found 0.1, which limits the L1 norm of W_t - W_0 itself; "
        f"for a share of the norm of W_0 write {key}_relative: 0.1"
    ]


def test_a_norm_below_one_that_can_be_meant_is_a_limit(file: Path) -> None:
    for limits in ("{max: 0}", "{max: 1}", "{norm: frobenius, max: 0.1}"):
        file.write_text(HEAD + f"checks: {{deviation: {limits}}}\n", encoding="utf-8")
        assert load_spec(file).checks.deviation is not None


def test_what_is_under_an_unknown_name_is_not_reported_too(file: Path) -> None:
    assert told_of(file, HEAD + "checks: {metrics: {mine: 3}}\n") == [
        "3:20: checks.metrics.mine: unknown metric 'mine'; no package or conftest.py brings one"
    ]


@pytest.mark.usefixtures("_own_registry")
def test_a_number_for_a_metric_is_shown_as_either_limit(file: Path) -> None:
    registry.register(registry.METRICS, "mine", object())
    [found] = told_of(file, HEAD + "checks: {metrics: {mine: 3}}\n")
    [beside] = told_of(file, HEAD + "checks: {mine: {max: 3}}\n")
    assert found.endswith("found 3, expected a mapping; write {max: 3} or {min: 3}")
    assert beside.endswith("unknown key 'mine'; this is a metric: write it under 'metrics'")


@pytest.mark.parametrize(
    ("checks", "key", "hint"),
    [
        ("deviation: {at_most: 1}", "at_most", "write max_relative, a share of the norm of W_0"),
        ("deviation: {relative: 0.1}", "relative", "did you mean 'max_relative'?"),
        ("deviation: {growth: {max: 1}}", "max", "did you mean 'max_exponent'?"),
        ("efficacy: {at_least: 0.9}", "at_least", "did you mean 'min'?"),
        ("efficacy: {'>=': 0.9}", ">=", "did you mean 'min'?"),
        ("efficacy: {Minimum: 0.9}", "Minimum", "did you mean 'min'?"),
        ("efficacy: {keep: 0.9}", "keep", "did you mean 'min'?"),
        ("efficacy: {max_relative: 0.9}", "max_relative", "did you mean 'max'?"),
        ("efficacy: {min: 0.5, level: 0.9}", "level", "did you mean 'confidence'?"),
        ("efficacy: {min: 0.5, after: 1}", "after", "did you mean 'at'?"),
        ("changed: {max: 0.1}", "max", "did you mean 'max_relative'?"),
        ("changed: {rank: 3}", "rank", "did you mean 'max_rank'?"),
        ("abilities: {nli: {minimum: 0.5}}", "minimum", "did you mean 'min'?"),
        ("nli: 0.7", "nli", "this is an ability: write it under 'abilities'"),
        ("Efficacy: {min: 0.9}", "Efficacy", "did you mean 'efficacy'?"),
    ],
)
def test_a_key_that_is_often_written_by_mistake_has_a_hint(
    file: Path, checks: str, key: str, hint: str
) -> None:
    [found] = told_of(file, HEAD + f"checks: {{{checks}}}\n")
    assert f": unknown key '{key}'; {hint}" in found


def test_a_seed_given_twice_is_refused(file: Path) -> None:
    [found] = told_of(file, HEAD + "seeds: [0, 1, 0]\n")
    assert found.startswith("3:")
    assert "seeds" in found
    assert "twice" in found


def test_the_same_comparison_twice_is_refused_whatever_its_direction(file: Path) -> None:
    text = HEAD + (
        "methods: [rome, rome-eac]\n"
        "checks:\n"
        "  compare:\n"
        "    - {metric: deviation, less: rome-eac, than: rome}\n"
        "    - {metric: deviation, more: rome, than: rome-eac}\n"
        "    - {metric: deviation, more: rome-eac, than: rome}\n"
    )
    assert told_of(file, text) == [
        "8:7: checks.compare[2]: the same comparison is given twice",
    ]


def test_a_known_issue_must_name_a_check_and_a_method_of_the_spec(file: Path) -> None:
    text = HEAD + (
        "checks: {efficacy: {min: 1}}\n"
        "known_issues:\n"
        "  - {check: eficacy, reason: x}\n"
        "  - {check: efficacy, method: rome-eax, reason: x}\n"
    )
    assert told_of(file, text) == [
        "5:13: known_issues[0].check: 'eficacy' is not a check of this spec; "
        "did you mean 'efficacy'?",
        "6:31: known_issues[1].method: 'rome-eax' is not one of this spec's methods; "
        "did you mean 'rome-eac'?",
    ]


def test_a_known_issue_of_a_comparison_has_no_method(file: Path) -> None:
    text = HEAD + (
        "methods: [rome, rome-eac]\n"
        "checks: {compare: [{metric: deviation, less: rome-eac, than: rome}]}\n"
        "known_issues: [{check: deviation-rome-eac-than-rome, method: rome, reason: r}]\n"
    )
    assert told_of(file, text) == [
        "5:62: known_issues[0].method: a comparison is of two methods; leave 'method' out"
    ]


def test_a_known_issue_may_name_a_comparison(file: Path) -> None:
    text = HEAD + (
        "methods: [rome, rome-eac]\n"
        "checks: {compare: [{metric: deviation, less: rome-eac, than: rome}]}\n"
        "known_issues: [{check: deviation-rome-eac-than-rome, reason: few edits}]\n"
    )
    [issue] = load_spec(write(file, text)).known_issues
    assert issue.check == "deviation-rome-eac-than-rome"


@pytest.mark.parametrize(
    ("check", "without", "said"),
    [
        ("generalization", "paraphrases", "no edit has paraphrases to measure it on"),
        ("locality", "neighborhood", "no edit has a neighborhood to measure it on"),
        ("known", "truth", "no edit has a truth to measure it on"),
    ],
)
def test_a_check_without_anything_to_measure_is_refused(
    file: Path, check: str, without: str, said: str
) -> None:
    checks = f"checks: {{{check}: {{min: 0.5}}}}\n"
    assert load_spec(write(file, "eac: 1\n" + checks + facts())).checks.named()
    bare = "eac: 1\n" + checks + facts(**{without: None})
    assert told_of(file, bare) == [f"2:10: checks.{check}: {said}"]


def test_success_needs_a_truth_for_every_edit(file: Path) -> None:
    with_truth, without = facts().removeprefix("edits: [")[:-2], '{subject: Rome, prompt: "{} is"'
    text = (
        "eac: 1\nscoring: {match: success}\nedits:\n"
        f"  - {with_truth}\n  - {without}, target: x}}\n"
    )
    [found] = told_of(file, text)
    assert found.startswith("2:18: scoring.match: ")
    assert f"the edit at {file}:5 (Rome) has no truth; add it" in found


# The file


def test_a_spec_that_is_not_there_is_a_problem(file: Path) -> None:
    [found] = told(file)
    assert found.startswith("1:1: cannot be read: ")


def test_a_spec_that_is_not_utf_8_is_a_problem(file: Path) -> None:
    file.write_bytes(b"eac: 1\nname: caf\xe9\n")
    [found] = told(file)
    assert found == "2:10: not UTF-8 (byte 16); save the file as UTF-8"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])
def test_a_spec_in_another_unicode_encoding_is_named(file: Path, encoding: str) -> None:
    file.write_bytes(HEAD.encode(encoding))
    name = encoding[:6].upper()
    assert told(file) == [f"1:1: found {name}, expected UTF-8; save the file as UTF-8"]


def test_a_byte_order_mark_of_utf_8_is_no_part_of_the_text(file: Path) -> None:
    file.write_bytes(b"\xef\xbb\xbf" + HEAD.encode())
    assert load_spec(file).edits


def test_a_key_in_capitals_is_not_the_key(file: Path) -> None:
    assert told_of(file, "EAC: 1\n" + EDITS) == [
        "1:1: eac: missing key 'eac'; a spec starts with 'eac: 1'",
        "1:1: EAC: unknown key 'EAC'; did you mean 'eac'?",
    ]


def test_a_text_that_is_no_yaml_is_one_problem(file: Path) -> None:
    [found] = told_of(file, "eac: 1\nedits: [\n")
    assert found.startswith("3:1: YAML syntax: ")


def test_a_long_hub_id_is_no_problem(file: Path) -> None:
    name = "x" * 400
    model = load_spec(write(file, HEAD + f"model: {name}\n")).model
    assert model is not None
    assert model.id == name


@pytest.mark.parametrize(
    ("abilities", "said"),
    [
        ("{qa: 0.5}", "'nli' is not measured; add it to checks.abilities"),
        (
            "{nli: {keep: 0.5, at: 1}}",
            "'nli' is not measured at the end; give it at: final or every",
        ),
    ],
)
def test_an_ability_can_be_compared_only_if_it_is_measured_at_the_end(
    file: Path, abilities: str, said: str
) -> None:
    checks = f"{{abilities: {abilities}, compare: [{{metric: nli, more: emmet, than: rome}}]}}"
    text = HEAD + f"methods: [emmet, rome]\nchecks: {checks}\n"
    assert any(line.endswith(f"checks.compare[0].metric: {said}") for line in told_of(file, text))
