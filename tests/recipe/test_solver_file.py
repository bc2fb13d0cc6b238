"""Solver files as recipes."""

from __future__ import annotations

from pathlib import Path

import pytest

from trtdream.errors import InputRefused, UsageError
from trtdream.recipe.load import load_recipe

DATA = """layer {{ name: "data" type: "{kind}" top: "data" top: "label" include {{ phase: {phase} }}
  transform_param {{ mirror: true crop_size: 20 mean_value: 104 mean_value: 117 mean_value: 123 scale: 0.5 }}
  {fields} }}
"""
REST = """layer { name: "fc" type: "InnerProduct" bottom: "data" top: "fc" inner_product_param { num_output: 3 } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label" top: "loss" }
"""
SOLVER = """net: "net.prototxt"  test_iter: 5  test_interval: 10
base_lr: 0.01 lr_policy: "multistep" gamma: 0.5 stepvalue: 3 stepvalue: 6 max_iter: 9 momentum: 0.9
clip_gradients: 35 iter_size: 2 random_seed: 7 snapshot: 4 snapshot_prefix: "out/snap" solver_mode: CPU
"""
LMDB = 'data_param { source: "db" batch_size: 4 backend: LMDB }'
LIST = (
    'image_data_param { source: "list.txt" batch_size: 6 new_height: 24 new_width: 24 shuffle: true '
    'root_folder: "pictures/" }'
)


def _write(folder: Path, solver: str = SOLVER, train: str = LMDB, kind: str = "Data") -> Path:
    net = DATA.format(kind=kind, phase="TRAIN", fields=train) + DATA.format(kind="Data", phase="TEST", fields=LMDB)
    (folder / "net.prototxt").write_text(net + REST)
    (folder / "solver.prototxt").write_text(solver)
    return folder / "solver.prototxt"


def test_what_a_solver_says_becomes_the_recipe(tmp_path: Path) -> None:
    recipe = load_recipe(_write(tmp_path), ["solver.base_lr=0.02"])
    s = recipe.solver
    assert (s.base_lr, s.lr_policy, s.gamma, s.stepvalue, s.max_iter) == (0.02, "multistep", 0.5, (3, 6), 9)
    assert (s.momentum, s.clip_gradients, s.iter_size, s.test_interval) == (0.9, 35, 2, 10)
    assert recipe.net.path == tmp_path / "net.prototxt"
    train, (test,) = recipe.data.train, recipe.data.test
    assert (train.batch, train.resize, train.crop, train.mirror, train.scale) == (4, "none", 20, True, 0.5)
    assert train.mean_value == (104, 117, 123) and not train.shuffle
    assert test.iterations == 5
    run = recipe.run
    assert (run.folder, run.seed, run.snapshot, run.device) == (Path("out/snap"), 7, 4, "cpu")


def test_a_list_of_images_is_squashed_and_shuffled(tmp_path: Path) -> None:
    train = load_recipe(_write(tmp_path, train=LIST, kind="ImageData")).data.train
    assert (train.size, train.resize, train.shuffle, train.root) == (24, "squash", True, Path("pictures"))
    from_here = load_recipe(_write(tmp_path, train=LIST.replace('root_folder: "pictures/"', ""), kind="ImageData"))
    assert from_here.data.train.root == Path()  # as in Caffe: from the working directory, not from the list's folder


def test_legacy_types_and_a_net_in_the_file(tmp_path: Path) -> None:
    _write(tmp_path)
    net = (tmp_path / "net.prototxt").read_text()
    text = SOLVER.replace('net: "net.prototxt"', f"net_param {{ {net} }}") + "solver_type: ADAM"
    recipe = load_recipe(_write(tmp_path, text))
    assert recipe.solver.type == "Adam" and recipe.net.path == tmp_path / "solver.prototxt"
    from trtdream.recipe.networks import train_net

    assert [layer.name for layer in train_net(recipe).layers] == ["data", "fc", "loss"]


def test_several_test_nets(tmp_path: Path) -> None:
    path = _write(tmp_path, SOLVER.replace("test_iter: 5", 'test_iter: 5 test_iter: 8 test_net: "second.prototxt"'))
    (tmp_path / "second.prototxt").write_text(
        (tmp_path / "net.prototxt").read_text().replace("batch_size: 4", "batch_size: 2")
    )
    first, second = load_recipe(path).data.test
    assert (first.net, first.batch, first.iterations) == (tmp_path / "second.prototxt", 2, 5)
    assert (second.net, second.batch, second.iterations) == (None, 4, 8)


@pytest.mark.parametrize(
    ("solver", "error", "wanted"),
    [
        (SOLVER.replace("base_lr", "base_rate"), InputRefused, "solver.prototxt:2: unknown field 'base_rate'"),
        (SOLVER.replace("net.prototxt", "gone.prototxt"), UsageError, "net gone.prototxt: no such file"),
        (SOLVER.replace('net: "net.prototxt"', ""), UsageError, "names no net to train"),
        (SOLVER.replace('"multistep"', '"sometimes"'), UsageError, "solver.lr_policy: input should be"),
        (SOLVER.replace("gamma: 0.5", ""), UsageError, "solver.gamma: lr_policy multistep needs it"),
        (SOLVER + 'type: "Lion"', UsageError, "solver.type: input should be"),
        (SOLVER.replace("0.9", "nine"), InputRefused, "momentum: 'nine' is no number"),
        (SOLVER + "{", InputRefused, "solver.prototxt:4"),
    ],
)
def test_faults_of_solver_files(tmp_path: Path, solver: str, error: type[Exception], wanted: str) -> None:
    with pytest.raises(error) as caught:
        load_recipe(_write(tmp_path, solver))
    assert wanted in str(caught.value)


def test_data_that_no_recipe_can_feed(tmp_path: Path) -> None:
    memory = "memory_data_param { batch_size: 4 channels: 3 height: 20 width: 20 }"
    with pytest.raises(UsageError, match=r"one Data or ImageData layer .* there is data \(MemoryData\)"):
        load_recipe(_write(tmp_path, train=memory, kind="MemoryData"))
    grey = LIST.replace("shuffle", "is_color: false shuffle")
    with pytest.raises(UsageError, match="not made grey here"):
        load_recipe(_write(tmp_path, train=grey, kind="ImageData"))
    uneven = LIST.replace("new_width: 24", "new_width: 32")
    with pytest.raises(UsageError, match="new_height and new_width differ"):
        load_recipe(_write(tmp_path, train=uneven, kind="ImageData"))
