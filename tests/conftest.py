"""What all tests share: where the truth lies, and skipping with a reason where something is missing."""

import os
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


def pytest_configure() -> None:
    """Workers share the cores already: one thread each, and for what they start, whose bits must be the same.

    Without a GPU Triton's kernels are interpreted, which must be known before anything imports Triton.
    """
    if not _cuda_works():
        os.environ["TRITON_INTERPRET"] = "1"
    if "PYTEST_XDIST_WORKER" in os.environ:
        os.environ["OMP_NUM_THREADS"] = "1"
        import torch

        torch.set_num_threads(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    gpu_tests = [item for item in items if item.get_closest_marker("gpu")]
    if gpu_tests and not _cuda_works():
        for item in gpu_tests:
            item.add_marker(pytest.mark.skip(reason="no CUDA device"))


def _cuda_works() -> bool:
    import torch

    return torch.cuda.is_available()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The project's data (real Caffe's numbers, the real GoogLeNet, photographs), laid beside the clone."""
    if not SHARED.is_dir():
        pytest.skip("../shared is missing: no truth and no photographs to test against")
    return SHARED


@pytest.fixture(scope="session")
def truth(shared: Path) -> Path:
    """Numbers that real Caffe computed; its README.md says how and how tight a test can be."""
    return shared / "caffe-truth"
