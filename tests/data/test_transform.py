"""The DataTransformer of real Caffe, from a database to the numbers in its data blob."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from trtdream.data.feed import Feed
from trtdream.data.loader import Loader
from trtdream.data.sources import open_source
from trtdream.data.transform import Transform
from trtdream.errors import InputRefused, UsageError


def _first(lmdb: Path, transform: Transform, phase: str = "TEST") -> torch.Tensor:
    feed = Feed(16, phase=phase, shuffle=False, seed=3)
    with Loader(open_source(lmdb), transform, feed) as loader:
        return next(loader).data


def test_centre_crop_and_mean_image(caffe_lmdb: Path, truth: Path) -> None:
    wanted = np.load(truth / "data" / "transformer.npz")["test_crop33_meanfile"]
    transform = Transform(crop=33, mean_file=truth / "train" / "mean.binaryproto")
    assert np.array_equal(_first(caffe_lmdb, transform).numpy(), wanted)


def test_centre_crop_and_mean_values(caffe_lmdb: Path, truth: Path) -> None:
    wanted = np.load(truth / "data" / "transformer.npz")["test_crop32_meanvalue"]
    plain = _first(caffe_lmdb, Transform(crop=32)).numpy()
    mean = (plain - wanted).mean(axis=(0, 2, 3))
    assert np.array_equal(_first(caffe_lmdb, Transform(crop=32, mean_value=tuple(mean))).numpy(), wanted)


def test_scale(caffe_lmdb: Path, truth: Path) -> None:
    """`test_scale` was made with a scale only: a power of two, or the comparison would be inexact."""
    wanted = np.load(truth / "data" / "transformer.npz")["test_scale"]
    images = np.load(truth / "train" / "images.npz")["images_bgr_chw_uint8"][:16].astype(np.float32)
    assert np.array_equal(_first(caffe_lmdb, Transform()).numpy(), images)
    slope = np.polyfit(images.ravel().astype(np.float64), wanted.ravel().astype(np.float64), 1)
    scale, offset = slope
    made = _first(caffe_lmdb, Transform(scale=float(scale), mean_value=(float(-offset / scale),))).numpy()
    assert np.abs(made - wanted).max() < 1e-5


def test_mirrored_in_test_too(caffe_lmdb: Path, truth: Path) -> None:
    """`mirror` is not tied to a phase: each of Caffe's TEST samples is the crop or its mirror, and so is ours."""
    wanted = np.load(truth / "data" / "transformer.npz")["test_crop33_mirrortrue"]
    transform = Transform(crop=33, mean_file=truth / "train" / "mean.binaryproto", mirror=True)
    made = _first(caffe_lmdb, transform).numpy()
    same = [np.array_equal(made[i], wanted[i]) for i in range(16)]
    mirrored = [np.array_equal(made[i], wanted[i, :, :, ::-1]) for i in range(16)]
    assert all(a or b for a, b in zip(same, mirrored, strict=True))
    assert any(same)
    assert any(mirrored)


def test_caffes_training_crops_are_among_ours(caffe_lmdb: Path, truth: Path) -> None:
    """Given the offsets and mirrors that Caffe drew, the pixels and the mean are Caffe's."""
    from trtdream.data.finish import Finish
    from trtdream.data.transform import Placement

    stored = np.load(truth / "data" / "transformer.npz")
    found = stored["train_found_hoff_woff_mirror"]
    placement = Placement(found[:, 0], found[:, 1], found[:, 2] == 1)
    transform = Transform(crop=33, mirror=True, mean_file=truth / "train" / "mean.binaryproto")
    source = open_source(caffe_lmdb)
    pixels = torch.from_numpy(np.stack([source.content(i)[0] for i in range(16)]))
    finish = Finish(transform, (3, 48, 48), torch.device("cpu"), torch.float32)
    made = finish(pixels, placement).numpy()
    matches = [np.array_equal(made[i], stored["train_crop33_mirror_meanfile"][i]) for i in range(16)]
    assert all(matches), matches


def test_every_training_sample_is_one_crop_of_the_picture(caffe_lmdb: Path, truth: Path) -> None:
    """Exactly one (offset, offset, mirror) of (image - mean) equals each sample, and all of them occur."""
    transform = Transform(crop=45, mirror=True, mean_file=truth / "train" / "mean.binaryproto")
    images = np.load(truth / "train" / "images.npz")
    full = images["images_bgr_chw_uint8"].astype(np.float32) - images["mean"]
    seen = set()
    with Loader(open_source(caffe_lmdb), transform, Feed(64, seed=1)) as loader:
        for _ in range(4):
            batch = next(loader)
            for sample, index in zip(batch.data.numpy(), batch.indices, strict=True):
                found = [
                    (y, x, mirror)
                    for y in range(4)
                    for x in range(4)
                    for mirror in (1, -1)
                    if np.array_equal(sample, full[index, :, y : y + 45, x : x + 45][:, :, ::mirror])
                ]
                assert len(found) == 1
                seen.update(found)
    assert len(seen) == 32


def test_a_mean_of_another_size_is_refused(packed: Path, truth: Path) -> None:
    transform = Transform(mean_file=truth.parent / "ilsvrc12" / "imagenet_mean.binaryproto")
    with pytest.raises(InputRefused, match=r"3 x 256 x 256, the pictures are 3 x 48 x 48"):
        Loader(open_source(packed), transform, Feed(4))


def test_all_faults_at_once() -> None:
    transform = Transform(size=0, crop=300, mean_file=Path("m.npy"), mean_value=(1.0,), random_area=(0.5, 2))
    named = [fault.split(":")[0] for fault in transform.faults()]
    assert named == ["size", "crop", "mean_file, mean_value", "mean_file", "random_area"]
    with pytest.raises(UsageError, match=r"size: 0.*random_area"):
        transform.check()


def test_two_mean_values_for_three_channels(packed: Path) -> None:
    with pytest.raises(InputRefused, match="2 mean values for pictures of 3 channels"):
        Loader(open_source(packed), Transform(mean_value=(1.0, 2.0)), Feed(4))
