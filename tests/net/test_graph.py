"""Blobs and their versions; networks that cannot be connected; rules."""

import pytest

from trtdream.caffe.prototxt import net_from_text
from trtdream.errors import InputRefused, UsageError
from trtdream.net.graph import Graph, connect
from trtdream.net.kind import Phase
from trtdream.net.net import Net

DATA = 'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: [1, 3, 8, 8] } } }\n'


def relu(name: str, bottom: str, top: str) -> str:
    return f'layer {{ name: "{name}" type: "ReLU" bottom: "{bottom}" top: "{top}" }}\n'


def conv(name: str, bottom: str, top: str) -> str:
    return (
        f'layer {{ name: "{name}" type: "Convolution" bottom: "{bottom}" top: "{top}" '
        "convolution_param { num_output: 2 kernel_size: 1 } }\n"
    )


def graph(*layers: str) -> Graph:
    return connect(net_from_text("".join((DATA, *layers)), "net.prototxt"))


def test_in_place_versions() -> None:
    found = graph(
        conv("c", "data", "c"),
        relu("r", "c", "c"),
        'layer { name: "d" type: "Dropout" bottom: "c" top: "c" }',
        conv("e", "c", "e"),
    )
    assert [step.writes for step in found.steps] == [("data",), ("c@c",), ("c@r",), ("c",), ("e",)]
    assert [step.reads for step in found.steps] == [(), ("data",), ("c@c",), ("c@r",), ("c",)]
    assert found.outputs == ("e",)
    assert found.inputs == ("data",)


def test_readers_before_the_in_place_layer_see_the_earlier_value() -> None:
    found = graph(
        conv("c", "data", "c"), conv("before", "c", "before"), relu("r", "c", "c"), conv("after", "c", "after")
    )
    assert found.layers["before"].reads == ("c@c",)
    assert found.layers["after"].reads == ("c",)


def test_at_layer() -> None:
    """A layer's name means what the layer writes, even where a blob of that name is written again."""
    found = graph(conv("c", "data", "c"), relu("r", "c", "c"), relu("head", "c", "top"), relu("c2", "top", "head"))
    assert found.at_layer("c") == "c@c"
    assert found.at_layer("r") == "c"
    assert found.at_layer("head") == "top"  # the layer, not the blob
    assert found.at_layer("top") == "top"  # only a blob
    assert found.blob("c") == "c"
    assert found.blob("c@c") == "c@c"
    assert found.blob("head") == "head"


@pytest.mark.parametrize("look", ["at_layer", "blob"])
def test_misspelt_names_are_answered_with_the_nearest(look: str) -> None:
    found = graph(conv("inception/3x3", "data", "inception/3x3"), conv("other", "data", "other"))
    with pytest.raises(UsageError, match=r"'inception/3X3'; did you mean inception/3x3\?"):
        getattr(found, look)("inception/3X3")
    with pytest.raises(UsageError, match="`trtdream layers` lists them"):
        getattr(found, look)("zzzzzz")


@pytest.mark.parametrize(
    ("layers", "what"),
    [
        ([relu("a", "b", "a"), relu("b", "a", "b")], r"layer 'a' \(ReLU, line 2\): its bottom 'b' .* only by 'b'"),
        ([relu("a", "a", "a")], "its bottom 'a' is written only by 'a'"),
        ([relu("late", "data", "x"), relu("a", "y", "z"), relu("b", "x", "y")], "a cycle, or layers out of order"),
        ([relu("a", "nowhere", "a")], "its bottom 'nowhere' is written by no layer"),
        ([relu("a", "data", "a"), relu("b", "data", "a")], r"layer 'b' .*blob 'a' is written by a layer before"),
        ([relu("a", "data", "a"), relu("a", "a", "b")], r"layer 'a' \(ReLU, line 3\): a layer of that name"),
        ([conv("a", "data", "data")], "does not work in place: give its top another name than 'data'"),
        (['layer { name: "a" type: "Concat" bottom: "data" bottom: "data" }'], "has 0 tops, wants 1"),
        (['layer { name: "a" type: "ReLU" top: "a" }'], "has 0 bottoms, wants 1"),
        (['layer { name: "a" type: "Split" bottom: "data" top: "b" top: "b" }'], "names a top twice"),
        (['layer { name: "a" type: "Tile" bottom: "data" top: "b" }'], r"'a' \(Tile, line 2\): tiles must be"),
        (
            ['layer { name: "a" type: "ReLU" bottom: "data" top: "b" propagate_down: [true, false] }'],
            "propagate_down is given once a bottom",
        ),
        (['layer { name: "a" type: "ReLU" bottom: "data" top: "b" loss_weight: [1, 1] }'], "loss_weight is given once"),
        (
            [
                relu("a", "data", "a"),
                relu("b", "data", "b"),
                'layer { name: "e" type: "Eltwise" bottom: "a" bottom: "b" top: "b" }',
            ],
            "blob 'b' is written by a layer before it",  # in place only in the same slot
        ),
    ],
)
def test_refused(layers: list[str], what: str) -> None:
    with pytest.raises(InputRefused, match=f"^net: .*{what}"):
        graph(*layers)


