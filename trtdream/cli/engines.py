"""`trtdream engines`: what lies in engines/, and whether it is still what it was."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trtdream.cli import app
from trtdream.cli.options import JsonOption, ListRootOption, OfflineOption, TrustOption, WeightsOption
from trtdream.console import print_json, results, say, table
from trtdream.errors import UsageError

if TYPE_CHECKING:
    from trtdream.runtime.manifest import Manifest

engines = typer.Typer(help="List, inspect, verify and remove exported files.", no_args_is_help=True)
app.add_typer(engines, name="engines")

FolderOption = Annotated[Path, typer.Option("--folder", help="Where the exports lie.")]
_FOLDER = Path("engines")


@engines.command("ls")
def list_all(folder: FolderOption = _FOLDER, as_json: JsonOption = False) -> None:
    """List what was exported, and whether it was verified."""
    from trtdream.export.engines import list_engines

    found = list_engines(folder)
    if as_json:
        print_json([asdict(one) for one in found])
        return
    listed = table("file", "network", "precision", "batch", "for", "verified")
    for one in found:
        listed.add_row(one.file, one.network, one.precision, "-".join(map(str, one.batch)), _for(one), _verdict(one))
    results.print(listed)


@engines.command()
def inspect(name: str, folder: FolderOption = _FOLDER, as_json: JsonOption = False) -> None:
    """Show all that the manifest says, and whether the file can run here."""
    from trtdream.export.engines import find_engine
    from trtdream.runtime.cuda import ask_cuda
    from trtdream.runtime.engine_trust import misfit
    from trtdream.runtime.manifest import check_file

    where, one = find_engine(name, folder)
    check_file(where / one.file, one)
    fault = misfit(one, ask_cuda().gpus) if one.is_engine else ""
    if as_json:
        print_json(asdict(one) | {"fault": fault})
        return
    for key, value in asdict(one).items():
        if key == "labels":
            value = f"{len(value)} classes"
        results.print(f"{key}: {value}", markup=False)
    results.print(f"here: {fault or 'can run'}", markup=False)


@engines.command("rm")
def remove(names: list[str], folder: FolderOption = _FOLDER) -> None:
    """Delete exported files with their manifests."""
    from trtdream.export.engines import find_engine
    from trtdream.export.engines import remove as delete

    for where, one in [find_engine(name, folder) for name in names]:
        for path in delete(where, one):
            say(f"deleted {path}")


@app.command()
@engines.command()
def verify(
    name: Annotated[str, typer.Argument(metavar="FILE", help="An exported file: its path, or its name in engines/.")],
    net: Annotated[str | None, typer.Option("--net", help="The network it came from; default: googlenet.")] = None,
    weights: WeightsOption = None,
    images: Annotated[
        list[Path] | None, typer.Option("--images", metavar="PATH", help="Default: bundled ones.")
    ] = None,
    root: ListRootOption = None,
    per_layer: Annotated[bool, typer.Option("--per-layer", help="Compare blob by blob.")] = False,
    folder: FolderOption = _FOLDER,
    trust: TrustOption = False,
    offline: OfflineOption = False,
    as_json: JsonOption = False,
) -> None:
    """Hold an exported file against its network in torch; exit 4 if they do not agree."""
    from trtdream.export.engines import find_engine
    from trtdream.export.layers import compare_blobs, first_drift
    from trtdream.export.samples import bundled_samples, load_samples
    from trtdream.export.verify import verify_file
    from trtdream.runtime.open_model import open_model

    model = open_model(net, weights, offline)
    if trust:
        from trtdream.export.trusted import trust_plan

        trust_plan(Path(name), model)
    where, one = find_engine(name, folder)
    if model.weights.sha256 != one.weights_sha256:
        raise UsageError(f"{one.file}: came from {one.network} with {one.weights}; give those with --net and --weights")
    samples = load_samples(model, images, root, "pictures") if images else bundled_samples(model)
    if not per_layer:
        found = verify_file(model, where, one, samples)
        if as_json:
            print_json(asdict(found))
        else:
            results.print(f"{one.file}: {found.line} ({found.inputs})", markup=False)
        return
    blobs = compare_blobs(model, where, one, samples)
    if as_json:
        print_json([asdict(blob) for blob in blobs])
    else:
        listed = table("blob", "cosine", "relative error", right=("cosine", "relative error"))
        for blob in blobs:
            listed.add_row(blob.blob, f"{blob.cosine:.6f}", f"{blob.relative_error:.1e}")
        results.print(listed)
    first_drift(one, blobs)


def _for(one: Manifest) -> str:
    if one.built is None:
        return "any (ONNX)"
    return one.built.gpu or f"sm {one.built.capability}"


def _verdict(one: Manifest) -> str:
    if not one.verification:
        return "not yet"
    agreed = one.verification[0]["top1_agreement"]
    figure = f"cosine {one.verification[0]['cosine']:.5f}" if agreed is None else f"top-1 {agreed:.1%}"
    return f"{'yes' if one.passed else 'FAILED'}, {figure}"
