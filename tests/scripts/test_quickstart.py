"""The README's first command, as a newcomer without a network runs it."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from trtdream.runtime.image import load_image, save_image

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(not (ROOT / ".venv/.set-up").exists(), reason="scripts/set-up has not been run here")


def quickstart(folder: Path, *arguments: str) -> Path:
    """Run it from another folder, without weights or a network. Returns the folder that it writes."""
    environment = {
        **os.environ,
        "TRTDREAM_OFFLINE": "1",
        "TRTDREAM_HOME": str(folder),
        "QUICKSTART_FOLDER": str(folder / "out"),
    }
    environment.pop("TRTDREAM_WEIGHTS", None)
    command = [ROOT / "scripts/quickstart", *arguments]
    ran = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "steps in" in ran.stderr  # the bundled network, for want of BVLC's
    report = Path(ran.stdout.strip())
    assert report.name == "report.html"
    return report.parent


def test_the_whole_road(tmp_path: Path) -> None:
    """A short training; every step leaves what the report shows."""
    save_image(tmp_path / "mine.png", load_image(ROOT / "scripts/pictures/chelsea.png")[:120, 100:260], {})
    out = quickstart(tmp_path, "mine.png", "solver.max_iter=60", "solver.test_interval=30", "run.snapshot=0")
    check_report(out)
    assert load_image(out / "dream.png").shape == load_image(tmp_path / "mine.png").shape


@pytest.mark.full
def test_as_a_newcomer_runs_it(tmp_path: Path) -> None:
    out = quickstart(tmp_path)
    check_report(out)
    assert json.loads((out / "test.json").read_text())["sets"][0]["accuracy"] >= 0.95


def check_report(out: Path) -> None:
    tested, classified = (json.loads((out / f"{name}.json").read_text()) for name in ("test", "classify"))
    assert classified["accuracy"]["pictures"] == 160
    assert classified["accuracy"]["top1"] == pytest.approx(tested["sets"][0]["accuracy"])
    assert all(one["passed"] for one in json.loads((out / "export.json").read_text()))
    report = (out / "report.html").read_text()
    assert report.count('<img src="data:image/') >= 5
    assert not re.search(r'(src|href)="(?!data:)', report)
