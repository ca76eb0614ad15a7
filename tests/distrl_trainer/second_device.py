"""A torch device "second" whose tensors lie in main memory but never meet the CPU's: a GPU's rules without a GPU.

What CUDA refuses is refused: an operation on tensors of two devices (but for copies, numbers without dimensions and
indices), a generator of the CPU that draws on the device, a NumPy array of a device's tensor. What it cannot show:
speed, memory, the rounding of a GPU's kernels and their order of summation. Installing it changes torch for the whole
process, so tests run it in one of their own.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.utils import _pytree as pytree
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

NAME = "second"
aten = torch.ops.aten

MAKERS = (
    aten.empty.memory_format, aten.empty_strided.default, aten.arange.default, aten.arange.start,
    aten.arange.start_step, aten.full.default, aten.zeros.default, aten.ones.default, aten.scalar_tensor.default,
    aten.eye.default, aten.eye.m, aten.rand.default, aten.randn.default,
)  # fmt: skip
"""Operations that make tensors out of nothing: they find the device by their argument alone."""

MIXED = {
    aten.copy_.default, aten._to_copy.default, aten.index.Tensor, aten.index_put_.default, aten.index_put.default,
    aten._index_put_impl_.default,
}  # fmt: skip
"""Operations that CUDA lets read tensors of the CPU too."""


class MixedDevicesError(RuntimeError):
    """What CUDA would refuse."""


class SecondTensor(torch.Tensor):
    """A tensor on the device; `raw` holds the numbers."""

    raw: torch.Tensor

    @staticmethod
    def __new__(cls, raw: torch.Tensor) -> SecondTensor:
        made = torch.Tensor._make_wrapper_subclass(
            cls, raw.size(), strides=raw.stride(), storage_offset=raw.storage_offset(), dtype=raw.dtype,
            device=torch.device(NAME, 0),
        )  # fmt: skip
        made.raw = raw
        return made

    def tolist(self) -> Any:
        """Return the numbers, which every device gives."""
        return self.raw.tolist()

    def numpy(self, *, force: bool = False) -> Any:
        """Refuse, as CUDA does."""
        raise MixedDevicesError(f"a tensor on device {NAME!r} has no NumPy array: copy it with .cpu() first")

    def untyped_storage(self) -> Any:
        """Return where the numbers lie: who saves weights asks which share memory."""
        return self.raw.untyped_storage()

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        return f"SecondTensor({self.raw!r})"

    @classmethod
    def __torch_dispatch__(cls, operation: Any, types: Any, arguments: Any = (), keywords: Any = None) -> Any:
        keywords = dict(keywords or {})
        given = pytree.tree_leaves((arguments, keywords))
        _refuse_mixture(operation, given)
        to_cpu = False
        if keywords.get("device") is not None:
            to_cpu = torch.device(keywords["device"]).type == "cpu"
            keywords["device"] = torch.device("cpu")
        here = {id(one.raw): one for one in given if isinstance(one, SecondTensor)}
        raw_arguments, raw_keywords = pytree.tree_map_only(SecondTensor, lambda one: one.raw, (arguments, keywords))
        found = operation(*raw_arguments, **raw_keywords)
        if to_cpu:
            return found
        # An operation in place returns the tensor it was given, not another one with the same numbers.
        return pytree.tree_map_only(
            torch.Tensor, lambda one: here[id(one)] if id(one) in here else SecondTensor(one), found
        )


def _refuse_mixture(operation: Any, given: list[Any]) -> None:
    strangers = [one for one in given if isinstance(one, torch.Tensor) and not isinstance(one, SecondTensor)]
    if any(one.dim() for one in strangers) and operation not in MIXED:
        shapes = [tuple(one.shape) for one in strangers]
        raise MixedDevicesError(f"{operation} got tensors of the CPU {shapes} beside tensors of device {NAME!r}")
    if any(isinstance(one, torch.Generator) for one in given):
        raise MixedDevicesError(f"{operation} on device {NAME!r} got a generator of the CPU")


class _Module:
    """What torch asks of a device's module when seeds are set."""

    def _is_in_bad_fork(self) -> bool:
        return False

    def manual_seed_all(self, seed: int) -> None:
        """Do nothing: the device draws with the CPU's generator."""

    def device_count(self) -> int:
        return 1

    def is_available(self) -> bool:
        return True

    def current_device(self) -> int:
        return 0


_kept: list[Any] = []


def install() -> None:
    """Make device "second" exist in this process."""
    _setup_privateuseone_for_python_backend(NAME, backend_module=_Module())
    library = torch.library.Library("aten", "IMPL")
    _kept.append(library)

    def maker(operation: Any) -> Any:
        def make(*arguments: Any, **keywords: Any) -> SecondTensor:
            keywords["device"] = torch.device("cpu")
            return SecondTensor(operation(*arguments, **keywords))

        return make

    def copy_from(source: torch.Tensor, target: torch.Tensor, non_blocking: bool = False) -> torch.Tensor:
        # `torch.tensor(..., device="second")` comes here, past `__torch_dispatch__`.
        raw = [one.raw if isinstance(one, SecondTensor) else one for one in (source, target)]
        raw[1].copy_(raw[0])
        return target

    library.impl(aten._copy_from.default, copy_from, "PrivateUse1")
    library.impl(aten._local_scalar_dense.default, lambda one: one.raw.item(), "PrivateUse1")
    for operation in MAKERS:
        library.impl(operation, maker(operation), "PrivateUse1")
