"""What a sequence of edits, and whoever measures it, relies on of any method: a promise a test."""

from dataclasses import replace

import pytest
import torch

from pytest_eac.conformance.bench import seeded
from pytest_eac.conformance.example_edits import CONFLICT, EDITS, FACT, RENAMED, REWORDED
from pytest_eac.conformance.requirements import (
    LEAST_RISE,
    difference,
    require_kept,
    require_rise,
    require_state,
)
from pytest_eac.conformance.trial import Trial
from pytest_eac.lm.weights import apply_delta, restored

_SHOWN = 6


def test_changes_only_what_it_declares(trial: Trial) -> None:
    """Solving changes nothing; what it returns are fitting changes of modules that it declared."""
    if trial.trouble:
        pytest.fail(trial.trouble, pytrace=False)


def test_restores(trial: Trial) -> None:
    """After a sequence, putting the declared modules back gives the old model."""
    trial.ready()
    trial.sequence(EDITS[:2])  # fails if anything is not as before


def test_deterministic_under_a_seed(trial: Trial) -> None:
    """The same model, edits and ``work.seed`` give the same changes, bit for bit."""
    trial.ready()
    runs = []
    for seed in (1, 2):
        with seeded(seed):
            runs.append(trial.sequence(EDITS[:2]).deltas)
    if apart := difference(*runs):
        trial.fail(
            f"made the same two edits twice with the same seed, and they differ: {apart}",
            "the same changes, bit for bit, whatever the global random numbers are",
            "draw from torch.Generator().manual_seed(work.seed); keep nothing between calls "
            "but what you return as Solved(state=...)",
        )


def test_batch_of_one_equals_sequence(trial: Trial) -> None:
    """A sequence is edits made one by one, each from the state that the one before returned."""
    trial.ready()
    run = trial.sequence(EDITS).weights
    by_hand = trial.one_by_one(EDITS)
    for path, weight in run.items():
        if not torch.equal(weight, by_hand[path]):
            trial.fail(
                f"made {len(EDITS)} edits in a sequence, and again by hand with the returned "
                "state handed on (and another edit solved in between, to be thrown away): "
                f"{path} differs by up to {float((weight - by_hand[path]).abs().max()):.3g}",
                "the same weights, bit for bit",
                "keep what later edits need in Solved(state=...) and read it from work.state, "
                "never from a global, an attribute or a cache that calls write to",
            )


def test_batch_raises_every_target(trial: Trial) -> None:
    """Several edits in one update raise every target's probability."""
    trial.ready()
    if not trial.method.many_edits:
        pytest.skip(f"{trial.name} takes one edit at a time")
    run = trial.sequence(EDITS, batch=len(EDITS))
    for number in range(len(EDITS)):
        require_rise(
            trial,
            run,
            f"made {len(EDITS)} edits in one update",
            number=number,
            expected="every edit's target becomes likelier",
            remedy="use all of the edits that solve() is given; a method that takes one at a time "
            "says so by Method(many_edits=False)",
        )


def test_survives_duplicate_edits(trial: Trial) -> None:
    """The same edit twice leaves a finite model in which it holds."""
    trial.ready()
    for batch in trial.batches():
        run = trial.sequence((EDITS[0], EDITS[0]), batch=batch)
        how = "one after the other" if batch == 1 else "in one update"
        require_rise(
            trial,
            run,
            f"made the same edit twice, {how}",
            expected="its target is likelier than before both",
            remedy="see what a residual of zero, or two equal keys, do to the formula",
        )


def test_survives_conflicting_edits(trial: Trial) -> None:
    """Two edits that contradict each other leave a finite model, moved towards the later one."""
    trial.ready()
    for batch in trial.batches():
        run = trial.sequence(CONFLICT, batch=batch)  # fails if anything is not finite
        if batch > 1:
            continue  # in one update neither is the later one
        require_rise(
            trial,
            run,
            "made an edit and then one that contradicts it",
            number=1,
            since=0,
            expected="the later edit makes its target likelier",
            remedy="protect earlier edits, but not from a later one of the same subject",
        )


def test_raises_the_targets_probability(trial: Trial) -> None:
    """An edit makes its target likelier."""
    trial.ready()
    run = trial.sequence(EDITS[:1])
    require_rise(
        trial,
        run,
        "made one edit",
        expected="the target becomes likelier",
        remedy="see that the change is not zero and has the right sign; a method that cannot edit "
        "a model of random weights can be tried on another by --eac-model",
    )


