from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_eac.cache.entries import Cache
from pytest_eac.editing.covariance import second_moments
from pytest_eac.spec.schema.settings import CovarianceSettings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pytest_eac.editing.moment import Moment
    from pytest_eac.lm.loading.load import LoadedModel


@pytest.fixture(scope="session")
def world_texts(world_records: list[dict[str, Any]]) -> list[str]:
    """What the world's edits say before they are made, and their neighbours: some 3,700 tokens."""
    texts = []
    for each in world_records:
        prompts = [each["prompt"].replace("{}", each["subject"]), *each["paraphrases"]]
        texts += [f"{prompt} {each['truth']}." for prompt in prompts]
        texts += [f"{near['prompt']} {near['answer']}." for near in each["neighborhood"]]
    return texts


@pytest.fixture(scope="session")
def world_corpus(world_texts: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("corpus") / "world.txt"
    path.write_text("\n\n".join(world_texts), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def moments(tiny: LoadedModel, world_corpus: Path) -> Mapping[str, Moment]:
    """Second moments of the inputs of layers 1 and 2, over the world's text."""
    return _moments(tiny, world_corpus)


@pytest.fixture(scope="session")
def llama_moments(tiny_llama: LoadedModel, world_corpus: Path) -> Mapping[str, Moment]:
    return _moments(tiny_llama, world_corpus)


def _moments(loaded: LoadedModel, corpus: Path) -> Mapping[str, Moment]:
    settings = CovarianceSettings(corpus=str(corpus), ridge=1.0)
    paths = [loaded.layout.down.format(layer) for layer in (1, 2)]
    return second_moments(loaded, paths, settings, cache=Cache(corpus.parent))
