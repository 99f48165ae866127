"""The built-in metrics: what each is called and means, and how it is measured.

In formulas, W_k are the weights after k edits and s is the score of an answer between 0 and 1
(``scoring.match``). ``docs/metrics.md`` says more of each. A spec is checked by these entries, so
this module imports nothing heavy.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from pytest_eac.spec.registry_entries import Metric

if TYPE_CHECKING:
    from pytest_eac.measuring.recall import EditedModel
    from pytest_eac.records.run import Excluded, Measurement

_UNCOUNTED: tuple[Excluded, ...] = ("already held", "target is truth")
_share = partial(Metric, page="metrics", kind="share")


def efficacy(edited: EditedModel) -> Measurement:
    """Score each edit so far that counts on its prompt, right after it was made.

    Of a model that was edited elsewhere only its end is known: this is then its retention.
    """
    if edited.right_after is None:
        return edited.retained
    unedited = edited.unedited
    answered = zip(unedited.questions.targets, edited.right_after, strict=False)
    return edited.summarize(pair for pair in answered if unedited.excluded[pair[0].edit] is None)


def generalization(edited: EditedModel) -> Measurement:
    """Score the edits that stand on their paraphrases."""
    return edited.measure_group("generalization")


def locality(edited: EditedModel) -> Measurement:
    """Score the answers in the neighborhood of all edits so far: 1 where unchanged."""
    return edited.measure_group("locality")


def retention(edited: EditedModel) -> Measurement:
    """Score the edits that stand on their prompts, on the model as it is now."""
    return edited.retained


KNOWN = _share(
    measure="pytest_eac.measuring.unedited:ask_questions",
    asks="Does the unedited model know the facts that are to be changed?",
    formula="mean over edits i with a truth of s(W_0, prompt_i, truth_i)",
    needs="truth",
    asked="unedited",
    leaves_out=("target is truth",),
)
EFFICACY = _share(
    measure=efficacy,
    heading="effic",
    asks="Did each edit work, asked right after it was made?",
    formula="mean over edits i ≤ k that count of s(W_i, prompt_i, target_i)",
    asked="edit",
    leaves_out=_UNCOUNTED,
)
GENERALIZATION = _share(
    measure=generalization,
    heading="genrl",
    asks="Does an edit hold when the same is asked in other words?",
    formula="mean over edits i that stand and count of mean over paraphrases p of "
    "s(W_k, p, target_i)",
    needs="paraphrases",
    leaves_out=_UNCOUNTED,
)
LOCALITY = _share(
    measure=locality,
    heading="local",
    asks="Are answers about other things as they were before the edits?",
    formula="mean over edits i ≤ k of mean over neighbours p of s(W_k, p, answer of W_0 to p)",
    needs="neighborhood",
    against="before the edits",
)
RETENTION = _share(
    measure=retention,
    heading="retain",
    asks="Do all edits so far still hold, asked of the model as it is now?",
    formula="mean over edits i that stand and count of s(W_k, prompt_i, target_i)",
    leaves_out=_UNCOUNTED,
    forgetting=True,
)
DEVIATION = Metric(
    measure="pytest_eac.measuring.deviation:measure_deviation",
    heading="dev",
    asks="How far have the edited matrices moved from the original ones?",
    formula="D_k = ‖W_k - W_0‖, relative: / ‖W_0‖ (L1 or Frobenius)",
    page="metrics",
    kind="weights",
    better="lower",
)
