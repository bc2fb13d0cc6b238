from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from trtdream.bench.report import report_parts, write_report
from trtdream.bench.results import Result, Row, per_image
from trtdream.bench.timing import timing_of
from trtdream.page import Picture

MEASURED = timing_of([1.0, 1.01, 1.02])
WORK = {"kind": "Convolution", "macs": 10, "flops": 20, "bytes": 4, "flops_per_s": 1e9, "bytes_per_s": 1e9}


def net_result(*names: str) -> dict[str, Any]:
    from tests.bench.slow import LIMITS

    rows = [Row(name, "forward", MEASURED, extra={**WORK, "limit": "memory", "of_limit": 0.5}) for name in names]
    swept = [Row("(whole)", f"forward, batch {n}", MEASURED, extra=per_image(MEASURED, n)) for n in (1, 2)]
    settings = {"network": "n", "batch": 1, "precision": "float32"}
    return Result("net", settings, [*rows, *swept], LIMITS).document()


def drawn(document: dict[str, Any]) -> list[ElementTree.Element]:
    pictures = [part for part in report_parts(document) if isinstance(part, Picture)]
    return [ElementTree.fromstring(part.content) for part in pictures if isinstance(part.content, bytes)]


def test_a_net_has_bars_roofline_and_throughput() -> None:
    assert len(drawn(net_result("conv1", "conv2"))) == 3


def test_many_layers_make_a_tall_picture_not_small_letters() -> None:
    heights = [float(drawn(net_result(*map(str, range(n))))[0].attrib["height"].removesuffix("pt")) for n in (10, 60)]
    assert heights[1] - heights[0] > 50 * 10  # points; a label of size 7 takes less


def test_the_headline_shows_history_with_its_sources() -> None:
    step = Row("caffenet", "step", MEASURED, extra={"images": 256, "ms_per_image": 0.01})
    document = Result("headline", {}, [step, Row("dream", "step", None, "no <GPU>")]).document()
    assert len(drawn(document)) == 1
    path_text = "".join(part.html() for part in report_parts(document))
    assert "examples/imagenet/readme.md" in path_text
    assert "no &lt;GPU&gt;" in path_text
    ours = 0.01 / (26.5e3 / 20 / 256)
    assert f"{ours:.3g}" in path_text


def test_one_file_with_everything_in_it(tmp_path: Path) -> None:
    write_report(tmp_path / "out.html", [net_result("a/b"), net_result("c")])
    text = (tmp_path / "out.html").read_text()
    assert not re.search(r"(src|href)=[\"'](?!data:)", text)
    images = re.findall(r"data:image/svg\+xml;base64,([^\"]+)", text)
    assert len(images) == 6
    for image in images:
        ElementTree.fromstring(base64.b64decode(image))


def test_nothing_measured_is_no_fault() -> None:
    document = Result("engine", {}, [Row("latency", "with copies", None, "no GPU")]).document()
    assert drawn(document) == []
