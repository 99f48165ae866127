"""What to know before a chain's numbers are compared with others: its covariance is another."""

from collections.abc import Iterator, Mapping
from typing import Any

from pytest_eac.editing.moment import TOKENS_PER_INPUT, Moment, held_out_energy, is_few, projects
from pytest_eac.spec.hyperparameters import ModelPreset, find_model_preset
from pytest_eac.spec.schema.settings import MethodSettings

_TOKENS_PER_DOCUMENT = 10
"""Far fewer than an article of Wikipedia has: with fewer, the text is certainly shorter."""
_FAR_FEWER = 0.5


def chain_notes(
    settings: MethodSettings, shape: Mapping[str, Any], moments: Mapping[str, Moment]
) -> tuple[str, ...]:
    """Return what sets a chain's numbers apart from published ones.

    Args:
        settings: the method's.
        shape: the model's configuration values.
        moments: of the edited modules' inputs; empty without a covariance.
    """
    if not moments:
        return ()
    preset = find_model_preset(shape)
    found = [_few_tokens(settings, moments)]
    if preset:
        found.append(_not_comparable(settings, preset, next(iter(moments.values()))))
    return tuple(filter(None, found))


def _few_tokens(settings: MethodSettings, moments: Mapping[str, Moment]) -> str:
    """Warn of a covariance that says little about other texts."""
    few = [each for each in moments.values() if is_few(each.tokens, len(each.matrix))]
    if not few:
        return ""
    least = min(few, key=lambda each: each.token_ratio)
    text = (
        f"few tokens: the covariance is of {least.tokens:,} tokens for {len(least.matrix):,} "
        f"inputs, {least.token_ratio:.1f} for each (expected at least {TOKENS_PER_INPUT})"
    )
    if projects(settings.update):
        found = [held_out_energy(settings.update, each) for each in few]
        shares = [each for each in found if each is not None]
        if shares:
            unseen, seen = max(shares)
            text += (
                f"; text that it has not seen has {100 * unseen:.0f}% of its energy in the null "
                f"space, text that it has seen {100 * seen:.0f}% (one half of it against the other)"
            )
    return text + "; give more text"


def _not_comparable(settings: MethodSettings, preset: ModelPreset, moment: Moment) -> str:
    """Say that the preset's numbers were found with another covariance, if so."""
    there = preset.covariance
    least = _FAR_FEWER * there.tokens if there.tokens else 0.0
    if there.documents:
        least = _TOKENS_PER_DOCUMENT * there.documents
    if moment.tokens >= least and moment.ridge <= there.ridge:
        return ""
    source, text = "docs/presets.md", f"{there.tokens:,} tokens" if there.tokens else ""
    if there.documents:
        source, text = "the paper", f"{there.documents:,} documents"
    return (
        f"not comparable with {source}: {''.join(_named(settings, preset))} for {preset.name} with "
        f"a covariance of {text}{_ridge(there.ridge)}, used here with one of {moment.tokens:,} "
        f"tokens{_ridge(moment.ridge)}"
    )


def _named(settings: MethodSettings, preset: ModelPreset) -> Iterator[str]:
    """Name the number that depends on the covariance most."""
    weight = getattr(settings.update, "weight", None)
    threshold = getattr(settings.update, "threshold", None)
    known = [part.get("update", {}) for part in preset.settings.values()]
    if weight is not None and any(each.get("weight") == weight for each in known):
        yield f"lambda = {weight:g} was chosen"
    elif threshold is not None and any(each.get("threshold") == threshold for each in known):
        yield f"the threshold {threshold:g} was chosen"
    else:
        yield "the preset was made"


def _ridge(ridge: float) -> str:
    return f" and a ridge of {ridge:g}" if ridge else ""
