"""From a recipe's pictures to the batches that a net's input blobs take."""

from __future__ import annotations

import os

import torch

from trtdream.data.feed import Batch, Feed
from trtdream.data.loader import Loader
from trtdream.data.sources import Source, open_source
from trtdream.data.transform import Phase, Transform
from trtdream.net.graph import Graph
from trtdream.net.kind import Shape
from trtdream.recipe.networks import input_shapes, picture_and_label
from trtdream.recipe.schema import TRANSFORM_KEYS, Pictures, Recipe
from trtdream.train.compute import Compute
from trtdream.train.step import Inputs
from trtdream.train.world import World


class Feeding:
    """Batches for one net: a loader, and the names of the blobs that its batches fill."""

    def __init__(self, loader: Loader, pictures: Pictures) -> None:
        self.loader, self.pictures = loader, pictures

    def next(self, graph: Graph) -> Inputs:
        """The next batch under the names of the net's inputs."""
        return self.inputs(next(self.loader), graph)

    @staticmethod
    def inputs(batch: Batch, graph: Graph) -> Inputs:
        data, label = picture_and_label(graph)
        return Inputs({data: batch.data, label: batch.label})

    @property
    def picture_shape(self) -> Shape:
        """C x H x W of the pictures before the crop."""
        if self.loader.picture_shape is None:  # known only once a picture was decoded; the position stays
            state = self.loader.state_dict()
            next(self.loader)
            self.loader.load_state_dict(state)
        assert self.loader.picture_shape is not None  # the loader notes it with its first batch
        return self.loader.picture_shape

    def shapes(self, graph: Graph) -> dict[str, Shape]:
        """The shapes of this process' share of a batch, by input blob."""
        channels, height, width = self.picture_shape
        share = self.pictures.batch // self.loader.feed.world_size
        return input_shapes(graph, self.pictures, channels, (height, width), share)


def transform_of(pictures: Pictures) -> Transform:
    """The part of a set's keys that says what becomes of a picture."""
    return Transform(**{key: getattr(pictures, key) for key in TRANSFORM_KEYS})


def open_feeding(
    recipe: Recipe, pictures: Pictures, phase: Phase, compute: Compute, world: World, classes: int | None
) -> Feeding:
    """Open a set and its loader.

    Raises:
        UsageError, InputRefused: as `Loader` and `open_source`: missing or bad files, labels out of range.
    """
    source: Source = open_source(pictures.source, pictures.root)
    feed = Feed(
        pictures.batch,
        phase=phase,
        seed=recipe.run.seed,
        shuffle=pictures.shuffle,
        rank=world.rank,
        world_size=world.size,
        device=str(compute.device),
        threads=recipe.data.threads or len(os.sched_getaffinity(0)),
        dtype="bfloat16" if compute.dtype == torch.bfloat16 else "float32",
        channels_last=compute.channels_last,
        cache=recipe.data.cache,
        on_bad=pictures.on_bad,
        classes=classes,
    )
    return Feeding(Loader(source, transform_of(pictures), feed), pictures)
