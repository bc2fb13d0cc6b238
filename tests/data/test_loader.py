"""What a batch holds depends on nothing but files, transform, seed and position: for every source."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from trtdream.caffe.datum import raw_datum
from trtdream.caffe.lmdb import caffe_key, write_lmdb
from trtdream.data.feed import Batch, Feed
from trtdream.data.loader import Loader
from trtdream.data.sources import Source, open_source
from trtdream.data.transform import Transform
from trtdream.errors import InputRefused, UsageError

TRANSFORM = Transform(size=48, crop=41, mirror=True, mean_value=(104.0, 117.0, 123.0))
FEED = Feed(8, seed=11)  # 50 samples: 6 batches and a quarter make an epoch


def take(source: Source, feed: Feed, count: int, transform: Transform = TRANSFORM) -> list[Batch]:
    with Loader(source, transform, feed) as loader:
        return [next(loader) for _ in range(count)]


def same(one: Batch, other: Batch) -> bool:
    return torch.equal(one.data, other.data) and torch.equal(one.label, other.label)


@pytest.mark.parametrize("stop", [0, 3, 6, 7, 12, 13])
def test_resume_is_exact(source: Source, stop: int) -> None:
    """At an epoch's start, middle and end and across it; resumed with 1, 2 and 4 threads."""
    straight = take(source, FEED, 16)
    with Loader(source, TRANSFORM, replace(FEED, threads=1)) as loader:
        for _ in range(stop):
            next(loader)
        state = loader.state_dict()
    for threads in (1, 2, 4):
        with Loader(source, TRANSFORM, replace(FEED, threads=threads)) as resumed:
            resumed.load_state_dict(state)
            for wanted in straight[stop : stop + 3]:
                assert same(next(resumed), wanted)


def test_going_back_in_a_running_loader(source: Source) -> None:
    with Loader(source, TRANSFORM, FEED) as loader:
        first = [next(loader) for _ in range(4)]
        state = loader.state_dict()
        then = [next(loader) for _ in range(2)]
        loader.load_state_dict(state)
        assert all(same(next(loader), wanted) for wanted in then)
        loader.load_state_dict({**state, "position": 0})
        assert all(same(next(loader), wanted) for wanted in first)


def test_two_ranks_see_what_one_does(source: Source) -> None:
    """Rank r has the r-th half of each batch; resumed in the middle too, also by another number of ranks."""
    alone = take(source, FEED, 14)
    ranks = [Loader(source, TRANSFORM, replace(FEED, rank=rank, world_size=2)) for rank in range(2)]
    try:
        for step, wanted in enumerate(alone):
            halves = [next(loader) for loader in ranks]
            assert torch.equal(torch.cat([half.data for half in halves]), wanted.data)
            assert torch.equal(torch.cat([half.label for half in halves]), wanted.label)
            if step == 8:
                for loader in ranks:
                    loader.load_state_dict(loader.state_dict())
        assert ranks[0].state_dict()["position"] == 14 * 8
    finally:
        for loader in ranks:
            loader.close()


def test_each_epoch_has_every_sample_once_over_the_ranks(source: Source) -> None:
    """Batches run across the end of an epoch: 25 batches of 8 are 4 epochs of 50, without a rest."""
    taken = [take(source, replace(FEED, rank=rank, world_size=2), 25) for rank in range(2)]
    stream = np.concatenate([np.concatenate([one.indices, two.indices]) for one, two in zip(*taken, strict=True)])
    assert (np.sort(stream.reshape(4, 50), axis=1) == np.arange(50)).all()


def test_all_sources_give_the_same_batches(photos: Path, packed: Path, databases: dict[str, Path]) -> None:
    """A packed set, databases and the files themselves; kept in memory or read batch by batch."""
    paths = [photos / "train.txt", packed, databases["raw"], databases["encoded"]]
    batches = [take(open_source(path), FEED, 8) for path in paths]
    batches.append(take(open_source(packed), replace(FEED, cache="gpu"), 8))
    for other in batches[1:]:
        assert all(same(a, b) for a, b in zip(batches[0], other, strict=True))


def test_labels_are_the_samples_own(source: Source) -> None:
    labels = [source.content(index)[1] for index in range(len(source))]
    for batch in take(source, FEED, 7):
        assert batch.label.dtype == torch.int64
        assert batch.label.tolist() == [labels[index] for index in batch.indices]


