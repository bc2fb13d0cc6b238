"""What others measured, with the source and what exactly was measured."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """A published time of one image.

    part is forward, backward, forward + backward, step (data, forward, backward and update) or "inference" with its
    precision; batch is None where the source does not tell.
    """

    network: str
    part: str
    batch: int | None
    ms_per_image: float
    where: str
    source: str


_IMAGENET = "BVLC/caffe: examples/imagenet/readme.md"
_GOOGLENET = "BVLC/caffe: models/bvlc_googlenet/readme.md"
_CONVNETS = "soumith/convnet-benchmarks: README.md"
_P40 = "Dell's white paper on the P40 and TensorRT"
_PASCAL = "lbin/gie_int8_sample: README.md"
FIGURES = (
    Figure("caffenet", "step", 256, 26.5e3 / 20 / 256, "K40, 2014", _IMAGENET),
    Figure("caffenet", "step", 256, 36e3 / 20 / 256, "K20, 2014", _IMAGENET),
    Figure("caffenet", "forward", 256, 2.0, "K40, 2014", _IMAGENET),
    Figure("googlenet", "forward", 128, 562.841 / 128, "K40c, cuDNN", _GOOGLENET),
    Figure("googlenet", "backward", 128, 1123.84 / 128, "K40c, cuDNN", _GOOGLENET),
    Figure("googlenet", "forward + backward", 128, 1688.8 / 128, "K40c, cuDNN", _GOOGLENET),
    Figure("googlenet", "forward + backward", 128, 1935 / 128, "Titan X, Caffe", _CONVNETS),
    Figure("googlenet", "forward + backward", 128, 230 / 128, "Titan X, neon fp16", _CONVNETS),
    Figure("googlenet", "inference fp32", 128, 1e3 / 1446, "M40, TensorRT", _P40),
    Figure("googlenet", "inference fp32", 128, 1e3 / 2215, "P40, TensorRT", _P40),
    Figure("googlenet", "inference fp32", 64, 0.395, "Titan X Pascal, TensorRT", _PASCAL),
    Figure("googlenet", "inference int8", 1, 1e3 / 594, "P40, TensorRT", _P40),
    Figure("googlenet", "inference int8", 128, 1e3 / 6410, "P40, TensorRT", _P40),
    Figure("googlenet", "inference int8", 64, 0.147, "Titan X Pascal, TensorRT", _PASCAL),
    Figure("dream", "picture 540 x 360", None, 1000.0, "K20", "graphific/DeepDreamVideo: README.md"),
)


def figures(network: str, part: str) -> tuple[Figure, ...]:
    """The published figures of that network and part."""
    return tuple(figure for figure in FIGURES if (figure.network, figure.part) == (network, part))


def comparable(figure: Figure, batch: int) -> bool:
    """Whether a ratio may stand beside the figure: only the same work on a batch of the same size is the same."""
    return figure.batch == batch