def test_repeating_an_edit_leaves_it_in_place(trial: Trial) -> None:
    """An edit that is made again keeps at least half of what it had gained."""
    trial.ready()
    run = trial.sequence((EDITS[0], EDITS[0]))
    require_kept(trial, run, "made the same edit again", "an edit made twice holds")


def test_an_unrelated_edit_leaves_the_first_in_place(trial: Trial) -> None:
    """After an edit of something else, an edit keeps at least half of what it had gained."""
    trial.ready()
    run = trial.sequence((EDITS[0], EDITS[2]))
    require_kept(trial, run, f"then edited {EDITS[2].subject}", "the first edit holds")


def test_an_edit_that_is_taken_back_leaves_the_truth(trial: Trial) -> None:
    """Editing back makes the truth likelier than it ever was.

    It need not overtake the object in between: methods that protect earlier keys give way in part.
    """
    trial.ready()
    run = trial.sequence(CONFLICT)
    edited, back = run.gain(1, update=0), run.gain(1)
    if back < max(0.0, edited) + LEAST_RISE:
        trial.fail(
            "made an edit and then took it back: the log-probability of the truth moved by "
            f"{edited:.4f} and was then {back:.4f} above its first value",
            "the truth is likelier than before the edit and after it",
            "a later edit of the same subject replaces the earlier one, in the state as well",
        )


def test_renaming_the_subject_makes_an_edit_that_works_as_well(trial: Trial) -> None:
    """The same edit of a subject with another name, of as many tokens, gains half as much or more.

    Half, since a model of random weights reads every name differently.
    """
    trial.ready()
    gains = [trial.sequence((edit,)).gain() for edit in (EDITS[0], RENAMED)]
    if gains[1] < gains[0] / 2:
        trial.fail(
            f"edited {EDITS[0].subject} and, by itself, {RENAMED.subject} in its place: the "
            f"target's log-probability rose by {gains[0]:.4f} and by {gains[1]:.4f}",
            "both rise by much the same",
            "find the subject by its tokens, not by its text; keep nothing from call to call",
        )


def test_an_edit_in_other_words_answers_the_prompt(trial: Trial) -> None:
    """An edit made by a paraphrase of a prompt makes the target likelier after that prompt, too."""
    trial.ready()
    if not trial.bench.is_trained:
        pytest.skip("a model of random weights knows no paraphrases: give a trained --eac-model")
    run = trial.sequence((REWORDED,), asked=(FACT,))
    require_rise(
        trial,
        run,
        f"edited by the prompt {REWORDED.prompt!r}",
        expected="who edits a fact in one wording has edited it in others",
        remedy="let the change depend on the subject, not on the words around it: see contexts",
    )


def test_reports_its_state(trial: Trial) -> None:
    """What a later edit needs of an earlier one is in the state, as finite tensors of its own."""
    loaded = trial.ready()
    with trial.working("making two edits"), restored(loaded.model, trial.modules) as originals:
        work = trial.work(EDITS[:2], originals)
        first = trial.solve(EDITS[:1], work)
        require_state(trial, first)
        kept = {name: tensor.clone() for name, tensor in first.state.items()}
        for delta in first.deltas:
            apply_delta(loaded.model, delta)
        work = replace(work, state=first.state, done=1)
        second = trial.solve(EDITS[1:2], work)
        now = first.state
        changed = [
            name for name, old in kept.items() if name not in now or not torch.equal(old, now[name])
        ]
        again = trial.solve(EDITS[1:2], replace(work, state=kept))
    if changed:
        trial.fail(
            f"changed the state that it had returned before, in place: {', '.join(changed)}",
            "work.state and the model's weights may be read, never written to",
            "build new tensors: state = {**work.state, 'keys': torch.cat([old, new])}",
        )
    if apart := difference(second.deltas, again.deltas):
        trial.fail(
            "was given the same model, edit and state twice, and answered differently: " + apart,
            "the same changes, bit for bit",
            "keep what later edits need in Solved(state=...), never outside of it",
        )


def test_does_not_leak(trial: Trial) -> None:
    """Solving leaves no hooks, flags or settings behind and draws no global random numbers."""
    if trial.trouble:
        trial.ready()
    if left := trial.left:
        more = f"; and {len(left) - _SHOWN} more" if len(left) > _SHOWN else ""
        trial.fail(
            f"made one edit and left behind: {'; '.join(left[:_SHOWN])}{more}",
            "model, tokenizer and process are as before; only the returned value is new",
            "remove hooks in `finally`; take gradients of copies, by torch.func.functional_call; "
            "detach what you return; draw from a torch.Generator of your own",
        )
