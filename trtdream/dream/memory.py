"""How large a tile a dream may take, to keep within a given memory."""

from __future__ import annotations

from trtdream.dream.objectives import Objective
from trtdream.dream.octaves import Size
from trtdream.dream.tiles import Tiling
from trtdream.errors import TrtdreamError
from trtdream.net.graph import Graph
from trtdream.net.kind import Kind
from trtdream.net.kinds.lrn import LRN
from trtdream.net.kinds.pooling import Method, Pooling
from trtdream.net.shapes import infer_shapes
from trtdream.recipe.dream_schema import Settings

NUMBER = 4  # bytes
KEPT = {"max pool": 3, "LRN": 3}
"""How many numbers are kept until gradients have been taken, for each that a layer computes.

A max pool's winners are whole numbers of 8 bytes, LRN keeps its divisors; of the others the top alone is kept, and of
what works in place not even that.
"""
PASSING = 4
"""How many blobs as large as the largest top come and go besides, as gradients are taken."""
BYTES_PER_PIXEL = 60
"""The picture, its levels, its roll and its gradient, at 12 bytes a copy.

Measured of 4096 x 4096, one octave of plain steps on a CPU: 44.5, a small tile counted in. Three octaves of
8192 x 8192 up to conv1/7x7_s2, kept within 6 GiB, peaked at 5.1.
"""
COPY = 3 * NUMBER  # bytes of a pixel
COPIES = {"momentum": 1, "adam": 2, "laplacian": 5, "tv": 1, "mask": 1}
"""What settings hold besides, as counted in `ascent` and `normalise`; not measured."""
PROGRAM = 450 * 2**20
"""torch, the weights, the program, and what the convolutions' library keeps."""


def bytes_held(size: Size, settings: Settings) -> int:
    """What a picture of that size takes through all its octaves, whatever the network sees of it at once."""
    asked = {settings.ascent, settings.normalise, "tv" if settings.tv else "", "mask" if settings.mask else ""}
    copies = sum(count for name, count in COPIES.items() if name in asked)
    return (BYTES_PER_PIXEL + COPY * copies) * size[0] * size[1]


def bytes_needed(graph: Graph, objective: Objective, piece: Size, held: int) -> int:
    """What dreaming takes, for a picture that takes `held` bytes and whose network sees a `piece` at once.

    Measured on a CPU for pieces of 1024 to 1600 pixels a side, for each of their pixels: 192 bytes up to GoogLeNet's
    conv1/7x7_s2, 304 to conv2/3x3, 631 to inception_3b/output, 754 to inception_4c/output; this gives 320, 480, 853
    and 1000.
    """
    layers = infer_shapes(graph, {graph.inputs[0]: (1, 3, *piece)}, sorted(objective.values))
    kept = sum(_kept(layer.step.layer.kind) * layer.activations for layer in layers)
    largest = max(layer.activations for layer in layers)
    return PROGRAM + held + NUMBER * (kept + PASSING * largest)


def _kept(kind: Kind) -> int:
    if kind.can_overwrite:
        return 0
    if isinstance(kind, Pooling) and kind.pool is Method.MAX:
        return KEPT["max pool"]
    return KEPT["LRN"] if isinstance(kind, LRN) else 1


def pick_tile(graph: Graph, objective: Objective, size: Size, held: int, memory: int) -> int:
    """The side of the largest tile that keeps an octave within `memory` bytes; 0 if it fits whole.

    Args:
        size: of the octave.
        held: bytes that the picture takes (see `bytes_held`): the larger octaves wait beside this one.

    Raises:
        UsageError: it does not fit whole, and the objective cannot be tiled.
        TrtdreamError: not even the smallest tile fits.
    """
    if bytes_needed(graph, objective, size, held) <= memory:
        return 0
    tiling = Tiling.of(graph, objective)
    align = max(tiling.align)

    def needed(tile: int) -> int:
        piece = (min(tile + tiling.halo[0], size[0]), min(tile + tiling.halo[1], size[1]))
        return bytes_needed(graph, objective, piece, held)

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
