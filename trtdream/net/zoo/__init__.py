"""The networks trtdream knows by name, written as readable Python."""

from __future__ import annotations

from collections.abc import Callable

from trtdream.errors import UsageError
from trtdream.net.net import Net
from trtdream.net.zoo.caffenet import alexnet, caffenet
from trtdream.net.zoo.googlenet import googlenet
from trtdream.net.zoo.quicknet import quicknet

ZOO: dict[str, Callable[[int, bool], Net]] = {
    "alexnet": alexnet,
    "caffenet": caffenet,
    "googlenet": googlenet,
    "quicknet": quicknet,
}


def build(name: str, classes: int = 1000, deploy: bool = True) -> Net:
    """A network of the zoo.

    Args:
        classes: how many the classifiers tell apart.
        deploy: from `data` to `prob`, for use; otherwise as Caffe's train_val file, with data layers, losses and
            accuracies, for both phases.

    Raises:
        UsageError: there is no such network.
    """
    if name not in ZOO:
        raise UsageError(f"no network is called {name!r}; the zoo has {', '.join(sorted(ZOO))}")
    if classes < 1:
        raise UsageError(f"classes={classes}: a network tells at least one class")
    return ZOO[name](classes, deploy)


__all__ = ["ZOO", "build"]
