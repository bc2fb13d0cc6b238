"""Networks as prototxt: layers and their fields, what is refused and how it is named, and writing."""

import random
from pathlib import Path

import pytest

from tests.caffe import zoo_texts
from trtdream.caffe.prototxt import net_from_text, read_prototxt, text_from_net
from trtdream.errors import InputRefused, TrtdreamError, UsageError
from trtdream.net.graph import connect
from trtdream.net.kind import Phase
from trtdream.net.kinds.convolution import Convolution
from trtdream.net.kinds.losses import SoftmaxWithLoss
from trtdream.net.net import Net, ParamSpec, Rule
from trtdream.net.parameters import Engine, Filler, LossOptions, Normalization
from trtdream.net.shapes import infer_shapes


def net(text: str) -> Net:
    return net_from_text(text, "net.prototxt")


EVERYTHING = """
name: "everything"
force_backward: true
debug_info: true
state { phase: TEST level: 3 stage: "a" stage: 'b' }
layer {
  name: "conv" type: "Convolution" bottom: "x" top: "y"
  phase: TEST
  loss_weight: 0.5
  param { name: "w" lr_mult: 10 decay_mult: 0 share_mode: PERMISSIVE } param { }
  propagate_down: false
  include { phase: TRAIN min_level: -1 max_level: 2 } include { stage: "s" not_stage: "t" }
  convolution_param { num_output: 4 kernel_size: [3, 5] engine: CAFFE weight_filler { type: "msra" std: 1e-3 } }
}
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "y" bottom: "t" top: "loss" exclude { phase: TEST }
  loss_param { ignore_label: -1 normalization: FULL normalize: false } softmax_param { axis: -1 engine: CUDNN } }
"""


def test_every_common_field() -> None:
    found = net(EVERYTHING)
    assert (found.name, found.force_backward, found.level, found.stages) == ("everything", True, 3, ("a", "b"))
    conv, loss = found.layers
    assert conv.kind == Convolution(4, kernel_size=(3, 5), engine=Engine.CAFFE, weight_filler=Filler("msra", std=1e-3))
    assert conv.params == (ParamSpec("w", 10, 0, permissive=True), ParamSpec())
    assert conv.include == (Rule(Phase.TRAIN, -1, 2), Rule(stage=("s",), not_stage=("t",)))
    assert (conv.phase, conv.loss_weight, conv.propagate_down) == (Phase.TEST, (0.5,), (False,))
    assert (conv.line, loss.line) == (6, 15)
    assert loss.kind == SoftmaxWithLoss(Engine.CUDNN, -1, LossOptions(-1, Normalization.FULL, False))
    assert loss.exclude == (Rule(Phase.TEST),)


def test_round_trip_of_every_common_field() -> None:
    found = net(EVERYTHING)
    assert net(text_from_net(found)) == found
    named = net(EVERYTHING.replace('"conv"', r'"a \"quoted\"\\ name\n卷积"'))
    assert named.layers[0].name == 'a "quoted"\\ name\n卷积'
    assert net(text_from_net(named)) == named


def test_a_padding_of_0_that_was_given_is_written() -> None:
    """Caffe's pooling wants pad_h and pad_w both, or neither."""
    text = 'layer { name: "p" type: "Pooling" pooling_param { kernel_size: 3 pad_h: 1 pad_w: 0 } }'
    assert "pad_w: 0" in text_from_net(net(text))
    assert "pad" not in text_from_net(net(text.replace("pad_h: 1 pad_w: 0", "pad: 0")))


