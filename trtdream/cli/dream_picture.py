"""What `trtdream dream` prints while it dreams into one picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from trtdream.console import print_json, progress, results, say

if TYPE_CHECKING:
    import numpy as np

    from trtdream.dream.dreamer import Dreamer
    from trtdream.dream.looks import See
    from trtdream.dream.watch import Dream
    from trtdream.recipe.dream_schema import Settings
    from trtdream.runtime.model import Model


@dataclass(frozen=True)
class Files:
    """The picture, and what is to be written: the dream, and what is to be seen of it besides."""

    picture: Path
    out: Path | None
    force: bool
    record: bool = False
    making: Path | None = None
    preview: Path | None = None
    octaves: Path | None = None
    explain: Path | None = None
    classify: bool = False

    @property
    def more(self) -> str:
        """The options of what is to be seen besides the dream; "" if there are none."""
        asked = {
            "--gif-of-the-making": self.making,
            "--record": self.record,
            "--preview": self.preview,
            "--save-octaves": self.octaves,
            "--explain": self.explain,
            "--classify": self.classify,
        }
        return ", ".join(option for option, given in asked.items() if given)

    def named(self, ending: str = "_dream.png") -> Path:
        return self.out or Path(f"{self.picture.stem}{ending}")

    def check(self, ending: str = "_dream.png") -> None:
        """Raises UsageError if something cannot be written or would be overwritten."""
        from trtdream.dream.film.films import check_film
        from trtdream.files import refuse_overwrite
        from trtdream.runtime.image import check_writable

        for written in (self.named(ending), self.preview, self.explain):
            if written:
                check_writable(written)
        for kept in (self.named(ending), self.explain, self.octaves):
            if kept:
                refuse_overwrite(kept, self.force)
        if self.making:
            check_film(self.making)
            refuse_overwrite(self.making, self.force)


def dream_picture(dreamer: Dreamer, files: Files, net: str | None, as_json: bool) -> None:
    """Dream into a picture, write it and report."""
    from trtdream.dream.provenance import record
    from trtdream.runtime.image import load_image

    picture = load_image(files.picture)
    dream_and_write(dreamer, picture, files, files.named(), record(dreamer, files.picture, net), as_json)


def dream_and_write(
    dreamer: Dreamer, picture: np.ndarray, files: Files, path: Path, made_by: dict[str, Any], as_json: bool
) -> None:
    """Dream, write, and report; exits 1 if the dream ended by itself, 130 if it was interrupted."""
    from trtdream.dream.film.making import Making
    from trtdream.dream.looks import Looks
    from trtdream.dream.provenance import metadata, write_record
    from trtdream.dream.watch import Moment, Watch
    from trtdream.runtime.image import save_image

    sizes = dreamer.sizes((picture.shape[0], picture.shape[1]))
    _announce(dreamer.model, dreamer.settings, len(sizes), f"{sizes[-1][1]} x {sizes[-1][0]}")
    making = Making(picture) if files.making else None
    made = metadata(made_by)
    looks = Looks(files.preview, files.octaves, _see(dreamer) if files.classify else None, say, made)
    looks.before(picture)
    if files.explain:
        _explain(dreamer, picture, files.explain, metadata({**made_by, "shows": "explain"}))
    with progress() as bar:
        task = bar.add_task("dreaming", total=len(sizes) * dreamer.settings.iterations)

        def on_step(moment: Moment) -> None:
            bar.advance(task)
            if making:
                making.on_step(moment)

        done = dreamer.dream(picture, Watch(on_step, looks.on_octave if looks.wanted else None, say))
    looks.after(done.picture)
    save_image(path, done.picture, made)
    if files.record:
        write_record(path, made_by)
    if making and files.making:
        making.write(files.making, done.picture)
    _report(dreamer.model, dreamer.settings, path, done, as_json)


def _see(dreamer: Dreamer) -> See:
    """What the network sees in a picture, by the fastest runtime that has these very weights."""
    from trtdream.export.engines import fastest_classifier
    from trtdream.runtime.classify import classify

    classifier = fastest_classifier(dreamer.model, device=dreamer.computing.device)
    say(f"seen by {classifier.runner.description}")

    def see(picture: np.ndarray) -> list[str]:
        (found,) = classify(dreamer.model, [picture], 5, classifier=classifier)
        return [f"{seen.label} {seen.probability:.1%}" for seen in found]

    return see


def _explain(dreamer: Dreamer, picture: np.ndarray, path: Path, made: dict[str, str]) -> None:
    from trtdream.dream.heat import heat
    from trtdream.runtime.image import save_image

    save_image(path, heat(picture, dreamer.gradient(picture)), made)
    say(f"{path}: where the picture bears on what grows")


def _report(model: Model, settings: Settings, path: Path, done: Dream, as_json: bool) -> None:
    from trtdream.runtime.model import as_document

    if as_json:
        reached = [vars(octave) for octave in done.octaves]
        print_json(as_document(model, picture=str(path), layers=_resolved(model, settings), octaves=reached))
    else:
        results.print(str(path), markup=False)
        results.print(model.line, markup=False)
    if done.stopped:
        say(f"stopped: {done.stopped}")
        raise typer.Exit(1)
    if done.interrupted:
        say(f"interrupted: {path} is what had been dreamt so far")
        raise typer.Exit(130)


def _resolved(model: Model, settings: Settings) -> list[dict[str, Any]]:
    """Each layer's index in the blob list, the value it means, and its weight."""
    found = ((*model.resolve(layer.name), layer.weight) for layer in settings.targets)
    return [{"index": index, "value": value, "weight": weight} for index, value, weight in found]


def _announce(model: Model, settings: Settings, octaves: int, size: str) -> None:
    from trtdream.dream.classes import find_class

    for layer in _resolved(model, settings):
        index = f"{layer['index']:04d} " if layer["index"] is not None else ""
        value, _, writer = layer["value"].partition("@")
        shown = f"{value} as {writer} leaves it, before what follows in place" if writer else value
        weight = f", weight {layer['weight']:g}" if layer["weight"] != 1 else ""
        say(f"layer {index}{shown} of {model.net.name}{weight}")
    for each in settings.classes:
        found = find_class(model.labels, each.name)
        say(f"class {found} {model.label(found)}" + (f", weight {each.weight:g}" if each.weight != 1 else ""))
    say(f"{octaves} octave{'s' if octaves > 1 else ''} to {size}")
    wanted = len(settings.sizes) or settings.octaves
    if octaves < wanted:
        say(f"{wanted - octaves} of {wanted} octaves would be too small and are left out")
