import json

import numpy as np
import pytest

from trtdream.errors import InputRefused
from trtdream.runtime.image import load_image
from trtdream.runtime.preprocess import Preprocess, deprocess, preprocess, ten_crops

BGR_MEAN = np.array([104, 117, 123], dtype=np.float32)


@pytest.fixture(scope="module")
def transformer(truth):
    return np.load(truth / "data" / "transformer.npz")


@pytest.fixture(scope="module")
def train_images(truth):
    return np.load(truth / "train" / "images.npz")


@pytest.fixture(scope="module")
def pictures(train_images):
    """The 16 pictures that DataTransformer was fed with, H x W x 3 RGB."""
    return train_images["images_bgr_chw_uint8"][:16, ::-1].transpose(0, 2, 3, 1)


@pytest.fixture(scope="module")
def chelsea(truth):
    """What the Classifier's crops were cut from: 256 x 256 x 3 RGB float32, 0..255."""
    return np.load(truth / "nets" / "chelsea_256_rgb01.npy") * np.float32(255)


@pytest.fixture
def noise():
    return np.random.default_rng(7).integers(0, 256, (60, 80, 3), dtype=np.uint8)


# Caffe's DataTransformer, TEST phase


def test_centre_crop_with_mean_values_equals_caffe(transformer, pictures):
    spec = Preprocess(size=(32, 32), squash=None, mean=BGR_MEAN)
    blobs = np.stack([preprocess(picture, spec) for picture in pictures])
    assert blobs.dtype == np.float32
    np.testing.assert_array_equal(blobs, transformer["test_crop32_meanvalue"])


def test_centre_crop_with_a_mean_image_equals_caffe(transformer, pictures, train_images):
    for squash in (None, (48, 48)):
        spec = Preprocess(size=(33, 33), squash=squash, mean=train_images["mean"])
        blobs = np.stack([preprocess(picture, spec) for picture in pictures])
        np.testing.assert_array_equal(blobs, transformer["test_crop33_meanfile"])  # offset 7, not 7.5


def test_mirrored_centre_crop_with_a_mean_image_equals_caffe(transformer, pictures, train_images):
    spec = Preprocess(size=(33, 33), squash=None, mean=train_images["mean"])
    mirrored = 0
    for picture, wanted in zip(pictures, transformer["test_crop33_mirrortrue"], strict=True):
        crops = ten_crops(picture, spec)
        which = 9 if np.array_equal(crops[9], wanted) else 4  # `mirror: true` mirrors every other, by chance
        np.testing.assert_array_equal(crops[which], wanted)
        mirrored += which == 9
    assert 0 < mirrored < len(pictures)


def test_scale_comes_after_the_mean(transformer, pictures):
    spec = Preprocess(size=(48, 48), squash=None, mean=np.full(3, 127.0), scale=1 / 128)
    blobs = np.stack([preprocess(picture, spec) for picture in pictures])
    np.testing.assert_array_equal(blobs, transformer["test_scale"])


# pycaffe's Classifier


def test_googlenet_input_equals_caffe(truth, chelsea):
    spec = Preprocess(size=(224, 224), squash=(256, 256), mean=BGR_MEAN)
    wanted = np.load(truth / "nets" / "googlenet_input.npy")[0]
    np.testing.assert_allclose(preprocess(chelsea, spec), wanted, atol=3e-5)


@pytest.mark.parametrize("net", ["googlenet", "caffenet_fc256"])
def test_ten_crops_equal_caffes_oversample(truth, chelsea, net):
    classifier = np.load(truth / "nets" / f"{net}_classifier.npz")
    wanted = classifier["crops_preprocessed_f16"].astype(np.float32)
    mean = classifier["mean_as_used"]  # googlenet 3 x 1 x 1; caffenet 3 x 227 x 227, the input's size
    mean = mean.reshape(3) if mean.size == 3 else mean
    spec = Preprocess(size=wanted.shape[2:], squash=(256, 256), mean=mean)
    crops = ten_crops(chelsea, spec)
    assert crops.shape == wanted.shape
    np.testing.assert_allclose(crops, wanted, atol=0.0626)  # half a step of float16 at 64..128
    np.testing.assert_array_equal(crops[4], preprocess(chelsea, spec))


def test_a_mean_image_follows_its_crops(noise):
    mean = np.random.default_rng(8).uniform(90, 130, (3, 60, 80)).astype(np.float32)
    crops = ten_crops(noise, Preprocess(size=(20, 30), squash=None, mean=mean))
    whole = noise[:, :, ::-1].transpose(2, 0, 1) - mean
    np.testing.assert_array_equal(crops[3], whole[:, 40:, 50:])
    np.testing.assert_array_equal(crops[8], whole[:, 40:, 50:][:, :, ::-1])
    np.testing.assert_array_equal(crops[4], whole[:, 20:40, 25:55])


# channels, and back


def test_rgb_networks_get_rgb(noise):
    blob = preprocess(noise, Preprocess(size=(60, 80), squash=None, mean=np.array([1, 2, 3]), channels="RGB"))
    np.testing.assert_array_equal(blob, noise.transpose(2, 0, 1) - np.array([1, 2, 3])[:, None, None])


def test_grey_equals_convert_imageset_gray(truth):
    wanted = np.load(truth / "data" / "convert_imageset_chelsea.npz")["gray_chw_uint8"].astype(int)
    image = load_image(truth / "nets" / "chelsea.jpg")
    grey = preprocess(image, Preprocess((300, 451), None, np.zeros(1), channels="GREY"))
    assert grey.shape == (1, 300, 451)
    # Caffe takes the JPEG's own luminance; coming from RGB, a few pixels at the end of the scale differ
    difference = np.abs(grey - wanted)
    assert difference.max() <= 2
    assert difference.mean() < 0.001


