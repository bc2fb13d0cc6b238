"""`trtdream dream --again`: a picture made again from its own record."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from trtdream.cli.dream_picture import Files, dream_and_write
from trtdream.cli.opening import open_and_say
from trtdream.cli.visualize import climb_and_write
from trtdream.console import say

_ENDING = "_again.png"


@dataclass(frozen=True)
class NetAsked:
    """--net, --weights and --offline."""

    net: str | None
    weights: Path | None
    offline: bool


def dream_again(files: Files, size: int | None, asked: NetAsked, device: str, as_json: bool) -> None:
    """Make the picture again, with `size` another one of that longer side."""
    from trtdream.dream.again import check_weights, prepare, read_record, recorded_units

    files.check(_ENDING)
    made_by = read_record(files.picture)
    given = asked if asked.net or asked.weights else replace(asked, net=made_by.get("net"))
    model = open_and_say(given.net, given.weights, given.offline)
    check_weights(model, made_by, files.picture)
    if "visualize" in made_by:
        units, climb = recorded_units(made_by, files.picture)
        climb = replace(climb, size=size or climb.size)
        climb_and_write(model, units, climb, device, files.named(_ENDING), made_by["net"], as_json)
        return
    ready = prepare(model, made_by, files.picture, device, size)
    say(f"into {ready.source}")
    dream_and_write(ready.dreamer, ready.picture, files, files.named(_ENDING), ready.made_by, as_json)
