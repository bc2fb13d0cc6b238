"""Opening the network that the options of a command name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from trtdream.console import say

if TYPE_CHECKING:
    from trtdream.runtime.model import Model


def open_and_say(net: str | None, weights: Path | None, offline: bool) -> Model:
    """The network of --net, --weights and --offline; what nothing told of its preprocessing is said."""
    from trtdream.runtime.open_model import open_model

    model = open_model(net, weights, offline)
    if model.assumption:
        say(model.assumption)
    return model
