"""What others measured, with the source and what exactly was measured."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """A published time of one image.

    part is forward, backward, forward + backward, or step (data, forward, backward and update); batch is None where
    the source does not tell.
    """

    network: str
    part: str
    batch: int | None
    ms_per_image: float
    where: str
    source: str


_CAFFE = "BVLC/caffe"
FIGURES = (
    Figure("caffenet", "step", 256, 26.5e3 / 20 / 256, "K40, 2014", f"{_CAFFE}: examples/imagenet/readme.md"),
    Figure("caffenet", "step", 256, 36e3 / 20 / 256, "K20, 2014", f"{_CAFFE}: examples/imagenet/readme.md"),
    Figure("caffenet", "forward", 256, 2.0, "K40, 2014", f"{_CAFFE}: examples/imagenet/readme.md"),
    Figure("googlenet", "forward", 128, 562.841 / 128, "K40c, cuDNN", f"{_CAFFE}: models/bvlc_googlenet/readme.md"),
    Figure("googlenet", "backward", 128, 1123.84 / 128, "K40c, cuDNN", f"{_CAFFE}: models/bvlc_googlenet/readme.md"),
    Figure(
        "googlenet",
        "forward + backward",
        128,
        1688.8 / 128,
        "K40c, cuDNN",
        f"{_CAFFE}: models/bvlc_googlenet/readme.md",
    ),
    Figure("dream", "picture 540 x 360", None, 1000.0, "K20", "graphific/DeepDreamVideo: README.md"),
)


def figures(network: str, part: str) -> tuple[Figure, ...]:
    """The published figures of that network and part."""
    return tuple(figure for figure in FIGURES if (figure.network, figure.part) == (network, part))


def comparable(figure: Figure, batch: int) -> bool:
    """Whether a ratio may stand beside the figure: only the same work on a batch of the same size is the same."""
    return figure.batch == batch
