"""A causal tracing as text for the terminal, 80 columns wide, and as a picture."""

from __future__ import annotations

from math import ceil, floor, log10
from statistics import fmean
from textwrap import wrap
from typing import TYPE_CHECKING

from pytest_eac.records.tracing import layers_around
from pytest_eac.reporting import svg
from pytest_eac.reporting.terminal import fit
from pytest_eac.untrusted_text import markup

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_eac.records.tracing import Effect, LayerEffect, TracedFact, Tracing

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
        yield _fact_row(f"{fact.edit + 1:>4} {_told(fact)}", fact.clean, fact.corrupted)
    clean = fmean(fact.clean for fact in tracing.facts)
    noisy = fmean(fact.corrupted for fact in tracing.facts)
    yield _fact_row("     mean", clean, noisy)
    if any(fact.own for fact in tracing.facts):
        yield "* the edit has no truth: this is the model's own next token"
    if tracing.skipped:
        yield "left out:"
    for each in tracing.skipped:
        yield from wrap(
            f"{each.edit + 1:>4} {each.prompt}: {each.reason}", _WIDTH, subsequent_indent=" " * 5
        )


def _told(fact: TracedFact) -> str:
    return f"{fact.prompt} -> {fact.answer}{'*' if fact.own else ''}"


def _fact_row(text: str, clean: float, noisy: float) -> str:
    return f"{fit(text, 65):<65}  {clean:.3f}  {noisy:.3f}"


def _chart(tracing: Tracing) -> Iterator[str]:
    effects = [each.mlp for each in tracing.layers]
    low = min(0.0, *(_ends(effect)[0] for effect in effects))
    high = max(0.0, *(_ends(effect)[1] for effect in effects))
    yield f"mlp: what returns with the MLP outputs of {_window(tracing)} put back at the subject's"
    yield "last token; bar: # to the lower end of its 95% interval, = to the mean, - to"
    yield "the upper end; state: what returns with the layer's whole output"
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
    near = _within(tracing.layers[:-1], tracing.layers[best])
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
        f"passed over, though larger: {', '.join(map(str, over))}; the MLP of layer 0 is put back "
        "with them, which undoes part of the noise itself"
    )
    return wrap(text, _WIDTH, initial_indent="  ", subsequent_indent="  ")


def _within(layers: Sequence[LayerEffect], best: LayerEffect) -> list[int]:
    low = _ends(best.mlp)[0]
    return [each.layer for each in layers if low <= each.mlp.value < best.mlp.value]


# The picture, in the units of its viewBox.
_WIDE, _HIGH = 760, 450
_LEFT, _RIGHT, _TOP, _BOTTOM = 76, 736, 92, 386
_BLUE, _GREY, _INK = "#1f5fa8", "#8a8a8a", "#222222"
_TEXTS: dict[str, object] = {"font_family": "sans-serif", "font_size": 13, "fill": _INK}
_RETURNS = "probability of the answer that returns"
_BAND: dict[str, object] = {"fill": _BLUE, "fill_opacity": 0.2}
_MEAN: dict[str, object] = {"stroke": _BLUE, "stroke_width": 2}
_STATE: dict[str, object] = {"stroke": _GREY, "stroke_width": 1.5, "stroke_dasharray": "5 4"}


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
    facts = _count(len(tracing.facts), "fact")
    window = f" at the centre of the {tracing.window} restored MLPs" if tracing.window > 1 else ""
    title = f"Causal tracing of {model}"
    effect = f"MLP outputs of {_window(tracing)} put back, mean of {facts}, 95 % interval"
    picture = svg.element(
        "svg",
        svg.element("title", markup(title)),
        svg.element("rect", width=_WIDE, height=_HIGH, fill="white"),
        svg.text(_LEFT, 26, fit(title, 74), font_size=17, font_weight="bold"),
        *_legend(effect),
        *_axes(tracing, frame),
        *_curves(tracing, frame),
        frame.names(f"layer{window}", _RETURNS, bottom=436, left=20, text_anchor="middle"),
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {_WIDE} {_HIGH}",
        width=_WIDE,
        height=_HIGH,
        role="img",
        **_TEXTS,
    )
    return f"{picture}\n"


def _legend(effect: str) -> Iterator[str]:
    yield svg.element("rect", x=_LEFT, y=40, width=26, height=14, **_BAND)
    yield svg.line(_LEFT, 47, _LEFT + 26, 47, **_MEAN)
    yield svg.text(_LEFT + 33, 51, effect)
    yield svg.line(_LEFT, 68, _LEFT + 26, 68, **_STATE)
    yield svg.text(_LEFT + 33, 72, "one layer's whole output put back")


def _axes(tracing: Tracing, frame: svg.Frame) -> Iterator[str]:
    digits = max(0, -floor(log10(frame.ys[1] - frame.ys[0]) + 1e-9))
    for tick in frame.ys:
        yield frame.level(tick, stroke="#dddddd" if tick else _INK)
        yield svg.text(_LEFT - 8, frame.y(tick) + 4, f"{tick:.{digits}f}", text_anchor="end")
    every = ceil(len(tracing.layers) / 16)
    for each in tracing.layers:
        labelled = each.layer % every == 0
        x = frame.x(each.layer)
        yield svg.line(x, _BOTTOM, x, _BOTTOM + (7 if labelled else 4), stroke=_INK)
        if labelled:
            yield svg.text(x, _BOTTOM + 22, str(each.layer), text_anchor="middle")


def _curves(tracing: Tracing, frame: svg.Frame) -> Iterator[str]:
    layers = tracing.layers
    band = [(each.layer, _ends(each.mlp)[1]) for each in layers]
    band += [(each.layer, _ends(each.mlp)[0]) for each in reversed(layers)]
    states = frame.path((each.layer, each.state.value) for each in layers)
    means = frame.path((each.layer, each.mlp.value) for each in layers)
    best = layers[tracing.best_layer]
    yield svg.element("polygon", points=frame.path(band), **_BAND)
    yield svg.element("polyline", points=states, fill="none", **_STATE)
    yield svg.element("polyline", points=means, fill="none", **_MEAN)
    for each in layers:
        yield svg.element(
            "circle",
            svg.element("title", f"layer {each.layer}: {each.mlp.value:+.3f}"),
            class_="layer",
            cx=frame.x(each.layer),
            cy=frame.y(each.mlp.value),
            r=6 if each is best else 3,
            fill=_BLUE,
        )
    anchor, shift = ("end", -6) if best.layer > len(layers) / 2 else ("start", 6)
    x, name = frame.x(best.layer), f"layer {best.layer}"
    yield svg.line(x, _TOP, x, _BOTTOM, stroke=_BLUE, stroke_dasharray="2 3")
    bold: dict[str, object] = {"font_weight": "bold", "fill": _BLUE}
    yield svg.text(x + shift, _TOP + 14, name, text_anchor=anchor, **bold)
