import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli.command import refused, run

CAT = "images/caffe_bsd/cat.jpg"


@pytest.fixture
def real(shared: Path) -> tuple[object, ...]:
    """Options that name the real GoogLeNet."""
    return ("--net", "googlenet", "--weights", shared / "models/bvlc_googlenet.caffemodel")


@pytest.mark.full
def test_accuracy_is_real_caffes(shared: Path, real: tuple[object, ...]) -> None:
    """67.2 % top-1 and 90.8 % top-5 on 250 photographs, through our own image loading."""
    lines = [line.rsplit(" ", 1) for line in (shared / "imagenette-mini/val_ilsvrc12.txt").read_text().splitlines()]
    files = [shared / "imagenette-mini/val" / name for name, _ in lines]
    document = run("classify", *files, *real, "--json").document
    seen = [[one["index"] for one in image["top"]] for image in document["images"]]
    labels = [int(label) for _, label in lines]
    assert np.mean([found[0] == label for found, label in zip(seen, labels, strict=True)]) == pytest.approx(
        0.672, abs=0.01
    )
    assert np.mean([label in found for found, label in zip(seen, labels, strict=True)]) == pytest.approx(
        0.908, abs=0.01
    )


def test_each_photograph_as_caffe_sees_it(shared: Path, truth: Path, real: tuple[object, ...]) -> None:
    told = json.loads((truth / "real/googlenet_val_top5.json").read_text())["images"]
    names = list(told)[::25]
    document = run("classify", *(shared / "imagenette-mini/val" / name for name in names), *real, "--json").document
    for name, image in zip(names, document["images"], strict=True):
        assert image["top"][0]["index"] == told[name][0][0], name
        assert image["top"][0]["probability"] == pytest.approx(told[name][0][1], abs=2e-3), name


def test_table_and_provenance(shared: Path, real: tuple[object, ...]) -> None:
    ran = run("classify", shared / CAT, *real, "--top", "3")
    assert ran.code == 0
    assert "n02123045 tabby, tabby cat" in ran.out or "n02123159 tiger cat" in ran.out
    assert len(ran.out.splitlines()) == 1 + 3 + 1
    assert "bvlc_googlenet.caffemodel (sha256 " in ran.out.splitlines()[-1]


def test_oversample_averages_ten_crops(shared: Path, real: tuple[object, ...]) -> None:
    one, ten = (run("classify", shared / CAT, *real, "--json", *more).document for more in ((), ("--oversample",)))
    assert one["images"][0]["top"] != ten["images"][0]["top"]
    assert sum(c["probability"] for c in ten["images"][0]["top"]) <= 1


def test_bundled_network_steps_in(shared: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _nothing_fetched(monkeypatch, tmp_path)
    dog = next(iter(sorted((shared / "imagenette-mini/val/n02102040").iterdir())))
    ran = run("classify", dog, "--offline", "--json")
    assert ran.code == 0
    assert "steps in" in ran.err
    assert ran.document["weights"] == "googlenet_imagenette"
    assert ran.document["images"][0]["top"][0]["label"].startswith("n02102040 English springer")


def test_a_named_network_is_never_replaced(shared: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _nothing_fetched(monkeypatch, tmp_path)
    refused(run("classify", shared / CAT, "--net", "googlenet", "--offline"), 1, "trtdream fetch googlenet")


def test_pictures_of_every_mode(shared: Path, real: tuple[object, ...], tmp_path: Path) -> None:
    """Greyscale, alpha, palette, CMYK, 16 bits and a camera held upright just work, and are still a cat."""
    cat = Image.open(shared / CAT)
    exif = Image.Exif()
    exif[0x0112] = 6
    cat.rotate(90, expand=True).save(tmp_path / "rotated.jpg", exif=exif, quality=95)
    cat.convert("L").save(tmp_path / "grey.png")
    cat.convert("RGBA").save(tmp_path / "alpha.png")
    cat.convert("P").save(tmp_path / "palette.png")
    cat.convert("CMYK").save(tmp_path / "cmyk.jpg", quality=95)
    Image.fromarray(np.asarray(cat.convert("L"), np.uint16) * 257).save(tmp_path / "deep.png")
    files = sorted(tmp_path.iterdir())
    document = run("classify", *files, *real, "--json").document
    assert len(files) == 6
    for image in document["images"]:
        assert "cat" in " ".join(one["label"] for one in image["top"]), image


def test_bad_pictures(shared: Path, real: tuple[object, ...], tmp_path: Path) -> None:
    whole = (shared / CAT).read_bytes()
    bad = {"empty.jpg": b"", "text.jpg": b"not a picture", "cut.jpg": whole[: len(whole) // 2]}
    for name, content in bad.items():
        (tmp_path / name).write_bytes(content)
    Image.new("RGB", (1, 1)).save(tmp_path / "dot.png")
    for name in (*bad, "dot.png"):
        refused(run("classify", shared / CAT, tmp_path / name, *real), 3, name)
    refused(run("classify", tmp_path / "nowhere.jpg", *real), 2, "nowhere.jpg", "no such file")


def test_bad_weights(shared: Path, truth: Path, tmp_path: Path) -> None:
    whole = (shared / "models/bvlc_googlenet.caffemodel").read_bytes()
    cat, cut, empty = shared / CAT, tmp_path / "cut.caffemodel", tmp_path / "empty.caffemodel"
    cut.write_bytes(whole[:1_000_000])
    empty.write_bytes(b"")
    refused(run("classify", cat, "--weights", cut), 3, "cut.caffemodel")
    refused(run("classify", cat, "--weights", empty), 3, "empty.caffemodel", "0 bytes")
    refused(run("classify", cat, "--weights", cat), 3, "cat.jpg")
    other = truth / "nets/caffenet_fc256_random_seed4321.caffemodel"
    refused(run("classify", cat, "--weights", other), 3, other.name, "another network")
    refused(run("classify", cat, "--net", "caffenet", "--weights", other), 3, other.name, "fc6")
    refused(run("classify", cat, "--net", truth / "formats/mini_deploy.prototxt"), 2, "--weights FILE")


def _nothing_fetched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("TRTDREAM_WEIGHTS", raising=False)
    monkeypatch.setenv("TRTDREAM_HOME", str(tmp_path))


@pytest.mark.full
def test_a_list_with_labels(shared: Path, real: tuple[object, ...]) -> None:
    """Top-1 and top-5 are real Caffe's, the figures of the 250 photographs above."""
    mini = shared / "imagenette-mini"
    ran = run("classify", mini / "val_ilsvrc12.txt", "--root", mini / "val", *real, "--json")
    told = ran.document["accuracy"]
    assert told["pictures"] == 250
    assert told["top1"] == pytest.approx(0.672, abs=0.01) and told["top5"] == pytest.approx(0.908, abs=0.01)
    assert len(told["confusions"]) == 5
    assert "ONNX Runtime" in ran.err and "pictures/s" in ran.err


def test_csv(shared: Path, real: tuple[object, ...]) -> None:
    ran = run("classify", shared / "images/caffe_bsd", *real, "--csv", "--top", "2")
    lines = ran.out.splitlines()
    assert lines[0] == "file,rank,index,probability,class"
    assert len(lines) == 1 + 2 * len(list((shared / "images/caffe_bsd").glob("*.jpg")))
    assert "cat.jpg,1,28" in ran.out
    refused(run("classify", "a.jpg", "--csv", "--json"), 2, "one or the other")
