"""A causal tracing as text for the terminal, 80 columns wide, and as a picture."""

from collections.abc import Iterable, Iterator
from math import ceil, floor, log10
from statistics import fmean
from textwrap import wrap

from pytest_eac.records.tracing import Effect, Tracing, layers_around
from pytest_eac.reporting import svg
from pytest_eac.reporting.templates import template
from pytest_eac.reporting.text import fit

_WIDTH = 80
_BAR = 36
# How many layers to advise for an editor that spreads an edit.
_SPREAD = 5

_CAVEAT = (
    "Tracing shows where a restored state brings the answer back. That is not always where editing "
    'works best (Hase et al. 2023, "Does Localization Inform Editing?"): take the layer as a first '
    "guess, and let the checks of a spec decide between it and its neighbours. docs/locate.md says "
    "what each number means."
)


def tracing_lines(tracing: Tracing, name: str) -> list[str]:
    """Return which facts were traced, the effect at each layer, and what to write into a spec.

    Args:
        tracing: what was measured.
        name: of the spec and the model.
    """
    return [
        fit(name, _WIDTH),
        f"  {len(tracing.layers)} layers, weights {tracing.fingerprint[:12]}, "
        f"{len(tracing.facts)} of {len(tracing.facts) + len(tracing.skipped)} facts",
        f"  {_count(tracing.samples, 'noise sample')} each of {tracing.noise:g} x "
        f"{tracing.embedding_std:.3g}, seed {tracing.seed}",
        "",
        *_facts(tracing),
        "",
        *_chart(tracing),
        "",
        *_advice(tracing),
        "",
        *wrap(_CAVEAT, _WIDTH),
    ]


def _count(number: int, of: str) -> str:
    return f"{number} {of}" if number == 1 else f"{number} {of}s"


def _facts(tracing: Tracing) -> Iterator[str]:
    yield f"{'probability of the answer':<65}  clean  noisy"
    for fact in tracing.facts:
        text = f"{fact.edit + 1:>4} {fact.prompt} -> {fact.answer}{'*' if fact.own else ''}"
        yield _fact_row(text, fact.clean, fact.corrupted)
    clean = fmean(fact.clean for fact in tracing.facts)
    noisy = fmean(fact.corrupted for fact in tracing.facts)
    yield _fact_row("     mean", clean, noisy)
    if any(fact.own for fact in tracing.facts):
        yield "* the edit has no truth: this is the model's own next token"
    if tracing.skipped:
        yield "skipped:"
    for each in tracing.skipped:
        yield from wrap(
            f"{each.edit + 1:>4} {each.prompt}: {each.reason}", _WIDTH, subsequent_indent=" " * 5
        )


def _fact_row(text: str, clean: float, noisy: float) -> str:
    return f"{fit(text, 65):<65}  {clean:.3f}  {noisy:.3f}"


def _chart(tracing: Tracing) -> Iterator[str]:
    effects = [each.mlp for each in tracing.layers]
    low = min(0.0, *(_ends(effect)[0] for effect in effects))
    high = max(0.0, *(_ends(effect)[1] for effect in effects))
    yield f"mlp: probability restored by the MLP outputs of {_window(tracing)} at the subject's"
    yield "last token; bar: # to the lower end of its 95% interval, = to the mean, - to"
    yield "the upper end; state: restored by the layer's whole output"
    yield " layer    mlp     95% interval   state"
    for each in tracing.layers:
        mark = "*" if each.layer == tracing.best_layer else " "
        yield (
            f"{mark}{each.layer:>5} {each.mlp.value:+.3f} {_interval(each.mlp)} "
            f"{each.state.value:+.3f}  {_bar(each.mlp, low, high)}"
        ).rstrip()


def _window(tracing: Tracing) -> str:
    return f"{tracing.window} layers" if tracing.window > 1 else "one layer"


def _ends(effect: Effect) -> tuple[float, float]:
    """Return the interval, or the mean alone where a single fact leaves none."""
    if effect.low is None or effect.high is None:
        return effect.value, effect.value
    return effect.low, effect.high


