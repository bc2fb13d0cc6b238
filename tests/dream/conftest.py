from pathlib import Path

import pytest

from tests.dream.tiny import tiny_files, tiny_model
from trtdream.runtime.model import Model


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def tiny_net(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, str, Path]:
    """The options that name the tiny network."""
    net, weights = tiny_files(tmp_path_factory.mktemp("tiny_net"))
    return "--net", net, "--weights", weights