def test_unshuffled_is_the_order_of_the_source(source: Source) -> None:
    batches = take(source, replace(FEED, shuffle=False, phase="TEST"), 7)
    assert np.concatenate([batch.indices for batch in batches]).tolist() == [i % 50 for i in range(56)]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_float32_rounded_once(packed: Path, dtype: str) -> None:
    source = open_source(packed)
    for half, full in zip(take(source, replace(FEED, dtype=dtype), 2), take(source, FEED, 2), strict=True):
        assert torch.equal(half.data, full.data.to(getattr(torch, dtype)))


def test_channels_last(packed: Path) -> None:
    (batch,) = take(open_source(packed), replace(FEED, channels_last=True), 1)
    assert batch.data.shape == (8, 3, 41, 41)
    assert batch.data.is_contiguous(memory_format=torch.channels_last)


def test_state_of_another_set_is_refused(packed: Path, photos: Path) -> None:
    with Loader(open_source(packed), TRANSFORM, FEED) as loader:
        state = loader.state_dict()
    with Loader(open_source(photos / "val.txt"), TRANSFORM, FEED) as other, pytest.raises(InputRefused, match="source"):
        other.load_state_dict(state)
    reseeded = Loader(open_source(packed), TRANSFORM, replace(FEED, seed=12))
    with reseeded, pytest.raises(InputRefused, match="another seed"):
        reseeded.load_state_dict(state)


def test_labels_outside_the_net(source: Source) -> None:
    """Known beforehand, or met in a database: a line with the sample's name either way."""
    with pytest.raises(InputRefused, match=r"label.*0..3.*4 classes"):
        take(source, replace(FEED, classes=4), 7)
    assert len(take(source, replace(FEED, classes=5), 7)) == 7


def test_settings_that_contradict_each_other_are_all_named(packed: Path) -> None:
    with pytest.raises(UsageError, match=r"mean_file.*batch: 9 cannot be split evenly over 2 ranks"):
        Loader(open_source(packed), Transform(mean_file=Path("m"), mean_value=(1.0,)), Feed(9, world_size=2))


def test_a_grey_database_as_caffes_mnist(tmp_path: Path) -> None:
    """One channel, 28 x 28, labels in the Datums, scaled by 1/256 as its example does."""
    pixels = np.random.RandomState(0).randint(0, 256, (6, 1, 28, 28)).astype(np.uint8)
    values = [(caffe_key(i, "x"), raw_datum(pixels[i], i)) for i in range(6)]
    write_lmdb(tmp_path / "mnist", values, 1 << 16)
    transform = Transform(scale=0.00390625, mean_value=(33.0,))
    (batch,) = take(open_source(tmp_path / "mnist"), Feed(6, shuffle=False), 1, transform)
    assert np.array_equal(batch.data.numpy(), (pixels - np.float32(33)) / 256)
    assert batch.label.tolist() == [0, 1, 2, 3, 4, 5]


def test_pixels_have_the_size_they_have(packed: Path) -> None:
    """`size` is for files; a random area would need them, and is refused rather than left out."""
    (batch,) = take(open_source(packed), FEED, 1, Transform(size=40, crop=44))
    assert batch.data.shape == (8, 3, 44, 44)
    with pytest.raises(UsageError, match="random_area needs the files themselves"):
        Loader(open_source(packed), Transform(random_area=(0.1, 1.0), crop=40), FEED)
    with pytest.raises(InputRefused, match="holds pictures of 48 x 48, the crop is 49"):
        Loader(open_source(packed), Transform(crop=49), FEED)


@pytest.mark.parametrize(
    "transform",
    [
        Transform(random_area=(0.1, 1.0), crop=40, mirror=True, mean_value=(104.0, 117.0, 123.0), jitter=0.4),
        Transform(size=44, resize="short_side", crop=40, mirror=True),
    ],
)
def test_resume_with_the_other_augmentations(photos: Path, transform: Transform) -> None:
    source = open_source(photos / "train.txt")
    straight = take(source, FEED, 9, transform)
    assert straight[0].data.shape == (8, 3, 40, 40)
    with Loader(source, transform, replace(FEED, threads=4)) as resumed:
        resumed.load_state_dict({**resumed.state_dict(), "position": 5 * 8})
        assert all(same(next(resumed), wanted) for wanted in straight[5:])
    halves = [take(source, replace(FEED, rank=rank, world_size=2), 2, transform) for rank in range(2)]
    assert torch.equal(torch.cat([half[1].data for half in halves]), straight[1].data)


