"""`trtdream classify`: what a network sees in pictures."""

from __future__ import annotations

import csv
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trtdream.cli import app
from trtdream.cli.opening import open_and_say
from trtdream.cli.options import (
    DeviceOption,
    JsonOption,
    ListRootOption,
    NetOption,
    OfflineOption,
    TrustOption,
    WeightsOption,
)
from trtdream.console import print_json, results, say, table
from trtdream.errors import UsageError

if TYPE_CHECKING:
    from trtdream.runtime.accuracy import Accuracy
    from trtdream.runtime.classify import Seen
    from trtdream.runtime.model import Model
    from trtdream.runtime.pictures import Named
    from trtdream.runtime.runner import Classifier


@app.command()
def classify(
    images: Annotated[
        list[Path], typer.Argument(metavar="IMAGE...", help="Pictures, folders, lists (`PATH [LABEL]` a line).")
    ],
    net: NetOption = None,
    weights: WeightsOption = None,
    top: Annotated[int, typer.Option("--top", min=1, help="How many classes to print.")] = 5,
    oversample: Annotated[bool, typer.Option("--oversample", help="Average over ten crops, as Caffe does.")] = False,
    device: DeviceOption = "auto",
    precision: Annotated[
        str | None, typer.Option("--precision", help="Use the verified export in engines/ of this precision, as int8.")
    ] = None,
    engine: Annotated[
        str | None, typer.Option("--engine", metavar="FILE", help="Use this exported file: its path or name.")
    ] = None,
    trust: TrustOption = False,
    sheet: Annotated[
        Path | None, typer.Option("--sheet", metavar="PNG", help="Draw the pictures and what is seen in them.")
    ] = None,
    root: ListRootOption = None,
    offline: OfflineOption = False,
    as_json: JsonOption = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print comma-separated values.")] = False,
) -> None:
    """Print the classes that a network sees in each picture, with their probabilities."""
    from trtdream.export.decoding import picture_loader
    from trtdream.runtime.accuracy import accuracy
    from trtdream.runtime.classify import classify_files
    from trtdream.runtime.device import pick_device
    from trtdream.runtime.pictures import find_pictures

    if as_json and as_csv:
        raise UsageError("--json --csv: one or the other")
    if engine is not None and precision is not None:
        raise UsageError("--engine --precision: one or the other")
    chosen = pick_device(device)
    named = find_pictures(images, root)
    model = open_and_say(net, weights, offline)
    classifier = _classifier(model, chosen, precision, engine, trust)
    load = picture_loader(model.pictures, len(named), chosen)
    started = time.perf_counter()
    seen = classify_files(model, [one.path for one in named], max(top, 5), oversample, classifier, load)
    seconds = time.perf_counter() - started
    rate = f", {len(named) / seconds:.0f} pictures/s with decoding" if len(named) > 1 else ""
    instead = f" ({classifier.instead})" if classifier.instead else ""
    say(f"{classifier.runner.description}{instead}{rate}")
    right = accuracy([[one.index for one in each] for each in seen], [one.label for one in named])
    shown = [each[:top] for each in seen]
    if sheet is not None:
        from trtdream.export.contact_sheet import write_contact_sheet

        write_contact_sheet(sheet, model, named, seen)
        say(f"drawn in {sheet}")
    if as_json:
        _print_json(model, named, shown, right)
    elif as_csv:
        _print_csv(named, shown)
    else:
        _print_table(model, named, shown, right)


def _classifier(model: Model, device: str, precision: str | None, engine: str | None, trust: bool) -> Classifier:
    from trtdream.export.engines import ENGINES, chosen_classifier, fastest_classifier, find_engine

    if engine is None:
        if trust:
            raise UsageError("--trust goes with --engine FILE")
        return fastest_classifier(model, device=device, precision=precision)
    if trust:
        from trtdream.export.trusted import trust_plan

        trust_plan(Path(engine), model)
    return chosen_classifier(model, *find_engine(engine, ENGINES))


def _print_json(model: Model, named: Sequence[Named], seen: Sequence[Sequence[Seen]], right: Accuracy | None) -> None:
    from trtdream.runtime.model import as_document

    pairs = zip(named, seen, strict=True)
    found = [{"file": str(one.path), "top": [vars(other) for other in each]} for one, each in pairs]
    print_json(as_document(model, images=found, **({"accuracy": vars(right)} if right else {})))


def _print_csv(named: Sequence[Named], seen: Sequence[Sequence[Seen]]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["file", "rank", "index", "probability", "class"])
    for one, each in zip(named, seen, strict=True):
        for rank, other in enumerate(each, 1):
            writer.writerow([one.path, rank, other.index, f"{other.probability:.6f}", other.label])


def _print_table(model: Model, named: Sequence[Named], seen: Sequence[Sequence[Seen]], right: Accuracy | None) -> None:
    listed = table("picture", "probability", "class", right=("probability",))
    for one, each in zip(named, seen, strict=True):
        for rank, other in enumerate(each):
            listed.add_row("" if rank else one.path.name, f"{other.probability:.4f}", other.label)
    results.print(listed)
    if right:
        results.print(f"top-1 {right.top1:.1%}, top-5 {right.top5:.1%} of {right.pictures} labelled pictures")
        for label, taken_for, count in right.confusions:
            results.print(f"  {count} x {model.label(label)} taken for {model.label(taken_for)}", markup=False)
    results.print(model.line, markup=False)
