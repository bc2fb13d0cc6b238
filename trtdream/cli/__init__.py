"""The command line: one file per command, which parses, calls and prints.

Nothing here imports torch, so that `trtdream --help` answers at once.
"""

from __future__ import annotations

import sys

import typer

from trtdream import __version__
from trtdream.console import say
from trtdream.errors import TrtdreamError

app = typer.Typer(
    help="From JPEGs, or a Caffe-era model, to a verified TensorRT engine, and into its dreams.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


@app.callback(invoke_without_command=True)
def _root(
    version: bool = typer.Option(False, "--version", help="Print the version and stop."),
    debug: bool = typer.Option(  # noqa: ARG001  shown in the help; main() reads it
        False, "--debug", help="On an error, print the traceback (any place on the line)."
    ),
) -> None:
    if version:
        print(f"trtdream {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command line; an error is one line on stderr and an exit code (see `trtdream.errors`)."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    debug = len(arguments) < len(sys.argv) - 1
    try:
        app(arguments, prog_name="trtdream")
    except TrtdreamError as error:
        if debug:
            raise
        say(f"error: {error}")
        sys.exit(error.exit_code)
    except Exception as error:
        if debug:
            raise
        say(f"internal error: {type(error).__name__}: {error} (a fault of trtdream; --debug shows where)")
        sys.exit(TrtdreamError.exit_code)


from trtdream.cli import (  # noqa: E402  the commands register themselves on `app`
    atlas,
    bench,
    classify,
    convert,
    data,
    doctor,
    dream,
    engines,
    export,
    features,
    fetch,
    import_,
    layers,
    recipe,
    train,
    visualize,
)
