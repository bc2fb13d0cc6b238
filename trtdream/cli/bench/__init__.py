"""`trtdream bench`: how long things take on this machine, and which of its limits they come near to.

One file per command, which parses, calls and prints.
"""

from __future__ import annotations

import typer

from trtdream.cli import app

commands = typer.Typer(help="Measure: training, inference, data and dreams, against this machine's limits.")
app.add_typer(commands, name="bench")

from trtdream.cli.bench import (  # noqa: E402  the commands register themselves on `commands`
    compare,
    data,
    dream,
    engine,
    headline,
    limits,
    net,
    train,
)

__all__ = ["commands", "compare", "data", "dream", "engine", "headline", "limits", "net", "train"]
