"""Whatever ran before in the process, a chain's record is the same, and so is what it keeps."""

from __future__ import annotations

import gc
import weakref
from copy import deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn
from transformers import cache_utils
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
from transformers.models.llama import modeling_llama

from pytest_eac import Method, Solved, load_spec, run_chain
from pytest_eac.errors import EditError, SpoiledModelError
from pytest_eac.lm.state.snapshot import Snapshot
from pytest_eac.plugin.chains import PlannedChain
from pytest_eac.plugin.options import read_options
from pytest_eac.plugin.session import EacSession
from pytest_eac.spec import registry
from pytest_eac.spec.schema.methods import MethodChoice
from pytest_eac.store import read_record
from tests.chains import timeless
from tests.conftest import TINY_LLAMA, WORLD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pytest_eac.lm.loading.load import LoadedModel
    from pytest_eac.records.run import Chain
    from pytest_eac.spec.spec import Spec
    from tests.plugin.conftest import Specs

GOOD = ("rome", "ft")
DOWN = "model.layers.1.mlp.down_proj"
LEFT: list[Any] = []  # an inference mode ends when it is forgotten


def double(_: object, __: object, output: Any) -> Any:
    return (2 * output[0], *output[1:]) if isinstance(output, tuple) else 2 * output


def _in_place(path: str) -> Callable[[LoadedModel], object]:
    def write(it: LoadedModel) -> None:
        with torch.no_grad():
            it.model.get_submodule(path).weight.mul_(2)

    return write


def _past_autograd(it: LoadedModel) -> None:
    it.model.model.norm.weight.data.mul_(2)


def _and_back(it: LoadedModel) -> None:
    with torch.no_grad():
        it.model.model.norm.weight.mul_(2).div_(2)


def _original(it: LoadedModel) -> None:
    """Write into what the chain restores from."""
    raise AssertionError("see `solve`")


def _midway(it: LoadedModel) -> None:
    it.model.model.norm.register_forward_hook(double)
    raise EditError("no luck")


def _libraries(_: LoadedModel) -> None:
    """Replace code that no class of the model inherits from, and that leaves no trace on it."""
    update, step = cache_utils.DynamicLayer.update, torch.optim.Adam.step

    def doubled(layer: Any, *states: Any, **more: Any) -> Any:
        keys, values = update(layer, *states, **more)
        return keys, 2 * values

    setattr(cache_utils.DynamicLayer, "update", doubled)  # noqa: B010 - mypy
    setattr(torch.optim.Adam, "step", lambda it, *_: step(it) or step(it))  # noqa: B010
    ALL_MASK_ATTENTION_FUNCTIONS.register("sdpa", lambda *_, **__: None)
    rewritten: Any = modeling_llama.rotate_half
    rewritten.__code__ = (lambda x: x).__code__


def _set(holder: str, name: str, value: object) -> Callable[[LoadedModel], object]:
    def change(it: LoadedModel) -> None:
        target: Any = it
        for part in holder.split("."):
            target = getattr(target, part)
        setattr(target, name, value)

    return change


def _grad(it: LoadedModel) -> None:
    weight = it.model.model.norm.weight
    weight.grad = torch.ones_like(weight)


