"""Small sources of every kind, drawn once, so that these tests run on a fresh clone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from trtdream.caffe.datum import encoded_datum, raw_datum
from trtdream.caffe.lmdb import caffe_key, write_lmdb
from trtdream.data.pack import Packing, pack
from trtdream.data.sources import Source, open_source
from trtdream.data.synth import synthesise
from trtdream.data.transform import Transform

SIZE = 48
COUNT = 50


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 50 JPEGs in train/, 5 in val/, train.txt and val.txt, 5 classes."""
    folder = tmp_path_factory.mktemp("photos")
    synthesise(folder, classes=5, images=COUNT, val=5, size=SIZE)
    return folder


@pytest.fixture(scope="session")
def packed(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The training photos packed at their own size, in shards of 16."""
    folder = tmp_path_factory.mktemp("packed") / "set"
    pack(open_source(photos / "train.txt"), folder, Packing(Transform(size=SIZE), shard_bytes=16 * 3 * SIZE * SIZE))
    return folder


@pytest.fixture(scope="session")
def databases(photos: Path, packed: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The training photos as LMDBs of raw and of encoded Datums."""
    folder = tmp_path_factory.mktemp("databases")
    listing, pixels = open_source(photos / "train.txt"), open_source(packed)
    raw, encoded = [], []
    for index in range(len(listing)):
        key = caffe_key(index, listing.name(index))
        content, label = listing.content(index)
        raw.append((key, raw_datum(pixels.content(index)[0], label)))
        encoded.append((key, encoded_datum(content.tobytes(), label)))
    for name, values in (("raw", raw), ("encoded", encoded)):
        write_lmdb(folder / name, values, sum(len(value) for _, value in values))
    return {name: folder / name for name in ("raw", "encoded")}


@pytest.fixture(params=["list", "folder", "encoded lmdb", "raw lmdb", "packed"])
def source(request: pytest.FixtureRequest) -> Source:
    """Each kind of source in turn, all of the same 50 pictures at 48 x 48."""
    opened: dict[str, Callable[[], Path]] = {
        "list": lambda: request.getfixturevalue("photos") / "train.txt",
        "folder": lambda: request.getfixturevalue("photos") / "train",
        "encoded lmdb": lambda: request.getfixturevalue("databases")["encoded"],
        "raw lmdb": lambda: request.getfixturevalue("databases")["raw"],
        "packed": lambda: request.getfixturevalue("packed"),
    }
    return open_source(opened[request.param]())


@pytest.fixture(scope="session")
def caffe_lmdb(truth: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An LMDB with the 256 pictures, labels and keys of the one that real Caffe trained on."""
    images = np.load(truth / "train" / "images.npz")
    path = tmp_path_factory.mktemp("caffe") / "lmdb"
    samples = zip(images["keys"], images["images_bgr_chw_uint8"], images["labels"], strict=True)
    values = [(str(key).encode(), raw_datum(pixels, int(label))) for key, pixels, label in samples]
    write_lmdb(path, values, sum(len(value) for _, value in values))
    return path
