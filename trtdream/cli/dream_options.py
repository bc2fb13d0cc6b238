"""The options of `trtdream dream`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

_WHAT, _HOW, _FAST, _TO_SEE, _MOVING = "What grows", "How", "How it is computed", "To look at", "What moves"


def _option(panel: str, flag: str, help_: str, metavar: str | None = None) -> Any:
    return typer.Option(flag, help=help_, metavar=metavar, rich_help_panel=panel)


LayersOption = Annotated[
    list[str] | None,
    _option(_WHAT, "--layer", "Index (`trtdream layers`) or name; may be given again; default 68.", "LAYER[:WEIGHT]"),
]
ChannelsOption = Annotated[
    list[str] | None, _option(_WHAT, "--channel", "Only this channel of the layers, or several.", "3,7,20-31")
]
AtOption = Annotated[
    str | None, _option(_WHAT, "--at", "Only there: with --channel one neuron; 0.5,0.5 the middle.", "X,Y")
]
DirectionOption = Annotated[
    Path | None, _option(_WHAT, "--direction", "Only what lies along it: an .npy of a number for each channel.")
]
ClassesOption = Annotated[
    list[str] | None,
    _option(_WHAT, "--class", "A class's score, by label or number; may be given again.", "CLASS[:WEIGHT]"),
]
GuideOption = Annotated[Path | None, _option(_WHAT, "--guide", "A picture for the layers to resemble.")]
MaskOption = Annotated[Path | None, _option(_WHAT, "--mask", "Dream only where this picture is white.")]
FeatherOption = Annotated[int | None, _option(_WHAT, "--feather", "Soften the mask's edges by that many pixels.")]
PresetOption = Annotated[
    str | None,
    typer.Option(
        "--preset",
        "--recipe",
        metavar="NAME|FILE",
        help="A dream recipe: classic, painterly, detail, subtle, or a YAML file.",
    ),
]
OctavesOption = Annotated[
    int | None, _option(_HOW, "--octaves", "How many sizes, from small to the picture's own; 4 by default.")
]
OctaveScaleOption = Annotated[
    float | None, _option(_HOW, "--octave-scale", "How much larger each is than the one before; 1.4 by default.")
]
OctaveSizesOption = Annotated[
    list[str] | None, _option(_HOW, "--octave-size", "An octave's own size; may be given again.", "WxH")
]
IterationsOption = Annotated[int | None, _option(_HOW, "--iterations", "Steps an octave; 10 by default.")]
StepOption = Annotated[float | None, _option(_HOW, "--step", "How far a step goes; 1.5 by default.")]
StrengthOption = Annotated[
    str | None, _option(_HOW, "--strength", "Factors of --step from first to last octave: 0.5,1.", "A,B...")
]
JitterOption = Annotated[int | None, _option(_HOW, "--jitter", "The most pixels a step is shifted by; 32 by default.")]
SeedOption = Annotated[int | None, _option(_HOW, "--seed", "Of the jitter; 0 by default.")]
AscentOption = Annotated[str | None, _option(_HOW, "--ascent", "step, momentum or adam; step by default.")]
MomentumOption = Annotated[float | None, _option(_HOW, "--momentum", "Of that ascent; 0.9 by default.")]
NormaliseOption = Annotated[
    str | None, _option(_HOW, "--normalise", "The gradient by: mean, rms or laplacian; mean by default.")
]
TvOption = Annotated[float | None, _option(_HOW, "--tv", "Smooth: how much neighbours pull at each other.")]
L2Option = Annotated[float | None, _option(_HOW, "--l2", "How much pixels are pulled to mid-grey.")]
KeepColoursOption = Annotated[bool, _option(_HOW, "--keep-colours", "Change brightness only.")]
ClassicOption = Annotated[bool, _option(_HOW, "--classic", "The notebook of 2015 to the number (its mean).")]
PrecisionOption = Annotated[
    str,
    _option(
        _FAST,
        "--precision",
        "Gradients go back in float32, fp16 (within 0.2 % of it; a GPU's) or bf16 (1 %); auto: fp16 on a GPU.",
    ),
]
TileOption = Annotated[int, _option(_FAST, "--tile", "Take the picture in tiles of that many pixels; same result.")]
MemoryOption = Annotated[
    str | None, _option(_FAST, "--memory", "Keep within it, in tiles if need be; same result.", "4G")
]
BatchOption = Annotated[
    int,
    typer.Option(
        "--batch",
        min=1,
        metavar="N",
        help="Take N pictures of a folder, or frames of a video, at once: faster where they are small.",
        rich_help_panel=_FAST,
    ),
]
ZoomOption = Annotated[float | None, _option(_MOVING, "--zoom", "Move into the dream by this share a frame: 0.05.")]
RotateOption = Annotated[float | None, _option(_MOVING, "--rotate", "Turn it by this many degrees a frame.")]
FramesOption = Annotated[int | None, _option(_MOVING, "--frames", "How many frames to move; 100 by default.")]
FpsOption = Annotated[
    float | None, _option(_MOVING, "--fps", "Frames a second of the film; by default the video's, or 12.")
]
BlendOption = Annotated[
    float | None, _option(_MOVING, "--blend", "Share of the dream before in each next frame; 0 by default.")
]
FlowOption = Annotated[bool, _option(_MOVING, "--flow", "Blend along what moves (0.5 by default).")]
PreviewOption = Annotated[Path | None, _option(_TO_SEE, "--preview", "A picture written anew after each octave.")]
SaveOctavesOption = Annotated[Path | None, _option(_TO_SEE, "--save-octaves", "Keep each octave's picture.", "FOLDER")]
ClassifyOption = Annotated[
    bool, _option(_TO_SEE, "--classify", "Tell what the network sees before, per octave and after.")
]
ExplainOption = Annotated[
    Path | None, _option(_TO_SEE, "--explain", "Draw where the picture bears on what grows.", "FILE")
]
MakingOption = Annotated[Path | None, _option(_TO_SEE, "--gif-of-the-making", "A film of the steps.", "FILE")]
RecordOption = Annotated[bool, _option(_TO_SEE, "--record", "Write what made it as JSON beside it too.")]
