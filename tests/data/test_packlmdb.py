from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from trtdream.caffe.datum import read_datum
from trtdream.caffe.lmdb import Lmdb
from trtdream.data.pack import Packing
from trtdream.data.packlmdb import pack_lmdb
from trtdream.data.sources import open_source
from trtdream.data.transform import Transform
from trtdream.errors import UsageError


def test_is_what_convert_imageset_makes(photos: Path, packed: Path, tmp_path: Path) -> None:
    """Keys, labels and pixels, in the list's order."""
    listing, pixels = open_source(photos / "train.txt"), open_source(packed)
    count, left_out = pack_lmdb(listing, tmp_path / "lmdb", Packing(Transform(size=48)))
    assert (count, left_out) == (50, ())
    database = Lmdb(tmp_path / "lmdb")
    assert database.keys == [f"{index:08d}_{listing.name(index)}".encode() for index in range(50)]
    for index, key in enumerate(database.keys):
        datum = read_datum(database.value(key), "it")
        assert (datum.label, datum.encoded) == (index % 5, False)
        assert np.array_equal(datum.pixels("it"), pixels.content(index)[0])


def test_resized_as_convert_imageset(truth: Path, tmp_path: Path) -> None:
    """Its own 256 x 256 datum of the same JPEG: no value is off by more than one grey level."""
    (tmp_path / "list.txt").write_text("chelsea.jpg 7\n")
    pack_lmdb(open_source(tmp_path / "list.txt", truth / "nets"), tmp_path / "lmdb", Packing(Transform()))
    database = Lmdb(tmp_path / "lmdb")
    wanted = np.load(truth / "data" / "convert_imageset_chelsea.npz")["resize256_chw_uint8"].astype(int)
    difference = np.abs(read_datum(database.value(b"00000000_chelsea.jpg"), "it").pixels("it") - wanted)
    assert difference.max() <= 1
    assert difference.mean() < 0.13


def test_an_existing_database_is_not_touched(photos: Path, databases: dict[str, Path]) -> None:
    with pytest.raises(UsageError, match="exists already"):
        pack_lmdb(open_source(photos / "train.txt"), databases["raw"], Packing(Transform(size=48)))
