"""From the net that is trained to the net that is used: pictures in, probabilities out."""

from __future__ import annotations

from trtdream.errors import UsageError
from trtdream.net.graph import connect
from trtdream.net.kind import Phase
from trtdream.net.kinds.inputs import Input
from trtdream.net.kinds.losses import SoftmaxWithLoss
from trtdream.net.kinds.probability import Softmax
from trtdream.net.net import Layer, Net
from trtdream.net.parameters import BlobShape
from trtdream.net.shapes import needed_steps


def deploy_net(net: Net, channels: int, height: int, width: int) -> Net:
    """What Caffe keeps as deploy.prototxt beside a train_val.prototxt.

    The layers that the last SoftmaxWithLoss's scores need, an Input in place of the data layer, a Softmax in place of
    the loss. Losses, accuracies and auxiliary classifiers are left out.

    Raises:
        UsageError: the net has no SoftmaxWithLoss, so it is no classifier.
    """
    graph = connect(net.for_phase(Phase.TEST))
    losses = [step for step in graph.steps if isinstance(step.layer.kind, SoftmaxWithLoss)]
    if not losses:
        raise UsageError(f"{net.name}: has no SoftmaxWithLoss, so it is no classifier to be used")
    scores = losses[-1]
    layers = []
    for step in needed_steps(graph, scores.reads[:1]):
        if step.layer.kind.is_input:
            shape = BlobShape((1, channels, height, width))
            layers.append(Layer(step.layer.name, Input((shape,)), tops=step.layer.tops[:1]))
        else:
            layers.append(step.layer)
    kind = scores.layer.kind
    assert isinstance(kind, SoftmaxWithLoss)
    name = "prob" if "prob" not in graph.values and "prob" not in graph.layers else f"{scores.layer.name}/prob"
    layers.append(Layer(name, Softmax(axis=kind.axis), scores.layer.bottoms[:1], (name,)))
    return Net(net.name, tuple(layers))
