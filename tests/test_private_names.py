"""Names of other libraries that they do not promise are there, in the installed versions."""

from __future__ import annotations

import inspect

import pytest
import torch
from torch import nn
from torch.nn.modules import module as torch_module
from transformers import AttentionInterface, GenerationConfig, LlamaConfig

from pytest_eac.lm import transformers_private
from pytest_eac.lm.state import torch_private
from pytest_eac.pytest_private import ending, settings_for


def test_pytest_reads_settings_and_ends_a_configuration(pytester: pytest.Pytester) -> None:
    file = pytester.makeini("[pytest]\nxfail_strict = true\n")
    config = pytester.parseconfig()
    found, settings = settings_for(config, [str(pytester.path)])
    assert found == file
    assert "xfail_strict" in str(settings)
    ending(config)()


def test_modules_and_tensors_have_their_private_parts() -> None:
    layer = nn.Linear(2, 2)
    for name in (*torch_private.HOOKS, *torch_private.PARTS):
        assert isinstance(getattr(layer, name), dict)
    assert all(hasattr(torch_module, name) for name in torch_private.GLOBAL_HOOKS)
    assert len(torch_private.GLOBAL_HOOKS) >= 6
    assert torch_private.hooks_of_tensor(layer.weight) is None
    before = torch_private.version_of(layer.weight)
    with torch.no_grad():
        layer.weight.add_(1)
    assert torch_private.version_of(layer.weight) == before + 1


def test_torch_says_what_is_set_for_the_process() -> None:
    assert torch_private.default_device() is None
    torch.set_default_device("cpu")
    try:
        assert str(torch_private.default_device()) == "cpu"
        assert torch_private.function_modes() == 1
    finally:
        torch.set_default_device(None)
    assert torch_private.dispatch_modes() == 0
    assert callable(torch_private.pop_function_mode)
    assert callable(torch_private.pop_dispatch_mode)


def test_transformers_has_its_private_names() -> None:
    config = LlamaConfig(attn_implementation="eager")
    assert transformers_private.unwritten_settings(config)["attn_implementation"] == "eager"
    assert hasattr(AttentionInterface(), transformers_private.LOCAL_ENTRIES)
    assert "_from_model_config" in inspect.getsource(GenerationConfig)
    assert transformers_private.generation_defaults()


def test_transformers_marks_the_hooks_that_it_adds_itself() -> None:
    module = pytest.importorskip(transformers_private.CAPTURING_HOOKS)  # older ones add no hooks
    assert transformers_private.CAPTURING_FLAG in inspect.getsource(module)


def test_model_signing_has_the_parts_that_verify() -> None:
    pytest.importorskip("model_signing")
    from model_signing._signing.sign_ec_key import Verifier
    from model_signing._signing.sign_sigstore_pb import Signature

    assert callable(Signature.read)
    assert callable(Verifier.verify)


def test_xdist_calls_what_the_scheduler_overrides() -> None:
    scheduling = pytest.importorskip("xdist.scheduler").LoadScopeScheduling
    names = ("_split_scope", "_reschedule", "_assign_work_unit")
    assert all(callable(getattr(scheduling, name)) for name in names)
