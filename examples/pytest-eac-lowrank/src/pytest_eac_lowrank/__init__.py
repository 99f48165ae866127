"""``low-rank-ft`` for pytest-eac: what a spec can be checked by, without loading torch."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from pytest_eac import Method


class LowRankOptions(BaseModel):
    """What a spec may say under ``options:``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rank: int = Field(4, ge=1, description="Rank of the change of each edited matrix.")
    steps: int = Field(50, ge=1, description="Largest number of gradient steps.")
    learning_rate: float = Field(0.01, gt=0, description="Adam's learning rate.")


METHOD = Method(
    solve="pytest_eac_lowrank.solve:low_rank_fine_tune",
    source="an example of pytest-eac (docs/extend.md)",
    options=LowRankOptions,
)
