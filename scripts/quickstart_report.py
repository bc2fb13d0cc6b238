"""report.html of scripts/quickstart: what its commands printed and drew, on one page. Run by it, in its folder.

python ../scripts/quickstart_report.py PICTURE
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from trtdream.bench.machine import describe_machine
from trtdream.page import Heading, Paragraph, Part, Picture, Preformatted, Table, write_page

WIDEST = 900  # pixels of a picture on the page
REPORT = Path("report.html")


def main(picture: Path) -> None:
    parts = [*machine(), *training(), *exporting(), *shapes_dream(), *dreaming(picture)]
    write_page(REPORT, "trtdream, quick start", parts)


def machine() -> Iterator[Part]:
    about = describe_machine()
    on = about["gpu"] or f"{about['processor']}, {about['cores']} cores, no GPU"
    yield Paragraph(f"trtdream {about['trtdream']}, torch {about['torch']}, on {on}, {date.today().isoformat()}.")


def training() -> Iterator[Part]:
    trained, tested = read("train"), read("test")["sets"][0]
    yield Heading("A network, trained")
    yield Preformatted(
        "trtdream data synth shapes\ntrtdream train recipes/quickstart.yaml\ntrtdream test recipes/quickstart.yaml"
    )
    yield Paragraph(
        f"{trained['iterations']} iterations in {trained['seconds']:.0f} s; on pictures it has not seen "
        f"it is right {tested['accuracy']:.1%} of the time."
    )
    run = Path(trained["folder"])
    yield Picture(run / "batch.png", "The first batch", "The first batch, as the network sees it")
    yield Picture(run / "curves.png", "Curves of loss, accuracy and learning rate", "Loss, accuracy, learning rate")


def exporting() -> Iterator[Part]:
    made = read("export")
    yield Heading("An export of it, proven equal")
    yield Preformatted(
        "trtdream export runs/quickstart/iter_1100\ntrtdream classify shapes/val.txt --net runs/quickstart/iter_1100"
    )
    rows = [
        [
            one["file"],
            verified["backend"],
            f"{verified['top1_agreement']:.1%}",
            f"{verified['max_probability_difference']:.1e}",
        ]
        for one in made
        for verified in one["verification"]
    ]
    columns = ("file", "run by", "top-1 as in torch", "largest difference of a probability")
    yield Table(columns, rows, right=columns[2:])
    accuracy = read("classify")["accuracy"]
    yield Paragraph(f"Classifying {accuracy['pictures']} pictures with it: right {accuracy['top1']:.1%} of the time.")
    yield shown(Path("sheet.png"), "What it sees in the first of them", height=0.6)


def shapes_dream() -> Iterator[Part]:
    yield Heading("What it has learned to look for")
    yield Preformatted("trtdream dream PICTURE --net runs/quickstart/iter_1100 --layer conv3")
    yield shown(Path(read("shapes_dream")["picture"]), "The photograph, and what conv3 finds in it")


def dreaming(picture: Path) -> Iterator[Part]:
    dreamt, (before, after) = read("dream"), read("seen")["images"]
    layer = dreamt["layers"][0]
    yield Heading("GoogLeNet dreams")
    yield Preformatted("trtdream dream PICTURE --layer 68\ntrtdream classify PICTURE dream.png")
    yield shown(picture, "The photograph")
    yield shown(Path(dreamt["picture"]), f"The dream of layer {layer['index']}, {layer['value']}")
    yield seen("before", before["top"])
    yield seen("after", after["top"])
    yield Paragraph(f"Weights: {Path(dreamt['weights']).name}, sha256 {dreamt['weights_sha256'][:12]}.")


def seen(when: str, top: Sequence[Mapping[str, Any]]) -> Table:
    rows = [[one["label"], f"{one['probability']:.4f}"] for one in top]
    return Table((f"what it sees {when}", "probability"), rows, right=("probability",))


def shown(path: Path, caption: str, height: float | None = None) -> Picture:
    """A picture no wider than a page needs it; of a long one the top, `height` times as high as it is wide."""
    with Image.open(path) as opened:
        picture = opened.convert("RGB")
    if height is not None:
        picture = picture.crop((0, 0, picture.width, min(picture.height, round(height * picture.width))))
    picture.thumbnail((WIDEST, WIDEST))
    content = BytesIO()
    picture.save(content, "JPEG", quality=88)
    return Picture(content.getvalue(), caption, caption)


def read(name: str) -> Any:
    """What a step of the quick start printed."""
    return json.loads(Path(f"{name}.json").read_text())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
    print(REPORT.resolve())