def test_a_net_without_a_name_has_its_files(tmp_path: Path) -> None:
    path = tmp_path / "my.net.prototxt"
    path.write_text('layer { name: "a" type: "Input" top: "a" }')
    assert read_prototxt(path).name == "my.net"


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    layer = 'layer { name: "a" type: "Input" top: "a" }'
    for content in (b"\xef\xbb\xbf" + layer.encode(), b"# \xbe\xed\xbb\xfd\r\n" + layer.encode()):
        path.write_bytes(content)
        assert read_prototxt(path).layers[0].name == "a"
    path.write_bytes(b"\x0a\x03net\xa2\x06\x00\x00")
    with pytest.raises(InputRefused, match="is no text file, so no prototxt"):
        read_prototxt(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(InputRefused, match="does not belong here"):
        read_prototxt(path)
    path.write_bytes(b"")
    with pytest.raises(InputRefused, match="empty"):
        read_prototxt(path)
    with pytest.raises(UsageError, match="no such file"):
        read_prototxt(tmp_path / "none.prototxt")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "net.prototxt: holds no layers"),
        ('name: "x"', "net.prototxt: holds no layers"),
        ("base_lr: 0.01", "net.prototxt:1: unknown field 'base_lr'"),
        ('name: "a" name: "b" layer { name: "a" type: "ReLU" }', "net.prototxt:1: field 'name' is given twice"),
        ("layer: 1", "net.prototxt:1: 'layer' is a message"),
        ('\nlayer { type: "ReLU" }', "net.prototxt: layer '':2: a layer needs a name"),
        ('layer {\n name: "a" }', "net.prototxt: layer 'a':1: a layer needs a type"),
        ('\nlayer { name: "a" type: "Python" }', "layer 'a':2: unknown layer kind 'Python'"),
        ('layer { name: "a" type: "Convolutoin" }', "unknown layer kind 'Convolutoin' (did you mean Convolution?)"),
        ('layer { name: "a" type: "CONVOLUTION" }', "layer 'a':1: unknown layer kind 'CONVOLUTION'"),
        ("layer { name: 'a' type: ReLU }", "layer 'a':1: type: 'ReLU' needs quotes"),
        (
            'layer { name: "a" type: "ReLU"\n pooling_param { } }',
            "layer 'a':2: unknown field 'pooling_param' in a ReLU",
        ),
        ('layer { name: "a" type: "ReLU"\n relu_param {\n slope: 1 } }', "layer 'a':3: unknown field 'slope'"),
        ('layer { name: "a" type: "ReLU"\n blobs_lr: 1 }', "layer 'a':2: unknown field 'blobs_lr' in a ReLU layer"),
        ('layer { name: "a" type: "BNLL" bnll_param { } }', "unknown field 'bnll_param' in a BNLL layer"),
        ('layer { name: "a" type: "ReLU" relu_param { } relu_param { } }', "layer 'a':1: relu_param is given twice"),
        ('layer { name: "a" type: "ReLU" relu_param: 1 }', "'relu_param' is a message: relu_param { ... }"),
        ('layer { name: "a" name: "b" type: "ReLU" }', "field 'name' is given twice"),
        ('layer { name: "a" type: "ReLU" type: "ReLU" }', "field 'type' is given twice"),
        ('layer { name: "a" type: "ReLU" include { } exclude { } }', "include rules or exclude rules, not both"),
        ('layer { name: "a" type: "ReLU" include { phase: TRIAN } }', "phase: 'TRIAN' is none of TRAIN, TEST"),
        ('layer { name: "a" type: "ReLU" param { lr: 1 } }', "layer 'a':1: unknown field 'lr'"),
        ('layer { name: "a" type: "Data" loss_param { } }', "unknown field 'loss_param' in a Data layer"),
        ('layer { name: "a" type: "Data" transform_param { croop: 1 } }', "unknown field 'croop'"),
        ('layer { name: "a" type: "SoftmaxWithLoss" softmax_param { loss: 1 } }', "unknown field 'loss'"),
    ],
)
def test_refused_by_name_layer_and_line(text: str, what: str) -> None:
    with pytest.raises(InputRefused) as refusal:
        net(text)
    assert what in str(refusal.value)
    assert "\n" not in str(refusal.value)


def damaged(text: str, rng: random.Random) -> str:
    """The text with a piece cut out, doubled, or replaced by another of its words."""
    start = rng.randrange(len(text))
    end = min(len(text), start + rng.choice([1, 2, 5, 30, 300]))
    piece = rng.choice(["", text[start:end] * 2, "-1", "0", "{", "}", '"', "1e39", "nan", "layer", "99999", "[", "\\"])
    return text[:start] + piece + text[end:]


def test_nothing_but_refusals_comes_of_damaged_files() -> None:
    """Read, connected and shaped as far as they go: no other exception, whatever was cut out or put in."""
    rng = random.Random(0)
    siamese = (Path(__file__).parent / "zoo/siamese_mnist.prototxt").read_text()
    texts = [EVERYTHING, siamese, zoo_texts.vgg16(v1=True)[:3000], zoo_texts.squeezenet()[:3000]]
    refused = 0
    for _ in range(600):
        text = damaged(rng.choice(texts), rng)
        try:
            for phase in Phase:
                infer_shapes(connect(net(text).for_phase(phase)))
        except TrtdreamError as error:
            assert isinstance(error, InputRefused | UsageError)
            assert "\n" not in str(error)
            refused += 1
    assert refused > 200
