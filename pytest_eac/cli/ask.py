"""``pytest-eac ask``: what a model says to a spec's prompts before any edit."""

import argparse
from collections.abc import Iterator
from pathlib import Path

from pytest_eac.cli.common import MODEL, add_options, add_spec, choose_model, count_from, load
from pytest_eac.spec.edits import Edit
from pytest_eac.spec.spec import Spec
from pytest_eac.untrusted_text import line, say

_TOKENS = 12
_WHY = {
    "already held": "the unedited model already gives the target",
    "target is truth": "its target is its truth",
}


def add(parser: argparse.ArgumentParser) -> None:
    """Declare its arguments."""
    add_spec(parser)
    add_options(
        parser,
        (
            MODEL,
            ("limit-edits", count_from(1), "N", "ask only for the first N edits"),
            ("cache-dir", Path, "DIR", "where converted models are kept"),
        ),
    )


def run(chosen: argparse.Namespace) -> int:
    """Ask the model the prompts, and compare its words with the truths and answers."""
    from pytest_eac.measuring.feasibility import require_askable
    from pytest_eac.measuring.probes import exclude, make_questions
    from pytest_eac.scoring.answers import force, generate, generation_length
    from pytest_eac.scoring.asker import Asker, as_loaded

    spec: Spec = chosen.read_spec(chosen.spec).joined()
    if chosen.limit_edits:
        spec = spec.limited(chosen.limit_edits)
    loaded = load(choose_model(spec, chosen.model), chosen)
    require_askable(loaded, spec)
    asked = [(edit, *ask) for edit in spec.edits for ask in _asks(edit)]
    said = generate(loaded, [prompt for _, _, prompt, _ in asked], tokens=_TOKENS)
    pairs = [(prompt, edit.after(prompt, answer)) for edit, _, prompt, answer in asked if answer]
    forced = iter(force(loaded, pairs) if pairs else ())
    match = spec.scoring.match
    questions = make_questions(spec.edits, match, loaded.tokenizer, own={})
    targets = [probe.question for probe in questions.targets]
    length = generation_length(loaded, [each.answer for each in targets])
    answers = Asker(state=as_loaded(loaded), match=match, length=length).ask(targets)
    excluded = iter(exclude(questions, [answer.score for answer in answers]))
    shown: Edit | None = None
    for (edit, kind, prompt, answer), text in zip(asked, said, strict=True):
        if edit is not shown:
            say(line(f"{edit.origin}: {edit.subject}"))
            if why := next(excluded):
                say(f"  the edit will not count: {_WHY[why]}: {edit.target!r}")
            shown = edit
        is_so = next(forced).accuracy == 1 if answer else None
        verdict = {True: "yes", False: "no", None: "-"}[is_so]
        wanted = f", not {answer!r}" if is_so is False else ""
        words = " ".join(text.split())
        say(line(f"  {verdict:<3} {kind:<10} {prompt} -> {words!r}{wanted}"))
    return 0


def _asks(edit: Edit) -> Iterator[tuple[str, str, str | None]]:
    """Return what an edit has to ask: what for, the prompt, and what the answer should be."""
    yield "prompt", edit.prompt, edit.truth
    for text in edit.paraphrases:
        yield "paraphrase", text, edit.truth
    for neighbor in edit.neighborhood:
        yield "neighbor", neighbor.prompt, neighbor.answer