def _interval(effect: Effect) -> str:
    if effect.low is None or effect.high is None:
        return f"{'-':^16}"
    return f"{effect.low:+.3f} to {effect.high:+.3f}"


def _bar(effect: Effect, low: float, high: float) -> str:
    """Draw an effect on a scale from ``low`` to ``high``, with ``|`` at zero."""
    step = (high - low) / _BAR or 1.0
    first, last = _ends(effect)
    zero = round(-low / step)
    cells = []
    for index in range(_BAR):
        place = (index - zero + 0.5) * step
        in_bar = min(0.0, effect.value) <= place <= max(0.0, effect.value)
        in_doubt = first <= place <= last
        cells.append("=" if in_bar and in_doubt else "#" if in_bar else "-" if in_doubt else " ")
    return "".join((*cells[:zero], "|", *cells[zero:]))


def _advice(tracing: Tracing) -> Iterator[str]:
    best = tracing.best_layer
    depth = len(tracing.layers)
    window = layers_around(best, window=tracing.window, depth=depth)
    held = f", its window holds layers {window[0]} to {window[-1]}" if len(window) > 1 else ""
    yield f"* the largest effect is at layer {best}{held}"
    yield from _first_layer(tracing)
    most = tracing.layers[best].mlp
    low = _ends(most)[0]
    near = [each.layer for each in tracing.layers[:-1] if low <= each.mlp.value < most.value]
    if near:
        yield from wrap(f"  layers within its interval: {', '.join(map(str, near))}", _WIDTH)
    yield "for an editor of one layer (rome, rome-eac):"
    yield f"    layers: [{best}]"
    spread = list(tracing.spread(_SPREAD))
    short = "" if len(spread) == _SPREAD else f", of which there are {len(spread)}"
    yield f"for memit, the five layers that end there{short}:"
    yield f"    layers: {spread}"


def _first_layer(tracing: Tracing) -> list[str]:
    """Say which layers were passed over because their windows hold layer 0."""
    best = tracing.layers[tracing.best_layer]
    over = [each.layer for each in tracing.layers[:-1] if each.mlp.value > best.mlp.value]
    if not over:
        return []
    text = (
        f"larger, but not advised: {', '.join(map(str, over))}; restoring them restores "
        "the MLP of layer 0, which undoes part of the noise itself"
    )
    return wrap(text, _WIDTH, initial_indent="  ", subsequent_indent="  ")


# The picture, in the units of its viewBox.
_LEFT, _RIGHT, _TOP, _BOTTOM = 76, 736, 92, 386


def tracing_svg(tracing: Tracing, model: str) -> str:
    """Return a line chart of the effects by layer as SVG, on white."""
    layers = tracing.layers
    ends = [_ends(each.mlp) for each in layers]
    states = [each.state.value for each in layers]
    low = min(0.0, *(low for low, _ in ends), *states)
    high = max(low + 1e-6, *(high for _, high in ends), *states)
    frame = svg.Frame(
        xs=(0, max(1, len(layers) - 1)),
        ys=svg.ticks(low, high, steps=(1, 2, 5, 10)),
        left=_LEFT,
        right=_RIGHT,
        top=_TOP,
        bottom=_BOTTOM,
    )

    def path(values: Iterable[float]) -> str:
        return frame.path(svg.Point(x=x, y=y) for x, y in enumerate(values))

    lower = frame.path(svg.Point(x=x, y=ends[x][0]) for x in reversed(range(len(layers))))
    picture = template("reporting/tracing.svg.j2").render(
        title=f"Causal tracing of {model}",
        fit=fit,
        effect=f"MLP outputs of {_window(tracing)} restored, mean of "
        f"{_count(len(tracing.facts), 'fact')}, 95 % interval",
        tracing=tracing,
        frame=frame,
        digits=max(0, -floor(log10(frame.ys[1] - frame.ys[0]) + 1e-9)),
        every=ceil(len(layers) / 16),
        band=f"{path(high for _, high in ends)} {lower}",
        states=path(states),
        means=path(each.mlp.value for each in layers),
    )
    return f"{picture}\n"