def test_grey_of_a_grey_picture_is_exact():
    digit = np.arange(28 * 28, dtype=np.uint8).reshape(28, 28, 1).repeat(3, axis=2)
    blob = preprocess(digit, Preprocess((28, 28), None, np.zeros(1), scale=1 / 256, channels="GREY"))
    np.testing.assert_array_equal(blob[0] * 256, digit[:, :, 0])


@pytest.mark.parametrize(("channels", "mean"), [("BGR", BGR_MEAN), ("RGB", BGR_MEAN[::-1])])
@pytest.mark.parametrize("scale", [1.0, 1 / 255, 0.017])
def test_deprocess_brings_every_pixel_back(noise, channels, mean, scale):
    spec = Preprocess(size=(60, 80), squash=None, mean=mean, scale=scale, channels=channels)
    np.testing.assert_array_equal(deprocess(preprocess(noise, spec), spec), noise)


def test_deprocess_knows_the_place_in_a_mean_image(noise):
    mean = np.random.default_rng(8).uniform(90, 130, (3, 60, 80)).astype(np.float32)
    spec = Preprocess(size=(33, 51), squash=None, mean=mean)
    np.testing.assert_array_equal(deprocess(preprocess(noise, spec), spec), noise[13:46, 14:65])
    with pytest.raises(InputRefused, match="mean image"):
        deprocess(np.zeros((3, 40, 40)), spec)


def test_deprocess_clips_and_shows_grey_as_rgb():
    spec = Preprocess(size=(2, 1), squash=None, mean=np.array([100.0]), channels="GREY")
    picture = deprocess(np.array([[[900.0], [-900.0]]]), spec)
    np.testing.assert_array_equal(picture, [[[255] * 3], [[0] * 3]])


def test_mean_values_of_a_mean_image(shared):
    from trtdream.caffe.mean import read_mean

    mean = read_mean(shared / "ilsvrc12" / "imagenet_mean.binaryproto")
    spec = Preprocess(size=(227, 227), squash=(256, 256), mean=mean)
    # the values every Caffe example gives for this file
    np.testing.assert_allclose(spec.mean_values, [104.0, 116.7, 122.7], atol=0.05)


# what does not fit


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mean": np.zeros((3, 250, 250))}, "mean image is 250 x 250"),
        ({"mean": np.zeros(4)}, "mean of shape"),
        ({"mean": np.full(3, np.nan)}, "mean of shape"),
        ({"size": (300, 224)}, "crop of 300 x 224 does not fit"),
        ({"size": (0, 224)}, "positive"),
        ({"scale": 0.0}, "scale"),
        ({"channels": "HSV"}, "HSV"),
    ],
)
def test_a_spec_that_contradicts_itself_is_refused(changes, message):
    settings = {"size": (224, 224), "squash": (256, 256), "mean": BGR_MEAN} | changes
    with pytest.raises(InputRefused, match=message):
        Preprocess(**settings)


def test_a_picture_that_does_not_fit_is_refused(noise):
    with pytest.raises(InputRefused, match="60 x 80 holds no crop of 224 x 224"):
        preprocess(noise, Preprocess((224, 224), None, BGR_MEAN))
    with pytest.raises(InputRefused, match="its mean image 50 x 50"):
        preprocess(noise, Preprocess((40, 40), None, np.zeros((3, 50, 50))))


# the JSON form


def test_json_round_trip_with_values():
    spec = Preprocess((224, 224), None, np.array([103.939, 116.779, 123.68]), 0.017, "RGB")
    assert Preprocess.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec
    assert Preprocess((224, 224), None, BGR_MEAN) != spec


def test_json_round_trip_with_a_mean_image():
    mean = np.random.default_rng(3).uniform(0, 255, (3, 256, 256)).astype(np.float32)
    spec = Preprocess((227, 227), (256, 256), mean)
    document = json.loads(json.dumps(spec.to_dict(mean_file="mean.npy")))
    assert len(json.dumps(document)) < 400
    assert Preprocess.from_dict(document, {"mean.npy": mean}.__getitem__) == spec
    with pytest.raises(InputRefused, match=r"mean\.npy"):
        Preprocess.from_dict(document, lambda _: mean + 1)
    with pytest.raises(InputRefused, match="not at hand"):
        Preprocess.from_dict(document)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("size", [224]),
        ("size", [224.0, 224]),
        ("squash", "256"),
        ("scale", "1"),
        ("scale", True),
        ("channels", 3),
        ("mean", None),
        ("mean", ["a"]),
        ("mean", {"file": "../mean.npy", "shape": [3, 256, 256], "sha256": "0"}),
        ("mean", {"file": "mean.npy"}),
        ("crop", 227),
    ],
)
def test_a_json_form_that_is_none_is_refused(key, value):
    document = Preprocess((224, 224), (256, 256), BGR_MEAN).to_dict() | {key: value}
    with pytest.raises(InputRefused, match="preprocessing"):
        Preprocess.from_dict(document, lambda _: BGR_MEAN)


def test_a_json_form_with_a_key_missing_is_refused():
    document = Preprocess((224, 224), (256, 256), BGR_MEAN).to_dict()
    del document["mean"]
    with pytest.raises(InputRefused, match="mean"):
        Preprocess.from_dict(document)


def test_the_name_of_the_mean_file_must_be_bare():
    spec = Preprocess((4, 4), None, np.zeros((3, 8, 8)))
    for name in (None, "", "..", "a/b.npy", "a\\b.npy"):
        with pytest.raises(ValueError, match="bare name"):
            spec.to_dict(mean_file=name)


def test_torch_is_not_needed():
    import subprocess
    import sys

    code = "import sys, trtdream.runtime.preprocess; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