BAD: dict[str, Callable[[LoadedModel], object]] = {
    "a forward hook": lambda it: it.model.model.norm.register_forward_hook(double),
    "a module swapped": lambda it: setattr(it.model.model.layers[0].mlp, "act_fn", nn.Tanh()),
    "the edited module swapped": lambda it: setattr(
        it.model.model.layers[1].mlp, "down_proj", nn.Linear(176, 64, bias=False)
    ),
    "a module deleted": lambda it: delattr(it.model.model.layers[1].mlp, "down_proj"),
    "a buffer": lambda it: it.model.model.rotary_emb.inv_freq.mul_(2),
    "the configuration": _set("model.config", "output_hidden_states", value=True),
    "a gradient flag": lambda it: it.model.requires_grad_(),
    "a gradient": _grad,
    "another dtype": lambda it: it.model.to(torch.bfloat16),
    "training mode": lambda it: it.model.train(),
    "the attention implementation": lambda it: it.model.set_attn_implementation("eager"),
    "the generation configuration": _set("model.generation_config", "eos_token_id", 5),
    "forward patched": lambda it: setattr(it.model.model.norm, "forward", lambda states: states),
    "a weight that is not declared": _in_place("model.norm"),
    "a declared weight": _in_place(DOWN),
    "a weight written past autograd": _past_autograd,
    "a weight written and written back": _and_back,
    "the weights to restore from": _original,
    "the tokenizer's padding side": _set("tokenizer", "padding_side", "left"),
    "the tokenizer's normalizer": lambda it: setattr(
        it.tokenizer.backend_tokenizer, "normalizer", _lowercase()
    ),
    "a hook, and an error": _midway,
    "a hook on all modules": lambda _: nn.modules.module.register_module_forward_hook(
        lambda module, *rest: double(module, *rest) if isinstance(module, nn.SiLU) else None
    ),
    "the default dtype": lambda _: torch.set_default_dtype(torch.float64),
    "the gradient mode": lambda _: torch.set_grad_enabled(False),
    "inference mode": lambda _: _enter_inference_mode(),
    "a patched class": lambda _: setattr(
        modeling_llama.LlamaRMSNorm, "forward", lambda _, states: states
    ),
    "patched libraries": _libraries,
}


def _enter_inference_mode() -> None:
    LEFT.append(torch.inference_mode())
    LEFT[-1].__enter__()


def _lowercase() -> object:
    from tokenizers.normalizers import Lowercase

    return Lowercase()


