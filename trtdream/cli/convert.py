"""`trtdream convert`: networks and weights from one of Caffe's forms to another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trtdream.cli import app
from trtdream.cli.options import ForceOption, JsonOption
from trtdream.console import print_json, results


@app.command()
def convert(
    source: Annotated[str, typer.Argument(metavar="IN", help="A prototxt, a zoo name, or a file of weights.")],
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help=".prototxt, .caffemodel, .caffemodel.h5, .safetensors, .solverstate.")
    ],
    net: Annotated[
        str | None, typer.Option("--net", help="The weights' network: they must fit, and its layers are named.")
    ] = None,
    train_val: Annotated[bool, typer.Option("--train-val", help="Of a zoo network, the form to train.")] = False,
    classes: Annotated[int, typer.Option("--classes", help="Of a zoo network.")] = 1000,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Convert a prototxt (legacy ones are upgraded), a zoo network or weights (V1, V2, HDF5, safetensors).

    What OUT's suffix names is written. Real Caffe reads every prototxt and caffemodel written here. A snapshot of
    `trtdream train` becomes X.solverstate and X.caffemodel; `trtdream train --resume X.solverstate` is the way back.
    """
    from trtdream.errors import UsageError
    from trtdream.files import refuse_overwrite, sha256, write_file
    from trtdream.net.zoo import ZOO

    refuse_overwrite(out, force)
    if out.suffix == ".solverstate":
        _convert_snapshot(Path(source), out, force, as_json)
        return
    is_net = source in ZOO or source.endswith((".prototxt", ".pbtxt"))
    if is_net != (out.suffix == ".prototxt"):
        what = "a network" if is_net else "weights"
        raise UsageError(f"{source} holds {what}, {out} would not: a network becomes a .prototxt, weights weights")
    if is_net:
        write_file(out, _text(source, train_val, classes))
    else:
        _convert_weights(Path(source), out, net)
    if as_json:
        print_json({"source": source, "file": str(out), "sha256": sha256(out)})
    else:
        results.print(str(out), markup=False)


def _convert_snapshot(source: Path, out: Path, force: bool, as_json: bool) -> None:
    from trtdream.files import refuse_overwrite
    from trtdream.train.exchange import caffe_from_snapshot

    refuse_overwrite(out.with_suffix(".caffemodel"), force)
    pair = caffe_from_snapshot(source, out)
    if as_json:
        print_json({"source": str(source), "file": str(out), "caffemodel": str(pair.caffemodel)})
    else:
        results.print(f"{pair.solverstate}\n{pair.caffemodel}", markup=False)


def _text(source: str, train_val: bool, classes: int) -> str:
    from trtdream.caffe.prototxt import read_prototxt, text_from_net
    from trtdream.net.zoo import ZOO, build

    made = build(source, classes, deploy=not train_val) if source in ZOO else read_prototxt(Path(source))
    return text_from_net(made)


def _convert_weights(source: Path, out: Path, net: str | None) -> None:
    from dataclasses import replace

    from trtdream.net.kind import Phase
    from trtdream.net.torch_module import TorchNet
    from trtdream.runtime.open_model import open_net
    from trtdream.weights.weights import load_weights, save_weights

    weights = load_weights(source)
    if net is None:
        save_weights(out, weights)
        return
    module = TorchNet(open_net(net))
    module.load(weights.layers, str(source))
    save_weights(out, replace(weights, layers=module.arrays()), open_net(net).for_phase(Phase.TEST))
