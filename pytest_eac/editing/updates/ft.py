"""Fine-tuning the edited matrices by gradient descent, free or within a ball."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from pytest_eac.errors import NonFiniteError
from pytest_eac.spec.registry_entries import Method
from pytest_eac.spec.types import Positive, Steps, Strict

if TYPE_CHECKING:
    from torch import Tensor

    from pytest_eac.editing.interface import Solved, Work
    from pytest_eac.lm.loading.load import LoadedModel
    from pytest_eac.spec.edits import Edit
    from pytest_eac.spec.schema.settings import MethodSettings

# The published baseline's: the search stops once the mean loss is below this.
_STOP_LOSS = 1e-2


class FtOptions(Strict):
    """Options of fine-tuning."""

    steps: Steps = Field(25, description="Largest number of gradient steps")
    learning_rate: Positive = Field(5e-4, description="Adam's learning rate")
    objective: Literal["target_new", "prompt_last"] = Field(
        "target_new",
        description="target_new: each token of the target is predicted after those before it; "
        "prompt_last: all of them at the prompt's last token, as in the first published FT-L",
    )


class FtLOptions(FtOptions):
    """Options of fine-tuning within a ball."""

    radius: Positive = Field(5e-4, description="Largest change of any entry of the matrix")


def fine_tune(
    loaded: LoadedModel, edits: tuple[Edit, ...], settings: MethodSettings, _: Work
) -> Solved:
    """Minimise the mean NLL of the targets' tokens after the bare prompts, by Adam.

    With ``radius`` (FT-L) every entry stays within that distance of where this update began.

    Raises:
        NonFiniteError: the loss is NaN or infinite.

    Source: the FT and FT-L baselines of Meng et al. 2022 (learning rate 5e-4, 25 steps, stop at
    1e-2). Their code reads every token of the target at the prompt's last token, which is
    ``objective: prompt_last``. The default is EasyEdit's ``target_new``, by which targets of
    several tokens are learnt in order.
    """
    import torch

    from pytest_eac.editing.interface import Solved
    from pytest_eac.editing.layers import edited_modules
    from pytest_eac.editing.loss import TargetLoss
    from pytest_eac.lm.layout import as_out_in, find_module
    from pytest_eac.lm.weights import WeightDelta

    options: FtOptions = settings.update
    radius = options.radius if isinstance(options, FtLOptions) else None
    paths = edited_modules(loaded, settings)
    weights: dict[str, Tensor] = {
        path: find_module(loaded.model, path).weight  # type: ignore[misc]
        for path in paths
    }
    changes = {
        path: torch.zeros_like(weight, dtype=torch.float32, requires_grad=True)
        for path, weight in weights.items()
    }
    optimizer = torch.optim.Adam(list(changes.values()), lr=options.learning_rate)
    loss_of = TargetLoss(loaded, edits, at_prompt=options.objective == "prompt_last")
    losses: list[float] = []
    for _step in range(options.steps):
        moved = {
            f"{path}.weight": (weight.float() + changes[path]).to(weight.dtype)
            for path, weight in weights.items()
        }
        loss = loss_of(moved)
        if not bool(torch.isfinite(loss)):
            raise NonFiniteError(f"the loss is {loss.item()} at step {len(losses) + 1}")
        losses.append(float(loss.detach()))
        if losses[-1] < _STOP_LOSS:
            break
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if radius is not None:
            with torch.no_grad():
                for change in changes.values():
                    change.clamp_(-radius, radius)
    deltas = tuple(
        WeightDelta(
            module=path, left=as_out_in(change.detach(), find_module(loaded.model, path)).clone()
        )
        for path, change in changes.items()
    )
    return Solved(deltas=deltas, losses=tuple(losses))


FT = Method(
    solve="pytest_eac.editing.updates.ft:fine_tune",
    source="the FT baseline of Meng et al. 2022, arXiv 2202.05262",
    many_layers=False,
    update=FtOptions,
)
FT_L = replace(
    FT,
    source="the constrained FT baseline, Zhu et al. 2020, arXiv 2012.00363",
    update=FtLOptions,
)
