from pathlib import Path

from tests.cli.command import refused, run


def test_the_classic_list(truth: Path) -> None:
    ran = run("layers", "--json")
    assert ran.code == 0
    listed = [f"{row['index']:04d} {row['blob']}" for row in ran.document["blobs"]]
    assert listed == (truth / "nets/googlenet_blob_list.txt").read_text().splitlines()
    assert ran.document["parameters"] == 6_998_552
    assert ran.document["macs"] == 1_582_671_872


def test_table() -> None:
    ran = run("layers", "googlenet")
    rows = ran.out.splitlines()
    assert rows[69].split() == ["0068", "inception_4c/output", "Concat", "1", "x", "512", "x", "14", "x", "14"]
    assert rows[-1] == "GoogleNet: 121 blobs, 6,998,552 parameters, 1,582,671,872 MACs"


def test_prototxt_and_phase(truth: Path) -> None:
    net = truth / "nets/googlenet_train_fc128_nodrop.prototxt"
    train, test = (run("layers", net, "--phase", phase, "--json").document for phase in ("train", "TEST"))
    assert "loss1/loss1" in {row["blob"] for row in train["blobs"]}
    assert len(test["blobs"]) > len(train["blobs"])


def test_another_input_size() -> None:
    document = run("layers", "caffenet", "--input", "data=10x3x227x227", "--json").document
    assert document["blobs"][-1]["shape"] == [10, 1000]
    assert document["macs"] == 10 * 724_406_816


def test_refusals(tmp_path: Path) -> None:
    refused(run("layers", "googlnet"), 2, "googlnet", "did you mean googlenet?")
    refused(run("layers", "googlenet", "--phase", "test2"), 2, "TRAIN nor TEST")
    refused(run("layers", "googlenet", "--input", "data=axb"), 2, "data=1x3x224x224")
    refused(run("layers", "googlenet", "--input", "dat=1x3x224x224"), 2, "no input dat")
    refused(run("layers", "googlenet", "--input", "data=1x3x20x20"), 3, "pool4/3x3_s2")
    refused(run("layers", tmp_path), 2, "trtdream import")
    broken = tmp_path / "broken.prototxt"
    broken.write_text('layer {\n  name: "x"\n  type: "Convolotion"\n}\n')
    refused(run("layers", broken), 3, "broken.prototxt", "'x'", "Convolotion", "Convolution?")
    broken.write_text('layer {\n  name: "x" type: "ReLU"\n  bottom: "x"\n  top "x"\n}\n')
    refused(run("layers", broken), 3, "broken.prototxt:4")
    broken.write_text('layer { name: "x" type: "ReLU" bottom: "nobody" top: "x" }')
    refused(run("layers", broken), 3, "'nobody'", "no layer")
