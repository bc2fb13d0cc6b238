"""The commands as a person runs them: output, files, exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from trtdream.caffe.mean import read_mean

ROOT = Path(__file__).parents[2]


def run(*arguments: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "trtdream", "data", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    return done


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("data")
    done = run("synth", made / "shapes", "--classes", 4, "--images", 24, "--val", 8, "--size", 40)
    assert "24 pictures in train.txt, 8 in val.txt, 4 classes" in done.stdout
    return made


def test_from_a_folder_to_a_packed_set_and_its_mean(folder: Path) -> None:
    """The four commands of README.md."""
    shapes = folder / "shapes"
    assert "train.txt (24 pictures), val.txt (8), 4 classes" in run("list", shapes, "--force").stdout
    assert run("scan", shapes / "train.txt", "--classes", 4).stdout == "24 samples, 24 good\n"
    done = run("pack", shapes / "train.txt", "-o", folder / "set", "--size", 32)
    assert "24 pictures packed, 0 left out" in done.stdout
    assert "will take 0 MB" in done.stderr
    done = run("mean", folder / "set", "-o", folder / "mean.binaryproto")
    mean = read_mean(folder / "mean.binaryproto")
    assert mean.shape == (3, 32, 32)
    assert f"mean_value channel [0]: {mean[0].mean():.4g}"[:28] in done.stdout
    assert Image.open(folder / "mean.png").size == (32, 32)
    assert "whole, 24 pictures" in run("verify", folder / "set").stdout
    sheet = folder / "batch.png"
    run("show", folder / "set", "-o", sheet, "--crop", 27, "--mirror", "--mean", folder / "mean.binaryproto")
    assert json.loads(Image.open(sheet).text["trtdream"])["crop"] == 27


def test_json(folder: Path) -> None:
    said = json.loads(run("scan", folder / "shapes" / "val.txt", "--json").stdout)
    assert said == {"count": 8, "good": 8, "faults": []}
    done = run("pack", folder / "shapes" / "val.txt", "-o", folder / "lmdb", "--size", 32, "--format", "lmdb", "--json")
    assert json.loads(done.stdout)["count"] == 8
    assert (folder / "lmdb" / "data.mdb").exists()


def test_a_bad_file(folder: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no picture")
    good = folder / "shapes" / "train" / "00_disc_rows" / "00000.jpg"
    (tmp_path / "list.txt").write_text(f"bad.jpg 0\n{good} 0\n")
    done = run("scan", tmp_path / "list.txt", "-o", tmp_path / "good.txt", code=3)
    assert "2 samples, 1 good; 1 broken" in done.stdout
    assert (tmp_path / "good.txt").read_text() == f"{good} 0\n"
    done = run("pack", tmp_path / "list.txt", "-o", tmp_path / "set", code=3)
    assert done.stderr.count("\n") == 2
    assert "bad.jpg: cannot be decoded" in done.stderr
    done = run("pack", tmp_path / "list.txt", "-o", tmp_path / "other", "--on-bad", "skip")
    assert "1 pictures packed, 1 left out\nleft out: bad.jpg" in done.stdout


def test_a_changed_set_fails_verification(folder: Path, tmp_path: Path) -> None:
    run("pack", folder / "shapes" / "val.txt", "-o", tmp_path / "set", "--size", 32)
    shard = tmp_path / "set" / "shard-00000.bin"
    shard.write_bytes(shard.read_bytes()[:-1] + b"\0")
    assert "changed since it was packed: shard-00000.bin" in run("verify", tmp_path / "set", code=4).stderr


def test_wrong_usage(tmp_path: Path) -> None:
    assert "no such list file, folder" in run("mean", tmp_path / "no", "-o", tmp_path / "m.npy", code=2).stderr
    (tmp_path / "m.npy").write_bytes(b"mine")
    assert "--force" in run("mean", tmp_path, "-o", tmp_path / "m.npy", code=2).stderr
    assert (tmp_path / "m.npy").read_bytes() == b"mine"
