"""What a causal tracing found, as ``pytest-eac locate`` writes it."""

from dataclasses import dataclass

from pytest_eac.strict_json import Count, Number, Share, Size, read_typed


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """A mean over facts with its 95 % interval; the ends are ``None`` for a single fact."""

    value: Number
    low: Number | None
    high: Number | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerEffect:
    """How much of the answer's probability comes back with a part of the clean run.

    The part is always that at the subject's last token.

    Attributes:
        layer: the layer, counted from 0.
        mlp: with the MLP outputs of a window of layers around this one.
        state: with this layer's whole output.
    """

    layer: Count
    mlp: Effect
    state: Effect


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedFact:
    """A fact that was traced.

    Attributes:
        edit: which edit it belongs to, counted from 0.
        prompt: the prompt.
        subject: the subject in it.
        answer: the answer whose probability is followed.
        own: whether that is the model's own answer, for want of a truth.
        clean: the answer's probability.
        corrupted: the same with noise on the subject; mean over noise samples.
        mlp: this fact's ``LayerEffect.mlp`` at each layer.
    """

    edit: Count
    prompt: str
    subject: str
    answer: str
    own: bool
    clean: Share
    corrupted: Share
    mlp: tuple[Number, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SkippedFact:
    """A fact that was left out: which edit it belongs to, counted from 0, and why."""

    edit: Count
    prompt: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracing:
    """A causal tracing of a model on a spec's facts.

    Attributes:
        fingerprint: SHA-256 over the model's weights.
        facts: the facts that were traced, at least one.
        skipped: those that were not.
        layers: the effects for each layer of the model.
        window: how many layers' MLP outputs are put back together.
        samples: how many times each fact was run with different noise.
        noise: the noise's standard deviation, as a multiple of that of the embeddings.
        embedding_std: standard deviation of the entries of the subjects' embeddings.
        seed: of the noise.
    """

    fingerprint: str
    facts: tuple[TracedFact, ...]
    skipped: tuple[SkippedFact, ...]
    layers: tuple[LayerEffect, ...]
    window: Count
    samples: Count
    noise: Size
    embedding_std: Size
    seed: Count

    @property
    def best_layer(self) -> int:
        """The layer with the largest ``mlp`` effect, of those that are worth editing.

        The last one is not, since nothing reads what is written there. Nor are those whose window
        holds layer 0, unless there are no others: its MLP reads the noise before anything else
        does, so that putting it back undoes part of the noise itself.
        """
        depth = len(self.layers)
        free = [
            each
            for each in self.layers[:-1]
            if 0 not in layers_around(each.layer, window=self.window, depth=depth)
        ]
        return max(free or self.layers[:-1], key=lambda each: each.mlp.value).layer

    def spread(self, count: int) -> tuple[int, ...]:
        """Return ``count`` layers that end at the best one, layer 0 left out; fewer if need be."""
        best = self.best_layer
        return tuple(range(max(min(1, best), best - count + 1), best + 1))


def layers_around(layer: int, *, window: int, depth: int) -> range:
    """Return the layers of a window around ``layer``, cut off at both ends of the model."""
    return range(max(0, layer - window // 2), min(depth, layer + (window + 1) // 2))


def tracing_from_json(text: str) -> Tracing:
    """Read a tracing back.

    Raises:
        ValueError: the text is not one, or its parts do not fit together.
    """
    found = read_typed(Tracing, text)
    layers = [each.layer for each in found.layers]
    if layers != list(range(len(layers))) or len(layers) < 2:
        raise ValueError(f"layers: found {layers[:20]}, expected two or more, counted from 0")
    for index, fact in enumerate(found.facts):
        if len(fact.mlp) != len(layers):
            raise ValueError(
                f"facts[{index}].mlp: found {len(fact.mlp)} effects, expected {len(layers)}, one "
                "for each layer"
            )
    if not found.facts:
        raise ValueError("facts: found none, expected at least one")
    return found