def test_loss_without_a_top() -> None:
    found = graph('layer { name: "l" type: "EuclideanLoss" bottom: "data" bottom: "data" }')
    assert found.outputs == ("(automatic)@l",)


def rules(text: str) -> Net:
    return net_from_text(f'{DATA}layer {{ name: "a" type: "ReLU" bottom: "data" top: "a" {text} }}', "net.prototxt")


@pytest.mark.parametrize(
    ("rule", "phase", "level", "stages", "there"),
    [
        ("", Phase.TRAIN, 0, (), True),
        ("include { phase: TRAIN }", Phase.TRAIN, 0, (), True),
        ("include { phase: TRAIN }", Phase.TEST, 0, (), False),
        ("include { }", Phase.TEST, 0, (), True),
        ("exclude { phase: TRAIN }", Phase.TRAIN, 0, (), False),
        ("exclude { phase: TRAIN }", Phase.TEST, 0, (), True),
        ("include { phase: TRAIN } include { stage: 'x' }", Phase.TEST, 0, ("x",), True),
        ("include { phase: TRAIN stage: 'x' }", Phase.TEST, 0, ("x",), False),
        ("include { stage: 'x' stage: 'y' }", Phase.TEST, 0, ("x",), False),
        ("include { stage: 'x' stage: 'y' }", Phase.TEST, 0, ("y", "z", "x"), True),
        ("include { not_stage: 'x' }", Phase.TEST, 0, ("x",), False),
        ("include { stage: 'y' not_stage: 'x' }", Phase.TEST, 0, ("y",), True),
        ("exclude { stage: 'x' } exclude { stage: 'y' }", Phase.TEST, 0, ("y",), False),
        ("include { min_level: 1 }", Phase.TEST, 0, (), False),
        ("include { min_level: 1 max_level: 3 }", Phase.TEST, 3, (), True),
        ("include { max_level: -1 }", Phase.TEST, 0, (), False),
        ("include { min_level: -2 }", Phase.TEST, -2, (), True),
    ],
)
def test_rules(rule: str, phase: Phase, level: int, stages: tuple[str, ...], there: bool) -> None:
    net = rules(rule).for_phase(phase, level, stages)
    assert [layer.name for layer in net.layers] == (["data", "a"] if there else ["data"])
    assert not any(layer.include or layer.exclude for layer in net.layers)


def test_level_and_stages_of_the_file() -> None:
    """They hold until `for_phase` is told others; the phase a file names does not bind the caller."""
    text = f"state {{ phase: TEST level: 2 stage: 'x' }} {DATA}"
    net = net_from_text(
        text + 'layer { name: "a" type: "ReLU" bottom: "data" top: "a" include { min_level: 2 stage: "x" } }', "n"
    )
    assert len(net.for_phase(Phase.TRAIN).layers) == 2
    assert len(net.for_phase(Phase.TRAIN, level=1).layers) == 1
    assert len(net.for_phase(Phase.TRAIN, stages=()).layers) == 1


def test_one_name_in_two_phases() -> None:
    net = net_from_text(
        DATA.replace("} } }", "} } include { phase: TRAIN } }")
        + DATA.replace("} } }", "} } include { phase: TEST } }"),
        "net",
    )
    for phase in Phase:
        assert connect(net.for_phase(phase)).inputs == ("data",)
    with pytest.raises(InputRefused, match="a layer of that name"):
        connect(net)
