"""Deploy nets made from train_val nets."""

from __future__ import annotations

from dataclasses import replace

import pytest

from trtdream.errors import UsageError
from trtdream.net.deploy import deploy_net
from trtdream.net.graph import connect
from trtdream.net.kind import Phase
from trtdream.net.net import Net
from trtdream.net.zoo import ZOO, build
from trtdream.net.zoo.caffenet import CROP


@pytest.mark.parametrize(
    ("name", "side"), [("caffenet", CROP), ("alexnet", CROP), ("googlenet", 224), ("quicknet", 56)]
)
def test_it_is_the_deploy_net_that_the_zoo_writes_by_hand(name: str, side: int) -> None:
    made = deploy_net(build(name, 7, deploy=False), 3, side, side)
    written = build(name, 7, deploy=True)
    assert [replace(layer, line=None) for layer in made.layers] == list(written.layers)
    assert connect(made.for_phase(Phase.TEST)).outputs == ("prob",)
    assert name in ZOO


def test_a_net_without_a_classifier_is_refused() -> None:
    layers = tuple(layer for layer in build("quicknet", deploy=False).layers if layer.name != "loss")
    with pytest.raises(UsageError, match="no SoftmaxWithLoss"):
        deploy_net(Net("x", layers), 3, 56, 56)