@pytest.fixture(autouse=True)
def loads(tiny_llama: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Load the model by copying it, which is faster; what is left behind here does not get out.

    Yields:
        A weak reference to each model that has been loaded.
    """
    models: list[Any] = []

    def load(*_: object, **__: object) -> LoadedModel:
        if any(each() for each in models):
            gc.collect()
        assert not any(each() for each in models), "two models are held at once"
        model, tokenizer = deepcopy(tiny_llama.model), deepcopy(tiny_llama.tokenizer)
        models.append(weakref.ref(model))
        return replace(tiny_llama, model=model, tokenizer=tokenizer)

    monkeypatch.setattr("pytest_eac.lm.loading.load.load_model", load)
    process = Snapshot(tiny_llama)
    yield models
    registry.forget()
    process.put_back()


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Spec:
    path = tmp_path_factory.mktemp("spec") / "small.eac.yaml"
    path.write_text(
        f"""eac: 1
model: {TINY_LLAMA}
methods:
  - rome: {{base: rome, layers: [1], contexts: {{lengths: [[2, 1]]}}, value: {{steps: 2}},
           covariance: {{corpus: {WORLD}, column: prompt, ridge: 1.0}}}}
  - ft: {{base: ft, layers: [1], update: {{steps: 1}}}}
edits: [{{from: {WORLD}, format: jsonl, take: 2}}]
""",
        encoding="utf-8",
    )
    return load_spec(path)


def session(pytester: pytest.Pytester, cache: Path) -> EacSession:
    config = pytester.parseconfig(f"--eac-cache-dir={cache}")
    return EacSession(config, read_options(config))


def run(eac: EacSession, spec: Spec, name: str) -> Chain:
    """Return what a chain measured, without times, memory and where it comes from."""
    methods = {method.name: method for method in spec.methods}
    return timeless(eac.verdicts.chain(PlannedChain(spec=spec, method=methods[name], seed=0)))


@pytest.fixture(scope="module")
def clean(tiny_llama: LoadedModel, spec: Spec) -> dict[str, Chain]:
    """What the good chains measure on a model that nobody has touched, without a cache."""
    found = {}
    for method in spec.methods:
        chain = run_chain(tiny_llama, spec, method)
        costs = [replace(each, seconds=0, peak_bytes=0) for each in chain.per_edit]
        found[method.name] = replace(chain, seconds=0, per_edit=tuple(costs))
    return found


def bring(spec: Spec, what: str) -> Spec:
    """Return the spec with a method in front that leaves ``what`` behind."""

    def solve(loaded: LoadedModel, edits: Any, settings: Any, work: Any) -> Solved:
        if BAD[what] is _original:
            work.originals[DOWN].mul_(2)
        else:
            BAD[what](loaded)
        return Solved(deltas=())

    registry.register(registry.METHODS, "bad", Method(solve=solve))
    choice = MethodChoice.model_validate({"base": "bad", "layers": (1,)})
    bad = replace(spec.methods[0], name="bad", choice=choice)
    return replace(spec, methods=(bad, *spec.methods))


# One of each way to find them; each kind by itself is in tests/lm/test_snapshot.py.
FAST = {
    "a forward hook",
    "a module deleted",
    "a buffer",
    "the attention implementation",
    "a weight written past autograd",
    "the weights to restore from",
    "the tokenizer's normalizer",
    "a hook, and an error",
    "a hook on all modules",
    "the default dtype",
    "a patched class",
    "patched libraries",
}


@pytest.mark.parametrize(
    "what",
    [pytest.param(each, marks=() if each in FAST else pytest.mark.slow) for each in BAD],
)
def test_chains_after_a_method_that_misbehaves_are_as_without_it(
    pytester: pytest.Pytester,
    spec: Spec,
    clean: dict[str, Chain],
    loads: list[Any],
    tmp_path: Path,
    what: str,
) -> None:
    tried = bring(spec, what)
    for order in (GOOD, GOOD[::-1]):  # the second of these with what the first has kept
        loads.clear()
        eac = session(pytester, tmp_path / "cache")
        with pytest.raises(SpoiledModelError, match="eac-method=bad"):
            run(eac, tried, "bad")
        for name in order:
            assert run(eac, tried, name) == clean[name]
        assert len(loads) == 2
        assert [chain.method for chain in eac.record().chains] == list(order)


METRIC = """
import torch
from torch import nn

def nothing(*_):
    pass

def norm(loaded, edits):
    {bad}
    return 1.0

def pytest_eac_register_metrics():
    return {{"norm": norm}}

def skill(loaded):
    {worse}
    return [1.0]

def pytest_eac_register_abilities():
    return {{"skill": skill}}
"""
PATCH = "from transformers import cache_utils; cache_utils.DynamicLayer.update = nothing"
HOOK = "loaded.model.model.norm.register_forward_hook(lambda *_: None)"


@pytest.mark.parametrize(
    ("bad", "worse", "said"),
    [
        (HOOK, "pass", "metric 'norm': it changed what it must leave as it was: forward hooks of "),
        (
            "loaded.model.model.norm.weight.data += 1",
            "pass",
            "metric 'norm': it changed what it must leave as it was: the values of model.norm",
        ),
        ("pass", HOOK, "ability 'skill': it changed what it must leave as it was: forward hooks "),
        (PATCH, "pass", "metric 'norm': it changed what it must leave as it was: DynamicLayer.upd"),
    ],
)
def test_a_metric_or_ability_that_misbehaves_is_blamed(
    specs: Specs, bad: str, worse: str, said: str
) -> None:
    specs.pytester.makeconftest(METRIC.format(bad=bad, worse=worse))
    specs.write(
        "{metrics: {norm: {min: 0}}, abilities: {skill: {keep: 0.5}}}",
        methods="[m: {base: ft, layers: [1], update: {steps: 1}}]",
    )
    result = specs.run("--eac-results=results.json")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines([f"*{said}*".replace("[", "[[]")])
    assert read_record(specs.pytester.path / "results.json").chains == ()
