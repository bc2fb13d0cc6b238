"""`trtdream features`: any blob of a network, and a gradient."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trtdream.cli import app
from trtdream.cli.layers import parse_phase
from trtdream.cli.options import DeviceOption, ForceOption, JsonOption, NetOption, OfflineOption, WeightsOption
from trtdream.console import print_json, results, table


@app.command()
def features(
    source: Annotated[Path, typer.Argument(metavar="INPUT", help="A picture, or an .npy or .npz of input blobs.")],
    blobs: Annotated[list[str] | None, typer.Option("--blob", help="A blob to write; may be given again.")] = None,
    gradient_of: Annotated[
        str | None,
        typer.Option(help="Write the gradient to the input of half the squared norm of the value at this layer."),
    ] = None,
    out: Annotated[Path, typer.Option("-o", "--out", help="The .npz to write.")] = Path("features.npz"),
    phase: Annotated[str, typer.Option("--phase", help="TEST or TRAIN.")] = "TEST",
    net: NetOption = None,
    weights: WeightsOption = None,
    device: DeviceOption = "auto",
    offline: OfflineOption = False,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write blobs of a network to an .npz; keys are their names with "/" as "|", a gradient's key is "grad|NAME".

    The arrays of an .npz input are the network's inputs by the same rule; a lone .npy is its first input.
    """
    from trtdream.errors import UsageError
    from trtdream.files import refuse_overwrite
    from trtdream.runtime.device import pick_device
    from trtdream.runtime.features import compute, load_inputs, save_features
    from trtdream.runtime.model import as_document
    from trtdream.runtime.open_model import open_model

    if not blobs and gradient_of is None:
        raise UsageError("features: name a blob with --blob, or a layer with --gradient-of")
    refuse_overwrite(out, force)
    model = open_model(net, weights, offline)
    inputs = load_inputs(source, model, parse_phase(phase))
    found = compute(model, inputs, blobs or [], gradient_of, parse_phase(phase), pick_device(device))
    save_features(out, found)
    if as_json:
        written = {key: list(array.shape) for key, array in found.items()}
        print_json(as_document(model, file=str(out), arrays=written))
        return
    listed = table("key", "shape", "min", "max", right=("min", "max"))
    for key, array in found.items():
        listed.add_row(key, " x ".join(map(str, array.shape)), f"{array.min():.4g}", f"{array.max():.4g}")
    results.print(listed)
    results.print(f"{out}; {model.line}", markup=False)
