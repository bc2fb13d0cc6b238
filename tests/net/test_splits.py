"""Caffe's InsertSplits rule on small networks; BVLC's own are in test_structure.py."""

from trtdream.caffe.prototxt import net_from_text
from trtdream.net.graph import connect
from trtdream.net.net import Net
from trtdream.net.splits import blob_list, insert_splits, unsplit


def net(*layers: str) -> Net:
    return net_from_text("\n".join(f"layer {{ {layer} }}" for layer in layers), "net.prototxt")


DATA = 'name: "d" type: "Input" top: "data" top: "label" input_param { shape { dim: 1 } }'


def test_a_blob_with_one_reader_has_no_split() -> None:
    chain = net(DATA, 'name: "r" type: "ReLU" bottom: "data" top: "data"', 'name: "s" type: "Silence" bottom: "data"')
    assert insert_splits(chain) == chain
    assert blob_list(chain) == ["data", "label"]


def test_names_order_and_in_place_layers() -> None:
    """The producer in the name is the last in-place layer; tops are counted in the order of their readers."""
    found = insert_splits(
        net(
            DATA,
            'name: "p" type: "Power" bottom: "data" top: "x"',
            'name: "r" type: "ReLU" bottom: "x" top: "x"',
            'name: "e" type: "Eltwise" bottom: "x" bottom: "x" top: "e"',
            'name: "q" type: "Power" bottom: "x" top: "q"',
        )
    )
    assert [layer.name for layer in found.layers] == ["d", "p", "r", "x_r_0_split", "e", "q"]
    assert found.layers[3].tops == ("x_r_0_split_0", "x_r_0_split_1", "x_r_0_split_2")
    assert found.layers[4].bottoms == ("x_r_0_split_0", "x_r_0_split_1")
    assert found.layers[5].bottoms == ("x_r_0_split_2",)
    connect(found)


def test_a_version_read_before_it_is_overwritten() -> None:
    """The in-place layer is itself one reader; what it writes becomes a version of the split's top."""
    found = insert_splits(
        net(
            DATA,
            'name: "p" type: "Power" bottom: "data" top: "x"',
            'name: "a" type: "Power" bottom: "x" top: "a"',
            'name: "b" type: "Power" bottom: "x" top: "b"',
        )
    )
    assert [layer.name for layer in found.layers] == ["d", "p", "x_p_0_split", "a", "b"]


def test_every_top_of_a_producer_has_its_own_split() -> None:
    losses = [f'name: "{name}" type: "EuclideanLoss" bottom: "data" bottom: "label" top: "{name}"' for name in "ab"]
    found = insert_splits(net(DATA, *losses))
    assert [layer.name for layer in found.layers] == ["d", "data_d_0_split", "label_d_1_split", "a", "b"]
    assert blob_list(net(DATA, *losses)) == [
        *("data", "label", "data_d_0_split_0", "data_d_0_split_1", "label_d_1_split_0", "label_d_1_split_1"),
        *("a", "b"),
    ]


def test_an_explicit_loss_weight_counts_as_the_first_reader() -> None:
    loss = 'name: "l" type: "EuclideanLoss" bottom: "data" bottom: "label" top: "l" loss_weight: {}'
    reader = 'name: "p" type: "Power" bottom: "l" top: "p"'
    found = insert_splits(net(DATA, loss.format(2), reader))
    assert found.layers[-2].tops == ("l_l_0_split_0", "l_l_0_split_1")
    assert found.layers[-1].bottoms == ("l_l_0_split_1",)
    for quiet in (loss.format(0), loss.replace("loss_weight: {}", "")):
        assert len(insert_splits(net(DATA, quiet, reader)).layers) == 3


def test_unsplit_names_the_layer_that_wrote_the_value() -> None:
    sources = unsplit(
        net(
            DATA,
            'name: "p" type: "Power" bottom: "data" top: "x"',
            'name: "r" type: "ReLU" bottom: "x" top: "x"',
            'name: "a" type: "Power" bottom: "x" top: "a"',
            'name: "b" type: "Power" bottom: "x" top: "b"',
        )
    )
    assert sources == {"x_r_0_split_0": "r", "x_r_0_split_1": "r"}


def test_automatic_tops_stand_in_the_list() -> None:
    losses = [f'name: "{name}" type: "EuclideanLoss" bottom: "data" bottom: "label"' for name in "ab"]
    assert blob_list(net(DATA, *losses))[-2:] == ["(automatic)", "(automatic)"]
