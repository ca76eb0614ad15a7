"""`MasterOptimizer`: AdamW on float32 copies of what a model keeps in a narrower type.

A step of 1e-5 on a bfloat16 weight of 0.1 rounds to nothing, and a thousand of them do too. So the optimizer's weights
are float32 and the model gets them rounded. Invariants: where the model is float32 the copies are the model's own
weights and nothing is added; whoever sets a weight of the model directly (a fit, a loaded checkpoint) is followed.
Called by the learner and `warmup`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor

WEIGHT_DECAY = 0.01
"""AdamW's own default (arXiv 1711.05101)."""
NARROW = (torch.bfloat16, torch.float16)


class MasterOptimizer:
    """Takes gradients of the model's weights, steps on the masters, rounds them into the model.

    Args:
        groups: As `Policy.parameter_groups` returns them: `params`, `lr`, `name`.
        max_norm: Bound of the gradient's norm, over all groups.
    """

    def __init__(self, groups: Sequence[dict[str, object]], max_norm: float) -> None:
        self.max_norm = max_norm
        self._narrow: list[tuple[Tensor, Tensor]] = []
        copied = [
            {**group, "params": [self._master(p) for p in cast("list[Tensor]", group["params"])]} for group in groups
        ]
        self._optimizer = torch.optim.AdamW(cast(Any, copied), weight_decay=WEIGHT_DECAY)
        self._masters = [p for group in self.param_groups for p in group["params"]]

    def _master(self, weight: Tensor) -> Tensor:
        if weight.dtype not in NARROW:
            return weight
        master = weight.detach().float().requires_grad_()
        self._narrow.append((weight, master))
        return master

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """Return AdamW's groups, as every torch optimizer has them: learning rates are read and set there."""
        return self._optimizer.param_groups

    def set_rate(self, lr: float) -> None:
        """Set the learning rate of every group."""
        for group in self.param_groups:
            group["lr"] = lr

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for weight, _ in self._narrow:
            weight.grad = None
        self._optimizer.zero_grad(set_to_none=True)

    def backward(self, loss: Tensor) -> None:
        """Add the gradient of `loss`; sums over several losses are kept in float32."""
        loss.backward()
        for weight, master in self._narrow:
            if weight.grad is not None:
                master.grad = weight.grad.float() if master.grad is None else master.grad.add_(weight.grad)
                weight.grad = None

    def clip(self) -> float:
        """Bound the gradient's norm and return what it was; if that is not finite, do not `step`."""
        return float(torch.nn.utils.clip_grad_norm_(self._masters, self.max_norm))

    def norms(self) -> dict[str, float]:
        """Return the norm of the gradient of each group that has parameters, by its name or number."""
        found: dict[str, float] = {}
        for number, group in enumerate(self.param_groups):
            gradients = [one.grad for one in group["params"] if one.grad is not None]
            if group["params"]:
                name = str(group.get("name", number))
                found[name] = float(torch.nn.utils.get_total_norm(gradients)) if gradients else 0.0
        return found

    @torch.no_grad()
    def step(self) -> None:
        """Make one AdamW step and give the model the rounded weights."""
        for weight, master in self._narrow:
            if not torch.equal(weight, master.to(weight.dtype)):
                master.copy_(weight)
        self._optimizer.step()
        for weight, master in self._narrow:
            weight.copy_(master)

    def state(self) -> dict[str, Any]:
        """Return moments and masters as a tree of tensors and plain data."""
        masters = {str(index): master.detach().cpu().clone() for index, (_, master) in enumerate(self._narrow)}
        return {"adamw": self._optimizer.state_dict(), "masters": masters}

    @torch.no_grad()
    def load_state(self, state: dict[str, Any]) -> None:
        """Install what `state` returned, into the model too; learning rates stay as they are here.

        Raises:
            ValueError: It belongs to other parameters.
        """
        if not {"adamw", "masters"} <= state.keys():
            raise ValueError(f"it has {sorted(state)}, not the moments `adamw` and the float32 copies `masters`")
        shapes = {str(index): tuple(master.shape) for index, (_, master) in enumerate(self._narrow)}
        saved = {name: tuple(master.shape) for name, master in state["masters"].items()}
        if saved != shapes:
            raise ValueError(
                f"it has float32 copies of {len(saved)} weights and the model has {len(shapes)} narrow ones"
            )
        adamw = dict(state["adamw"])
        # msgpack and JSON keep keys as they were or as text; torch wants integers.
        adamw["state"] = {int(key): value for key, value in adamw["state"].items()}
        rates = [group["lr"] for group in self.param_groups]
        self._optimizer.load_state_dict(adamw)
        for group, rate in zip(self.param_groups, rates, strict=True):
            group["lr"] = rate
        for index, (weight, master) in enumerate(self._narrow):
            master.copy_(state["masters"][str(index)])
            weight.copy_(master)