def test_waiting_is_counted(packed: Path) -> None:
    with Loader(open_source(packed), TRANSFORM, FEED) as loader:
        assert loader.waited == 0
        next(loader)
        assert loader.waited > 0


def test_grey_photographs_too(shared: Path) -> None:
    """imagenette-mini with its greyscale JPEGs: list and folder, TEST crops equal to Pillow's pixels."""
    from PIL import Image

    root = shared / "imagenette-mini" / "val"
    source = open_source(shared / "imagenette-mini" / "val.txt", root)
    greys = [index for index in range(len(source)) if Image.open(root / source.name(index)).mode == "L"]
    assert greys
    feed = Feed(50, phase="TEST", shuffle=False)
    with Loader(source, Transform(resize="none", crop=224), feed) as loader:
        for batch in (next(loader) for _ in range(5)):
            for pixels, index in zip(batch.data, batch.indices, strict=True):
                wanted = np.asarray(Image.open(root / source.name(int(index))).convert("RGB"))[:, :, ::-1]
                assert np.array_equal(pixels.numpy().transpose(1, 2, 0), wanted)


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
@pytest.mark.parametrize("cache", ["none", "gpu"])
def test_a_device_gets_the_same_numbers(packed: Path, device: str, cache: str) -> None:
    """From a packed set every device has the same bits, worked out here from the bytes; batches are used at once."""
    source = open_source(packed)
    feed = replace(FEED, device=device, cache=cache, shuffle=False, phase="TEST")
    transform = replace(TRANSFORM, mirror=False, mean_value=(104.0, 117.0, 123.0))
    with Loader(source, transform, feed) as loader:
        sums = [(batch.data * 2).sum(dim=(1, 2, 3)).double().cpu() for batch in (next(loader) for _ in range(6))]
        batch = next(loader)
    assert batch.data.device.type == batch.label.device.type == device
    mean = np.float32([104, 117, 123]).reshape(3, 1, 1)
    crops = [source.content(i % 50)[0][:, 3:44, 3:44].astype(np.float32) - mean for i in range(56)]
    assert np.array_equal(batch.data.cpu().numpy(), np.stack(crops[48:]))
    wanted = [2 * crop.astype(np.float64).sum() for crop in crops[:48]]
    assert np.allclose(torch.cat(sums).numpy(), wanted, rtol=1e-4, atol=1)


@pytest.mark.gpu
def test_files_decoded_on_a_gpu_are_near_those_of_the_cpu(photos: Path) -> None:
    """Within two grey levels on average: its JPEG decoder is another."""
    source = open_source(photos / "train.txt")
    for one, other in zip(take(source, FEED, 7), take(source, replace(FEED, device="cuda"), 7), strict=True):
        assert torch.equal(one.label, other.label.cpu())
        assert (one.data - other.data.cpu()).abs().mean() < 2


@pytest.mark.full
def test_imagenette_mini_resumes_exactly(shared: Path) -> None:
    """1,000 photographs, some grey: stops at the start, in the middle and at the end of an epoch; threads; ranks."""
    root = shared / "imagenette-mini"
    source = open_source(root / "train.txt", root / "train")
    transform = Transform(crop=227, mirror=True, mean_file=shared / "ilsvrc12" / "imagenet_mean.binaryproto")
    feed = Feed(100, seed=4)
    straight = take(source, feed, 12, transform)
    for stop, threads in ((0, 4), (5, 1), (9, 2), (10, 4)):
        with Loader(source, transform, replace(feed, threads=threads)) as loader:
            loader.load_state_dict({**loader.state_dict(), "position": 100 * stop})
            assert all(same(next(loader), wanted) for wanted in straight[stop : stop + 2])
    halves = [take(source, replace(feed, rank=rank, world_size=2), 3, transform) for rank in range(2)]
    for one, two, wanted in zip(*halves, straight, strict=False):
        assert torch.equal(torch.cat([one.data, two.data]), wanted.data)
