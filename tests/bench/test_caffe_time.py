"""Real Caffe beside our numbers: what its log says, what it is asked, what is said where it fails."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from types import ModuleType

import pytest

from tests.bench.programs import program
from trtdream.bench.results import Row
from trtdream.caffe.prototxt import read_prototxt
from trtdream.errors import InputRefused
from trtdream.net import zoo
from trtdream.net.graph import connect
from trtdream.net.kind import Phase
from trtdream.net.shapes import infer_shapes

LOG = """I20261123 06:53:31.389503 25705 caffe.cpp:403]       loss	backward: 0.0012 ms.
I20261123 06:53:31.389513 25705 caffe.cpp:408] Average Forward pass: 8.4922 ms.
I20261123 06:53:31.389518 25705 caffe.cpp:410] Average Backward pass: 10.351 ms.
I20261123 06:53:31.389523 25705 caffe.cpp:412] Average Forward-Backward: 18.8 ms.
"""
"""The end of what BVLC/caffe 1.0 printed for the mini CaffeNet."""
DEPLOYED = {"data": (2, 3, 224, 224)}


@pytest.fixture
def caffe_time(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return program("caffe_time", monkeypatch)


def stand_in(folder: Path, commands: str) -> Path:
    """A program in place of Caffe's, which keeps what it is asked in `asked`."""
    path = folder / "caffe"
    log, asked = folder / "log", shlex.quote(str(folder / "asked"))
    log.write_text(LOG)
    path.write_text(f'#!/bin/sh\necho "$OPENBLAS_NUM_THREADS $@" >> {asked}\ncp "$3" {asked}.prototxt\n{commands}\n')
    path.chmod(0o755)
    return path


def rows(caffe_time: ModuleType, binary: Path | None) -> list[Row]:
    net = caffe_time.with_inputs(zoo.build("googlenet"), DEPLOYED)
    caffe = caffe_time.RealCaffe(binary, threads=3, iterations=7) if binary else None
    parts = {"forward": "forward", "forward + backward": "step"}
    found: list[Row] = caffe_time.rows_of_caffe("googlenet, batch 1", net, Phase.TEST, parts, caffe)
    return found


def test_a_log(caffe_time: ModuleType) -> None:
    """The sum is of the two averages: Caffe's own is rounded."""
    assert caffe_time.read_averages(LOG) == {
        "forward": 8.4922,
        "backward": 10.351,
        "forward + backward": pytest.approx(18.8432),
    }


@pytest.mark.parametrize("name", ["caffe_time_mini.log", "caffe_time_googlenet_b1_noisy.log"])
def test_real_logs(caffe_time: ModuleType, truth: Path, name: str) -> None:
    log = (truth / "logs" / name).read_text()
    found = caffe_time.read_averages(log)
    rounded = next(line for line in log.splitlines() if "Average Forward-Backward" in line).split()[-2]
    assert found["forward + backward"] == pytest.approx(float(rounded), rel=0.02)


@pytest.mark.parametrize("log", ["", LOG.replace("Backward pass", "Back")])
def test_another_log(caffe_time: ModuleType, log: str) -> None:
    with pytest.raises(InputRefused, match="Average Forward pass"):
        caffe_time.read_averages(log)


def test_its_rows(caffe_time: ModuleType, tmp_path: Path) -> None:
    found = rows(caffe_time, stand_in(tmp_path, f"cat {shlex.quote(str(tmp_path / 'log'))} >&2"))
    assert [(row.part, row.timing and row.timing.median_ms) for row in found] == [
        ("forward, real Caffe", 8.4922),
        ("step, real Caffe", pytest.approx(18.8432)),
    ]
    asked = (tmp_path / "asked").read_text().splitlines()
    assert len(asked) == 3
    assert asked[0].startswith("3 time -model ")
    assert asked[0].endswith(" -phase TEST -iterations 7")
    given = connect(read_prototxt(tmp_path / "asked.prototxt"))
    assert infer_shapes(given)[0].tops == (DEPLOYED["data"],)
    assert len(given.steps) == len(zoo.build("googlenet").layers)


def test_one_that_fails_says_why(caffe_time: ModuleType, tmp_path: Path) -> None:
    fails = "echo 'F1126 06:53:31.1 7 net.cpp:1] no memory' >&2; echo '@ 0x1 main' >&2; exit 134"
    for row in rows(caffe_time, stand_in(tmp_path, fails)):
        assert row.timing is None
        assert row.absent.endswith("exit code 134: F1126 06:53:31.1 7 net.cpp:1] no memory")


def test_without_one_another_machines_number_is_named_as_such(caffe_time: ModuleType) -> None:
    absent = [row.absent for row in rows(caffe_time, None)]
    assert absent == [
        "no --caffe BINARY was given; two cores of another machine took 49.8 ms",
        "no --caffe BINARY was given",
    ]


def test_a_training_net_and_the_part_up_to_a_layer(caffe_time: ModuleType) -> None:
    """Data layers become inputs; what a layer does not need is left out."""
    train = zoo.build("googlenet", deploy=False).for_phase(Phase.TRAIN)
    fed = caffe_time.with_inputs(train, {"data": (4, 3, 224, 224), "label": (4,)})
    assert infer_shapes(connect(fed))[0].tops == ((4, 3, 224, 224), (4,))
    assert [layer.name for layer in fed.layers] == [layer.name for layer in train.layers]
    upto = caffe_time.with_inputs(zoo.build("googlenet"), {"data": (1, 3, 575, 1024)}, ["inception_4c/output"])
    last = infer_shapes(connect(upto))[-1]
    assert (last.step.layer.name, last.tops) == ("inception_4c/output", ((1, 512, 36, 64),))


def test_what_is_no_program(caffe_time: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    caffe_time.add_option(parser)
    with pytest.raises(SystemExit):
        parser.parse_args(["--caffe", str(tmp_path)])
    assert "is no program" in capsys.readouterr().err
