"""A picture's gradient a tile at a time: the same gradient, in memory that a tile needs.

The places of the values that an objective looks at are dealt out to blocks, and of each block the gradient is taken
through its own piece of the picture: the block and all that its places are made of. A place whose receptive field lies
within the piece is what it is in the whole picture, for the piece starts at a multiple of the network's strides, and
padding comes in only where the picture itself ends. The blocks' gradients add up to the picture's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import lcm

import torch
from torch import Tensor

from trtdream.dream.engine import WholeEngine, uphill
from trtdream.dream.objectives import Objective, Part, Values
from trtdream.errors import TrtdreamError, UsageError
from trtdream.net.graph import Graph
from trtdream.net.receptive import Field, receptive_fields
from trtdream.net.shapes import infer_shapes
from trtdream.net.torch_module import TorchNet

Span = tuple[int, int]


@dataclass(frozen=True)
class Tile:
    """A piece of the picture, rows and columns from and to, and the places of each value that it answers for."""

    rows: Span
    columns: Span
    places: Mapping[str, tuple[Span, Span]]


@dataclass(frozen=True)
class Tiling:
    """How pictures are cut for values with these receptive fields.

    Attributes:
        fields: by value.
        align: that tiles start at multiples of, the common multiple of all strides; (height, width).
    """

    fields: Mapping[str, Field]
    align: tuple[int, int]

    @classmethod
    def of(cls, graph: Graph, objective: Objective) -> Tiling:
        """The tiling for what an objective looks at.

        Raises:
            UsageError: it cannot be computed a part at a time: a value depends on the whole picture.
        """
        if not all(term.local for term in objective.terms):
            raise UsageError("this objective is no sum over the places of a layer, so it cannot be tiled")
        try:
            fields = receptive_fields(graph, sorted(objective.values))
        except UsageError as error:
            raise UsageError(f"cannot be tiled: {error}") from error
        align = (lcm(*(f.stride[0] for f in fields.values())), lcm(*(f.stride[1] for f in fields.values())))
        return cls(fields, align)

    @property
    def halo(self) -> tuple[int, int]:
        """By how much a piece may be higher and wider than its tile, in pixels."""
        sizes = [[f.size[side] for f in self.fields.values()] for side in (0, 1)]
        return max(sizes[0]) + self.align[0], max(sizes[1]) + self.align[1]

    def cut(self, size: tuple[int, int], places: Mapping[str, tuple[int, int]], tile: int) -> Iterator[Tile]:
        """The tiles of a picture.

        Args:
            size: of the picture, height and width.
            places: of each value in the whole picture, height and width.
            tile: the side of a block, in pixels; rounded down to a multiple of `align`.
        """
        for rows, row_places in self._spans(0, size[0], {name: hw[0] for name, hw in places.items()}, tile):
            for columns, column_places in self._spans(1, size[1], {n: hw[1] for n, hw in places.items()}, tile):
                yield Tile(rows, columns, {name: (row_places[name], column_places[name]) for name in places})

    def _spans(
        self, side: int, length: int, counts: Mapping[str, int], tile: int
    ) -> Iterator[tuple[Span, dict[str, Span]]]:
        """Along one side: pixels from and to, and the places that they answer for."""
        align = self.align[side]
        block = max(tile // align, 1) * align
        for start in range(0, length, block):
            last = start + block >= length
            places = {
                name: (
                    start // (s := self.fields[name].stride[side]),
                    count if last else min((start + block) // s, count),
                )
                for name, count in counts.items()
            }
            wanted = [self._pixels(side, self.fields[name], span) for name, span in places.items() if span[0] < span[1]]
            if wanted:
                first, end = min(span[0] for span in wanted), max(span[1] for span in wanted)
                yield (max(first // align * align, 0), min(end, length)), places

    @staticmethod
    def _pixels(side: int, field: Field, places: Span) -> Span:
        first, last = places[0], places[1] - 1
        return first * field.stride[side] + field.start[side], last * field.stride[side] + field.end[side]


@dataclass(frozen=True)
class TiledEngine:
    """`WholeEngine` a tile at a time.

    Attributes:
        tile: the side of a tile, in pixels; what the network sees at once is that and the tiling's halo.
    """

    module: TorchNet
    objective: Objective
    tiling: Tiling
    tile: int

    def __call__(self, data: Tensor) -> tuple[Tensor, Tensor]:
        gradient = torch.zeros_like(data)
        total = torch.zeros(len(data), device=data.device)
        places = places_of(self.module.graph, tuple(data.shape), sorted(self.objective.values))
        for tile in self.tiling.cut((data.shape[2], data.shape[3]), places, self.tile):
            (top, bottom), (left, right) = tile.rows, tile.columns
            score, piece = self._piece(data[:, :, top:bottom, left:right], tile, places)
            gradient[:, :, top:bottom, left:right] += piece
            total += score
        return total, gradient

    def _piece(self, data: Tensor, tile: Tile, places: Mapping[str, tuple[int, int]]) -> tuple[Tensor, Tensor]:
        seen = data.clone(memory_format=torch.channels_last).requires_grad_()
        parts = {name: Part(rows[0], columns[0], *places[name]) for name, (rows, columns) in tile.places.items()}

        def score(found: Values) -> Tensor:
            blocks = {name: self._block(found[name], name, tile) for name in tile.places}
            return self.objective.score_parts(blocks, parts)

        found = self.module(seen, sorted(self.objective.values))
        return uphill(score, found, seen, scaled=bool(self.module.forms.gradients))

    def _block(self, value: Tensor, name: str, tile: Tile) -> Tensor:
        """The places that the tile answers for; the piece's own place 0 is the picture's place `over`, `across`."""
        stride = self.tiling.fields[name].stride
        over, across = tile.rows[0] // stride[0], tile.columns[0] // stride[1]
        (top, bottom), (left, right) = tile.places[name]
        return value[:, :, top - over : bottom - over, left - across : right - across]


class SpareEngine:
    """Takes a picture whole, or in tiles of a wanted size; where memory ends, in smaller tiles from then on.

    Attributes:
        on_note: told once that memory has ended, and what is done.

    Args:
        wanted: the tile's side for a picture of a size (height, width); 0 for the whole picture.
    """

    LEAST = 64

    def __init__(self, whole: WholeEngine, wanted: Callable[[tuple[int, int]], int]) -> None:
        self.whole, self._wanted = whole, wanted
        self.on_note: Callable[[str], None] = lambda _: None
        self._limit = 0
        self._said = False

    def __call__(self, data: Tensor) -> tuple[Tensor, Tensor]:
        size = (data.shape[2], data.shape[3])
        while True:
            try:
                return self._engine(size)(data)
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    raise
            # Outside of the except: the error holds on to what the failed step had
            self._shrink(size)

    def tile(self, size: tuple[int, int]) -> int:
        """The tile's side for a picture of that size; 0 for the whole picture."""
        wanted = self._wanted(size)
        if self._limit and self._limit < max(size):
            return min(wanted or self._limit, self._limit)
        return wanted

    def _engine(self, size: tuple[int, int]) -> WholeEngine | TiledEngine:
        tile = self.tile(size)
        if not tile:
            return self.whole
        return TiledEngine(self.whole.module, self.whole.objective, self._tiling, tile)

    @cached_property
    def _tiling(self) -> Tiling:
        return Tiling.of(self.whole.module.graph, self.whole.objective)

    def _shrink(self, size: tuple[int, int]) -> None:
        tile = self.tile(size)
        smaller = max((tile or max(size)) // 2, self.LEAST)
        if tile and smaller >= tile:
            raise TrtdreamError(f"out of memory even in tiles of {tile} pixels: try a smaller picture")
        try:
            self._tiling  # noqa: B018
        except UsageError as error:
            raise TrtdreamError(f"out of memory, and this dream {error}: try a smaller picture") from error
        self._limit = smaller
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if not self._said:
            self.on_note(f"out of memory: going on in tiles of {smaller} pixels, smaller ones if need be")
            self._said = True


def out_of_memory(error: BaseException) -> bool:
    """Whether torch, on a GPU or a CPU, could not get memory."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "allocate memory" in str(error)


def places_of(graph: Graph, shape: Sequence[int], values: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Height and width of each value for an input of that shape."""
    found: dict[str, tuple[int, int]] = {}
    for shapes in infer_shapes(graph, {graph.inputs[0]: tuple(shape)}, values):
        for name, top in zip(shapes.step.writes, shapes.tops, strict=True):
            if name in values:
                found[name] = (top[2], top[3])
    return found
