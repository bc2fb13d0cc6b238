"""What tests on a GPU share."""

import pytest

from trtdream.runtime.cuda import ask_cuda
from trtdream.runtime.tensorrt import Library, library_for


@pytest.fixture(scope="module")
def library() -> Library:
    found = library_for(ask_cuda().gpus, None)
    if found is None:
        pytest.skip("no TensorRT that runs on this GPU")
    return found
