from __future__ import annotations

from dataclasses import replace

import pytest

from tests.bench.slow import LIMITS, slow_net
from trtdream.bench.layers import time_layers
from trtdream.bench.subject import Setting, Subject, net_for
from trtdream.bench.timing import Repeats
from trtdream.net.kind import Phase
from trtdream.net.net import Net

QUICK = Repeats(runs=5, warm_up=1)


def subject(net: Net, phase: Phase = Phase.TRAIN, batch: int | None = None) -> Subject:
    return Subject(net, Setting(phase=phase, batch=batch))


def test_a_slowed_layer_shows_in_its_row_and_in_no_other() -> None:
    """relu1 sleeps forward, relu2 backward: each is where the time is, in that direction."""
    times = time_layers(subject(slow_net(relu1=(0.1, 0.0), relu2=(0.0, 0.1))), QUICK, LIMITS)
    for part, name in (("forward", "relu1"), ("backward", "relu2")):
        found = {layer.name: getattr(layer, part).timing.median_ms for layer in times.layers}
        assert max(found, key=found.__getitem__) == name
        assert found[name] >= 100
        assert sum(found.values()) - found[name] < found[name]


def test_layers_add_up_to_the_whole() -> None:
    """The known sleeps are most of the time, so that a busy machine does not matter."""
    times = time_layers(subject(slow_net(relu1=(0.1, 0.05), relu2=(0.05, 0.1))), QUICK, LIMITS)
    assert times.backward is not None
    for part, whole in (("forward", times.forward), ("backward", times.backward)):
        assert whole.median_ms >= 150
        assert times.sum_of_medians(part) == pytest.approx(whole.median_ms, rel=0.1)
        assert times.added_up[part].median_ms == pytest.approx(whole.median_ms, rel=0.1)


@pytest.mark.full
@pytest.mark.parametrize("name", ["caffenet", "googlenet"])
def test_layers_of_real_networks_add_up(name: str) -> None:
    """On a quiet machine; on a busy one, one of five attempts."""
    shares: list[list[float]] = []
    for _ in range(5):
        times = time_layers(subject(net_for(name, Phase.TRAIN), batch=4), Repeats(runs=15, warm_up=3), LIMITS)
        assert times.backward is not None
        wholes = (("forward", times.forward), ("backward", times.backward))
        shares.append([times.added_up[part].median_ms / whole.median_ms for part, whole in wholes])
        if all(abs(share - 1) < 0.1 for share in shares[-1]):
            return
    pytest.fail(f"the layers add up to {shares} of the whole")


@pytest.mark.parametrize(("name", "phase"), [("caffenet", Phase.TRAIN), ("googlenet", Phase.TEST)])
def test_every_layer_has_its_row(name: str, phase: Phase) -> None:
    """By Caffe's names and in its order, those in place too; what learns or stands above it has a backward."""
    net = net_for(name, phase)
    times = time_layers(subject(net, phase, batch=1), Repeats(runs=1, warm_up=1), LIMITS)
    wanted = [layer.name for layer in net.for_phase(phase).layers if not layer.kind.is_input]
    assert [layer.name for layer in times.layers] == wanted
    without = {layer.name for layer in times.layers if layer.backward is None}
    identities = {layer.name for layer in times.layers if layer.kind == "Dropout" and phase is Phase.TEST}
    assert without == identities


def test_work_of_conv1() -> None:
    """CaffeNet's conv1 on one picture: 55 x 55 x 96 outputs of 11 x 11 x 3 products; the picture wants no gradient."""
    times = time_layers(subject(net_for("caffenet", Phase.TEST), Phase.TEST, batch=1), Repeats(1, 1), LIMITS)
    conv1 = times.layers[0]
    macs = 55 * 55 * 96 * 11 * 11 * 3
    assert conv1.backward is not None
    assert (conv1.macs, conv1.forward.work.flops, conv1.backward.work.flops) == (macs, 2 * macs, 2 * macs)
    numbers = 3 * 227 * 227 + 96 * 55 * 55 + (96 * 363 + 96)
    assert conv1.forward.work.bytes == 4 * numbers
    conv2 = next(layer for layer in times.layers if layer.name == "conv2")
    assert conv2.backward is not None
    assert conv2.backward.work.flops == 2 * conv2.forward.work.flops


def test_nothing_learns() -> None:
    data, _, relu1, *_ = slow_net().layers
    times = time_layers(subject(Net("bare", (data, replace(relu1, bottoms=("data",), tops=("out",))))), QUICK, LIMITS)
    assert times.backward is None
    assert [layer.backward for layer in times.layers] == [None]


def test_faster_than_the_machine_is_doubted() -> None:
    """Ceilings that a layer beats were measured wrongly; that memory's is beaten within the cache is no fault."""
    crawling = replace(LIMITS, flops_per_s=dict.fromkeys(LIMITS.flops_per_s, 1.0), bytes_per_s=1e18)
    assert any("limits --again" in doubt for doubt in time_layers(subject(slow_net()), QUICK, crawling).doubts)
    no_memory = replace(LIMITS, bytes_per_s=1.0)
    assert not any("limits --again" in doubt for doubt in time_layers(subject(slow_net()), QUICK, no_memory).doubts)
