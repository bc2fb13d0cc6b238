"""Every kind's fields, types and defaults against caffe.proto of Caffe 1.0, written down here independently.

A field is `name type default`; `*` marks a repeated one, `-` a field without a default. uint stands for uint32, int for
int32 and int64. Two defaults of 0 are "-" here, those of pad_h and pad_w: Caffe asks whether they are given. FILLER
stands for FillerParameter, whose default is spelt out where the layer's own code has another.
"""

from enum import StrEnum

import pytest

import trtdream.net.kinds  # noqa: F401  fills the registry
from trtdream.caffe.schema import slots
from trtdream.net.kind import KINDS
from trtdream.net.parameters import BlobShape, Filler, LossOptions, Transformation

ENGINE = "engine DEFAULT|CAFFE|CUDNN DEFAULT"
CONVOLUTION = f"""num_output uint 0; bias_term bool true; pad uint *; kernel_size uint *; group uint 1; stride uint *;
    weight_filler FILLER -; bias_filler FILLER -; pad_h uint -; pad_w uint -; kernel_h uint 0; kernel_w uint 0;
    stride_h uint 0; stride_w uint 0; {ENGINE}; axis int 1; force_nd_im2col bool false; dilation uint *"""
LOSS = "loss_param:loss LOSS -"
DATA = "source string -; batch_size uint {}; transform_param:transform TRANSFORM -"

