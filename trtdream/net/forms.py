"""Other forms of the same layers: equal in real arithmetic, faster on some devices.

The layers' own forms are the reference; `Forms()` without arguments is nothing but them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

from trtdream.net.graph import Step
from trtdream.net.kind import Kind, Phase
from trtdream.net.kinds.convolution import Convolution
from trtdream.net.kinds.inner_product import InnerProduct
from trtdream.net.kinds.lrn import LRN, Region
from trtdream.net.kinds.pooling import Method, Pooling

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Forms:
    """Which forms a `TorchNet` computes with.

    merge_branches: convolutions of one geometry that read one value as one convolution.
    space_to_depth: a strided convolution on a picture as one of stride 1 on more channels.
    gradient_by_depth: of such a convolution the gradient to the picture in that way, on a CPU.
    split_groups: a grouped convolution as one convolution a group.
    weight_first: an inner product with the weights as the left factor, on a CPU in float32.
    gradients: the type, by torch's name, in which gradients go back through convolutions with frozen weights; the
        values stay what they are. "": the values' own.
    triton_lrn, triton_max_pool: the kernels of `trtdream.net.kernels`, which need a GPU (or Triton's interpreter).
    """

    merge_branches: bool = False
    space_to_depth: bool = False
    gradient_by_depth: bool = False
    split_groups: bool = False
    weight_first: bool = False
    gradients: str = ""
    triton_lrn: bool = False
    triton_max_pool: bool = False

    def names(self) -> list[str]:
        """Those that are on."""
        return [field.name for field in fields(self) if getattr(self, field.name)]


def in_form(step: Step, forms: Forms) -> Step:
    """The step with its layer's kind in the form asked for; itself where that has none."""
    kind = _form_of(step.layer.kind, forms)
    return step if kind is step.layer.kind else replace(step, layer=replace(step.layer, kind=kind))


def _form_of(kind: Kind, forms: Forms) -> Kind:
    match kind:
        case Convolution() if forms.gradients:
            return _as(NarrowConvolution, kind, gradients=forms.gradients)
        case Convolution() if forms.space_to_depth and _is_strided(kind):
            return _as(_DepthConvolution, kind)
        case Convolution() if forms.gradient_by_depth and _is_strided(kind):
            return _as(_DepthGradientConvolution, kind)
        case Convolution() if forms.split_groups and kind.group > 1:
            return _as(_SplitConvolution, kind)
        case InnerProduct(transpose=False) if forms.weight_first:
            return _as(_WeightFirstProduct, kind)
        case LRN(norm_region=Region.ACROSS_CHANNELS) if forms.triton_lrn:
            return _as(_TritonLRN, kind)
        case Pooling(pool=Method.MAX) if forms.triton_max_pool:
            return _as(_TritonMaxPooling, kind)
    return kind


def _is_strided(kind: Convolution) -> bool:
    return kind.group == 1 and min(kind.strides) > 1 and kind.dilations == (1, 1)


def _as(form: type[Kind], kind: Kind, **more: str) -> Kind:
    return form(**{field.name: getattr(kind, field.name) for field in fields(kind)}, **more)


@dataclass(frozen=True)
class NarrowConvolution(Convolution):
    """Gradients go back through it in another type.

    Its filters in that type stand last among its weights, for they are made but once; see `Planned.narrow`.
    """

    gradients: str = ""

    def forward(
        self, bottoms: Sequence[Tensor], weights: Sequence[Tensor], phase: Phase, tops: int
    ) -> Sequence[Tensor]:
        from trtdream.net.maths.convolution import conv2d_with_narrow_gradient

        if weights[0].requires_grad:
            return super().forward(bottoms, weights, phase, tops)
        geometry = self.strides, self.pads, self.dilations, self.group
        bias = weights[1] if self.bias_term else None
        return [conv2d_with_narrow_gradient(x, weights[0], bias, weights[-1], *geometry) for x in bottoms]


_PICTURE_CHANNELS = 4  # on deeper maps the rearrangement gains nothing


@dataclass(frozen=True)
class _DepthConvolution(Convolution):
    def forward(
        self, bottoms: Sequence[Tensor], weights: Sequence[Tensor], phase: Phase, tops: int
    ) -> Sequence[Tensor]:
        from trtdream.net.maths.depth import conv2d_by_depth

        if bottoms[0].shape[1] > _PICTURE_CHANNELS:
            return super().forward(bottoms, weights, phase, tops)
        bias = weights[1] if self.bias_term else None
        return [conv2d_by_depth(x, weights[0], bias, self.strides, self.pads) for x in bottoms]


@dataclass(frozen=True)
class _DepthGradientConvolution(Convolution):
    def forward(
        self, bottoms: Sequence[Tensor], weights: Sequence[Tensor], phase: Phase, tops: int
    ) -> Sequence[Tensor]:
        from trtdream.net.maths.depth import conv2d_with_gradient_by_depth

        x = bottoms[0]
        if not x.requires_grad or x.device.type != "cpu" or x.shape[1] > _PICTURE_CHANNELS:
            return super().forward(bottoms, weights, phase, tops)
        bias = weights[1] if self.bias_term else None
        return [conv2d_with_gradient_by_depth(x, weights[0], bias, self.strides, self.pads) for x in bottoms]


@dataclass(frozen=True)
class _SplitConvolution(Convolution):
    def forward(
        self, bottoms: Sequence[Tensor], weights: Sequence[Tensor], phase: Phase, tops: int
    ) -> Sequence[Tensor]:
        from trtdream.net.maths.convolution import conv2d_by_group

        bias = weights[1] if self.bias_term else None
        geometry = self.strides, self.pads, self.dilations, self.group
        return [conv2d_by_group(x, weights[0], bias, *geometry) for x in bottoms]


@dataclass(frozen=True)
class _WeightFirstProduct(InnerProduct):
    def _product(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        import torch

        from trtdream.net.maths.inner_product import linear_weight_first

        plain = x.dim() != 2 or x.device.type != "cpu" or x.dtype != torch.float32 or torch.compiler.is_compiling()
        return super()._product(x, weight, bias) if plain else linear_weight_first(x, weight, bias)


@dataclass(frozen=True)
class _TritonLRN(LRN):
    def forward(
        self, bottoms: Sequence[Tensor], weights: Sequence[Tensor], phase: Phase, tops: int
    ) -> Sequence[Tensor]:
        from trtdream.net.kernels.launch import takes
        from trtdream.net.kernels.lrn import across_channels

        if not takes(bottoms[0]):
            return super().forward(bottoms, weights, phase, tops)
        return [across_channels(bottoms[0], self.local_size, self.alpha, self.beta, self.k)]


@dataclass(frozen=True)
class _TritonMaxPooling(Pooling):
    def forward(
        self, bottoms: Sequence[Tensor], weights: Sequence[Tensor], phase: Phase, tops: int
    ) -> Sequence[Tensor]:
        from trtdream.net.kernels.max_pool import max_pool, takes

        window = self.window(tuple(bottoms[0].shape))
        if tops == 2 or not takes(bottoms[0], window):
            return super().forward(bottoms, weights, phase, tops)
        return [max_pool(bottoms[0], window)]
