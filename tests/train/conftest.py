"""Drawn pictures, for all tests of training."""

from pathlib import Path

import pytest

from trtdream.data.pack import Packing, pack
from trtdream.data.sources import read_list
from trtdream.data.synth import synthesise
from trtdream.data.transform import Transform


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """48 pictures of 4 classes to train on, in train.txt and packed, and 16 to test on in val.txt."""
    folder = tmp_path_factory.mktemp("drawn")
    synthesise(folder, classes=4, images=48, val=16, size=32)
    pack(read_list(folder / "train.txt"), folder / "packed", Packing(Transform(size=32)))
    return folder