# Caffe's type name, its message, its name in V1 files, its fields.
PROTO = {
    "AbsVal": ("-", "ABSVAL", ""),
    "Accuracy": ("accuracy_param", "ACCURACY", "top_k uint 1; axis int 1; ignore_label int -"),
    "ArgMax": ("argmax_param", "ARGMAX", "out_max_val bool false; top_k uint 1; axis int -"),
    "BNLL": ("-", "BNLL", ""),
    "BatchNorm": (
        "batch_norm_param",
        "-",
        "use_global_stats bool -; moving_average_fraction float .999; eps float 1e-5",
    ),
    "Bias": ("bias_param", "-", "axis int 1; num_axes int 1; filler FILLER -"),
    "Clip": ("clip_param", "-", "min float -; max float -"),
    "Concat": ("concat_param", "CONCAT", "axis int 1; concat_dim uint -"),
    "ContrastiveLoss": (
        "contrastive_loss_param",
        "CONTRASTIVE_LOSS",
        f"margin float 1; legacy_version bool false; {LOSS}",
    ),
    "Convolution": ("convolution_param", "CONVOLUTION", CONVOLUTION),
    "Crop": ("crop_param", "-", "axis int 2; offset uint *"),
    "Data": (
        "data_param",
        "DATA",
        DATA.format(0)
        + "; rand_skip uint 0; backend LEVELDB|LMDB LEVELDB; force_encoded_color bool false; prefetch uint 4",
    ),
    "Deconvolution": ("convolution_param", "DECONVOLUTION", CONVOLUTION),
    "Dropout": ("dropout_param", "DROPOUT", "dropout_ratio float .5"),
    "DummyData": (
        "dummy_data_param",
        "DUMMY_DATA",
        "data_filler FILLER *; num uint *; channels uint *; height uint *; width uint *; shape SHAPE *",
    ),
    "ELU": ("elu_param", "-", "alpha float 1"),
    "Eltwise": ("eltwise_param", "ELTWISE", "operation PROD|SUM|MAX SUM; coeff float *; stable_prod_grad bool true"),
    "EuclideanLoss": ("-", "EUCLIDEAN_LOSS", LOSS),
    "Exp": ("exp_param", "EXP", "base float -1; scale float 1; shift float 0"),
    "Flatten": ("flatten_param", "FLATTEN", "axis int 1; end_axis int -1"),
    "HDF5Data": ("hdf5_data_param", "HDF5_DATA", "source string -; batch_size uint 0; shuffle bool false"),
    "HingeLoss": ("hinge_loss_param", "HINGE_LOSS", f"norm L1|L2 L1; {LOSS}"),
    "ImageData": (
        "image_data_param",
        "IMAGE_DATA",
        DATA.format(1)
        + "; rand_skip uint 0; shuffle bool false; new_height uint 0; new_width uint 0; is_color bool true;"
        "root_folder string -",
    ),
    "InnerProduct": (
        "inner_product_param",
        "INNER_PRODUCT",
        "num_output uint 0; bias_term bool true; weight_filler FILLER -; bias_filler FILLER -; axis int 1;"
        "transpose bool false",
    ),
    "Input": ("input_param", "-", "shape SHAPE *"),
    "LRN": (
        "lrn_param",
        "LRN",
        "local_size uint 5; alpha float 1; beta float .75; norm_region ACROSS_CHANNELS|WITHIN_CHANNEL ACROSS_CHANNELS;"
        f"k float 1; {ENGINE}",
    ),
    "Log": ("log_param", "-", "base float -1; scale float 1; shift float 0"),
    "MVN": ("mvn_param", "MVN", "normalize_variance bool true; across_channels bool false; eps float 1e-9"),
    "MemoryData": (
        "memory_data_param",
        "MEMORY_DATA",
        "batch_size uint 0; channels uint 0; height uint 0; width uint 0; transform_param:transform TRANSFORM -",
    ),
    "PReLU": ("prelu_param", "-", "filler FILLER 0.25; channel_shared bool false"),
    "Parameter": ("parameter_param", "-", "shape SHAPE -"),
    "Pooling": (
        "pooling_param",
        "POOLING",
        "pool MAX|AVE|STOCHASTIC MAX; kernel_size uint 0; stride uint 1; pad uint 0; kernel_h uint 0; kernel_w uint 0;"
        f"stride_h uint 0; stride_w uint 0; pad_h uint -; pad_w uint -; {ENGINE}; global_pooling bool false;"
        "round_mode CEIL|FLOOR CEIL",
    ),
    "Power": ("power_param", "POWER", "power float 1; scale float 1; shift float 0"),
    "ReLU": ("relu_param", "RELU", f"negative_slope float 0; {ENGINE}"),
    "Reduction": ("reduction_param", "-", "operation SUM|ASUM|SUMSQ|MEAN SUM; axis int 0; coeff float 1"),
    "Reshape": ("reshape_param", "-", "shape SHAPE -; axis int 0; num_axes int -1"),
    "Scale": (
        "scale_param",
        "-",
        "axis int 1; num_axes int 1; filler FILLER 1; bias_term bool false; bias_filler FILLER -",
    ),
    "Sigmoid": ("sigmoid_param", "SIGMOID", ENGINE),
    "SigmoidCrossEntropyLoss": ("sigmoid_param", "SIGMOID_CROSS_ENTROPY_LOSS", f"{ENGINE}; {LOSS}"),
    "Silence": ("-", "SILENCE", ""),
    "Slice": ("slice_param", "SLICE", "axis int 1; slice_point uint *; slice_dim uint -"),
    "Softmax": ("softmax_param", "SOFTMAX", f"{ENGINE}; axis int 1"),
    "SoftmaxWithLoss": ("softmax_param", "SOFTMAX_LOSS", f"{ENGINE}; axis int 1; {LOSS}"),
    "Split": ("-", "SPLIT", ""),
    "Swish": ("swish_param", "-", "beta float 1"),
    "TanH": ("tanh_param", "TANH", ENGINE),
    "Threshold": ("threshold_param", "THRESHOLD", "threshold float 0"),
    "Tile": ("tile_param", "-", "axis int 1; tiles uint 0"),
    "WindowData": (
        "window_data_param",
        "WINDOW_DATA",
        DATA.format(0) + "; fg_threshold float .5; bg_threshold float .5; fg_fraction float .25; context_pad uint 0;"
        "crop_mode string warp; cache_images bool false; root_folder string -",
    ),
}
SHARED = {
    Filler: "type string constant; value float 0; min float 0; max float 1; mean float 0; std float 1; sparse int -1;"
    "variance_norm FAN_IN|FAN_OUT|AVERAGE FAN_IN",
    BlobShape: "dim int *",
    LossOptions: "ignore_label int -; normalization FULL|VALID|BATCH_SIZE|NONE -; normalize bool -",
    Transformation: "scale float 1; mirror bool false; crop_size uint 0; mean_file string -; mean_value float *;"
    "force_color bool false; force_gray bool false",
}
MESSAGES = {Filler: "FILLER", BlobShape: "SHAPE", LossOptions: "LOSS", Transformation: "TRANSFORM"}


