"""Drawn pictures, for all tests of training."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from trtdream.data.pack import Packing, pack
from trtdream.data.sources import read_list
from trtdream.data.synth import synthesise
from trtdream.data.transform import Transform


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Nets as small as these lose by more, and runs that are compared to the bit need the same number everywhere."""
    threads, variable = torch.get_num_threads(), os.environ.get("OMP_NUM_THREADS")
    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"  # of the processes that tests start
    yield
    torch.set_num_threads(threads)
    if variable is None:
        del os.environ["OMP_NUM_THREADS"]
    else:
        os.environ["OMP_NUM_THREADS"] = variable


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """48 pictures of 4 classes to train on, in train.txt and packed, and 16 to test on in val.txt."""
    folder = tmp_path_factory.mktemp("drawn")
    synthesise(folder, classes=4, images=48, val=16, size=32)
    pack(read_list(folder / "train.txt"), folder / "packed", Packing(Transform(size=32)))
    return folder
