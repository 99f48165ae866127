"""What a model cannot be given or asked is found out for all edits at once, before it is run."""

from __future__ import annotations

import copy
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pytest_eac import load_spec, run_chain
from pytest_eac.errors import EditError
from pytest_eac.measuring.feasibility import require_askable, require_possible

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_eac.lm.loading.load import LoadedModel
    from pytest_eac.spec.spec import Spec

LONG = " ".join(["stone"] * 130)  # the tiny models take 128 tokens
FACT = '{{subject: Odalys Ardwick, prompt: "{{}} was born in", target: {target}{more}}}'


def spec_of(folder: Path, *facts: str, contexts: str = "texts: ['{}']", match: str = "") -> Spec:
    lines = [
        "eac: 1",
        f"methods: [mine: {{base: rome, layers: [1], contexts: {{{contexts}}}}}]",
        f"scoring: {{match: {match or 'accuracy'}}}",
        "checks: {efficacy: {min: 0.0}}",
        "edits:",
        *(f"  - {fact}" for fact in facts),
    ]
    file = folder / "some.eac.yaml"
    file.write_text("\n".join(lines), encoding="utf-8")
    return load_spec(file)


def fact(target: str = "north", more: str = "") -> str:
    return FACT.format(target=target, more=more)


def told(loaded: LoadedModel, spec: Spec) -> str:
    """Return the error of the whole chain; the model must not have been run for it."""
    passes: list[None] = []
    handle = loaded.model.register_forward_pre_hook(lambda *_: passes.append(None))
    try:
        with pytest.raises(EditError) as raised:
            run_chain(loaded, spec, spec.methods[0])
    finally:
        handle.remove()
    assert not passes
    return str(raised.value)


def test_all_bad_edits_are_reported_together_before_the_model_is_asked(
    tiny: LoadedModel, tmp_path: Path
) -> None:
    spec = spec_of(
        tmp_path,
        fact(),
        f"{{subject: Odalys Ardwick, prompt: '{LONG} {{}} is', target: north}}",
        fact(more=f", paraphrases: ['So {LONG}']"),
        fact(more=f", neighborhood: [{{prompt: 'Near {LONG}'}}]"),
        fact(target=LONG),
    )
    first, *lines = told(tiny, spec).splitlines()
    assert first == "4 of 5 edits cannot be made on this model:"
    starts = [line.strip().partition("...")[0] for line in lines]
    place = f"(Odalys Ardwick, {spec.file}"
    assert starts[0].startswith(f"edit 2 of 5 {place}:7): the prompt 'stone stone")
    assert starts[1].startswith(f"edit 3 of 5 {place}:8): the prompt 'So stone")
    assert starts[2].startswith(f"edit 4 of 5 {place}:9): the prompt 'Near stone")
    assert starts[3].startswith(f"edit 5 of 5 {place}:10): the prompt 'Odalys Ardwick was")


def test_one_bad_edit_is_reported_in_one_line(tiny: LoadedModel, tmp_path: Path) -> None:
    spec = spec_of(tmp_path, fact(), fact(more=f", paraphrases: ['So {LONG}']"))
    assert told(tiny, spec).startswith(f"edit 2 of 2 (Odalys Ardwick, {spec.file}:7): the prompt")
    assert "\n" not in told(tiny, spec)


def test_a_long_list_of_bad_edits_is_cut_off(tiny: LoadedModel, tmp_path: Path) -> None:
    spec = spec_of(tmp_path, *[fact(more=f", paraphrases: ['So {LONG}']")] * 13)
    lines = told(tiny, spec).splitlines()
    assert lines[0] == "13 of 13 edits cannot be made on this model:"
    assert len(lines) == 1 + 10 + 1
    assert lines[-1] == "  and 3 more"


def test_a_context_given_by_hand_that_leaves_no_room_is_reported_too(
    tiny: LoadedModel, tmp_path: Path
) -> None:
    spec = spec_of(tmp_path, fact(), contexts=f"texts: ['{LONG} {{}}']")
    assert "but the model takes 128" in told(tiny, spec)


def test_sampled_contexts_are_checked_before_the_first_edit(
    tiny: LoadedModel, tmp_path: Path
) -> None:
    much = " ".join(["stone"] * 40)
    longer = f"{{subject: Odalys Ardwick, prompt: '{much} {{}} is', target: north}}"
    spec = spec_of(tmp_path, fact(), longer, contexts="lengths: [[90, 1]]")
    require_possible(tiny, spec, spec.methods[0])
    with pytest.raises(EditError, match=r"^edit 2 of 2 .* but the model takes 128$"):
        run_chain(tiny, spec, spec.methods[0])


@pytest.mark.parametrize(
    "edit",
    [
        fact(target="zzqx"),
        fact(more=", truth: zzqx"),
        fact(more=", paraphrases: ['In zzqx is']"),
        fact(more=", neighborhood: [{prompt: In zzqx is, answer: north}]"),
    ],
)
def test_a_token_without_an_embedding_is_reported_before_the_first_edit(
    tiny_llama: LoadedModel, tmp_path: Path, edit: str
) -> None:
    tokenizer = copy.deepcopy(tiny_llama.tokenizer)
    tokenizer.add_tokens([f"word{n}" for n in range(50)] + ["zzqx"])
    spec = spec_of(tmp_path, edit)
    found = told(replace(tiny_llama, tokenizer=tokenizer), spec)
    assert re.search(r"gives the id \d+, but the model has embeddings for \d+ tokens", found)


def test_what_is_written_after_a_prompt_needs_room_where_it_is_written(
    tiny: LoadedModel, tmp_path: Path
) -> None:
    long_answer = " ".join(["stone"] * 20)
    words = " ".join(["stone"] * 110)
    edits = [
        fact(more=f", truth: south, paraphrases: ['So {words}']"),
        fact(target=long_answer, more=", truth: south"),
    ]
    with pytest.raises(EditError, match=r"^edit 1 of 2 .*'So stone"):
        require_askable(tiny, spec_of(tmp_path, *edits, match="generation"))
    # Likelihoods need room for the edit's own answers alone.
    require_askable(tiny, spec_of(tmp_path, *edits, match="success"))


def test_a_subject_that_shares_its_last_token_with_another_word_is_refused(
    tiny_llama: LoadedModel, tmp_path: Path
) -> None:
    spec = spec_of(tmp_path, "{subject: Odal, prompt: '{}ys Ardwick was born in', target: north}")
    merged = replace_tokenizer(tiny_llama)
    assert "no last token of its own in 'Odalys Ardwick was born in'" in told(merged, spec)


def test_letters_behind_a_subject_that_keeps_its_own_last_token_are_no_trouble(
    tiny_llama: LoadedModel, tmp_path: Path
) -> None:
    spec = spec_of(tmp_path, "{subject: Odalys, prompt: 'In {}란 are', target: north}")
    require_possible(tiny_llama, spec, spec.methods[0])


def replace_tokenizer(loaded: LoadedModel) -> LoadedModel:
    """Return the model with a tokenizer that makes one token of each word."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({"<unk>": 0}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    return replace(
        loaded, tokenizer=PreTrainedTokenizerFast(tokenizer_object=words, unk_token="<unk>")
    )