Described = dict[str, tuple[str, object]]
READ = {"uint": int, "int": int, "float": float, "bool": "true".__eq__, "FILLER": float}


def written(fields: str) -> Described:
    """The fields in a text above: name -> type and default, None if there is none, "*" if the field repeats."""
    found: Described = {}
    for name, kind, default in (field.split() for field in fields.split(";") if field.strip()):
        found[name] = (kind, {"-": None, "*": "*"}.get(default) if default in "-*" else READ.get(kind, str)(default))
    return found


def declared(schema: type) -> Described:
    """The same of a schema."""
    found: Described = {}
    for slot in slots(schema).values():
        kind = {bool: "bool", float: "float", str: "string", int: "int" if slot.signed else "uint"}.get(slot.type, "")
        if not kind:
            kind = "|".join(slot.type.__members__) if issubclass(slot.type, StrEnum) else MESSAGES[slot.type]
        default = slot.default
        if isinstance(default, Filler):
            assert default == Filler(value=default.value)
            default = default.value or None
        elif slot.repeated or default == "" or kind in MESSAGES.values():
            assert default in ((), "", slot.type() if kind in MESSAGES.values() else "")
            default = "*" if slot.repeated else None
        found[f"{slot.message}:{slot.name}" if slot.message else slot.name] = (kind, default)
    return found


def test_no_kind_is_forgotten() -> None:
    assert sorted(KINDS) == sorted(PROTO)


@pytest.mark.parametrize("name", PROTO)
def test_kind(name: str) -> None:
    message, v1, fields = PROTO[name]
    assert (KINDS[name].message or "-", KINDS[name].v1_name or "-") == (message, v1)
    assert declared(KINDS[name]) == written(fields)


@pytest.mark.parametrize("schema", SHARED)
def test_shared_message(schema: type) -> None:
    assert declared(schema) == written(SHARED[schema])


@pytest.mark.parametrize(
    ("names", "bottoms", "tops"),
    [
        ("AbsVal BNLL ELU Exp Log MVN PReLU Power ReLU Sigmoid Swish TanH Clip Threshold Dropout LRN", (1, 1), (1, 1)),
        ("InnerProduct BatchNorm Flatten Reshape Tile Reduction ArgMax Softmax", (1, 1), (1, 1)),
        ("Scale Bias", (1, 2), (1, 1)),
        ("Crop EuclideanLoss HingeLoss SigmoidCrossEntropyLoss", (2, 2), (1, 1)),
        ("SoftmaxWithLoss Accuracy", (2, 2), (1, 2)),
        ("ContrastiveLoss", (3, 3), (1, 1)),
        ("Pooling", (1, 1), (1, 2)),
        ("Parameter", (0, 0), (1, 1)),
        ("Data ImageData WindowData", (0, 0), (1, 2)),
        ("MemoryData", (0, 0), (2, 2)),
    ],
)
def test_bottoms_and_tops(names: str, bottoms: tuple[int, int], tops: tuple[int, int]) -> None:
    for name in names.split():
        assert (KINDS[name].bottoms, KINDS[name].tops) == (bottoms, tops), name


def test_losses_and_inputs() -> None:
    assert {name for name, kind in KINDS.items() if kind.is_loss} == {name for name in KINDS if name.endswith("Loss")}
    inputs = {name for name, kind in KINDS.items() if kind.is_input}
    assert inputs == {"Input", "Data", "DummyData", "ImageData", "WindowData", "MemoryData", "HDF5Data"}
