"""`trtdream data`: from files to packed sets, means, lists, and pictures of what the network sees.

One file per command, which parses, calls and prints.
"""

from __future__ import annotations

import typer

from trtdream.cli import app

commands = typer.Typer(help="Prepare pictures for training, and look at them.", no_args_is_help=True)
app.add_typer(commands, name="data")

from trtdream.cli.data import list_, mean, pack, scan, show, synth, verify  # noqa: E402  they register themselves

__all__ = ["commands", "list_", "mean", "pack", "scan", "show", "synth", "verify"]
