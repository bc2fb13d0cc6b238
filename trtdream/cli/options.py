"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

NetOption = Annotated[
    str | None,
    typer.Option("--net", metavar="NET", help="Zoo name, prototxt or bundle; default: BVLC's GoogLeNet."),
]
WeightsOption = Annotated[
    Path | None,
    typer.Option("--weights", metavar="FILE", help="A .caffemodel (V1, V2, HDF5) or .safetensors; default: official."),
]
OfflineOption = Annotated[bool, typer.Option("--offline", help="Do not use the network to fetch weights.")]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:N.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace the output file if it exists.")]
ListRootOption = Annotated[Path | None, typer.Option("--root", help="Where the paths in lists start.")]
TrustOption = Annotated[
    bool, typer.Option("--trust", help="Run a plan that trtdream did not build, and write a manifest for it.")
]
