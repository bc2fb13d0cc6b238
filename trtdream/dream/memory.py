"""How large a tile a dream may take, to keep within a given memory."""

from __future__ import annotations

from trtdream.dream.objectives import Objective
from trtdream.dream.octaves import Size
from trtdream.dream.tiles import Tiling
from trtdream.errors import TrtdreamError
from trtdream.net.graph import Graph
from trtdream.net.shapes import infer_shapes

# Measured on a CPU as peak resident memory, GoogLeNet up to conv2/3x3, inception_3b/output and inception_4c/output,
# 400 to 800 pixels a side: 2.6 to 7.5 bytes for each number that the layers' tops hold.
BYTES_PER_ACTIVATION = 8
BYTES_PER_PIXEL = 130
"""The picture itself, base, dream, gradient and what goes from one to the other, at 12 bytes a copy.

Measured with freed memory given back: about 90 at 2048 x 2048, 123 at 4096 x 4096.
"""
PROGRAM = 400 * 2**20
"""torch, the weights and the program."""


def bytes_needed(graph: Graph, objective: Objective, piece: Size, size: Size, itemsize: int = 4) -> int:
    """What dreaming takes, for a picture of `size` whose network sees a `piece` at once."""
    inputs = {graph.inputs[0]: (1, 3, *piece)}
    numbers = sum(shapes.activations for shapes in infer_shapes(graph, inputs, sorted(objective.values)))
    return PROGRAM + BYTES_PER_PIXEL * size[0] * size[1] + numbers * BYTES_PER_ACTIVATION * itemsize // 4


def pick_tile(graph: Graph, objective: Objective, size: Size, memory: int, itemsize: int = 4) -> int:
    """The side of the largest tile that keeps a picture of `size` within `memory` bytes; 0 if it fits whole.

    Raises:
        UsageError: it does not fit whole, and the objective cannot be tiled.
        TrtdreamError: not even the smallest tile fits.
    """
    if bytes_needed(graph, objective, size, size, itemsize) <= memory:
        return 0
    tiling = Tiling.of(graph, objective)
    align = max(tiling.align)

    def needed(tile: int) -> int:
        piece = (min(tile + tiling.halo[0], size[0]), min(tile + tiling.halo[1], size[1]))
        return bytes_needed(graph, objective, piece, size, itemsize)

    least = -(-64 // align) * align
    if needed(least) > memory:
        raise TrtdreamError(
            f"{size[1]} x {size[0]} takes {needed(least) / 2**30:.2f} GiB in the smallest tiles,"
            f" more than the {memory / 2**30:.2f} GiB allowed"
        )
    tile = least
    while tile < max(size) and needed(tile + align) <= memory:
        tile += align
    return tile
