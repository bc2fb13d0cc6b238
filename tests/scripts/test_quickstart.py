"""The README's first command, as a newcomer without a network runs it."""

import os
import subprocess
from pathlib import Path

import pytest

from trtdream.runtime.image import load_image

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.skipif(not (ROOT / ".venv/.set-up").exists(), reason="scripts/set-up has not been run here")
def test_quickstart_from_another_folder(tmp_path: Path) -> None:
    environment = {**os.environ, "TRTDREAM_OFFLINE": "1", "TRTDREAM_HOME": str(tmp_path)}
    environment.pop("TRTDREAM_WEIGHTS", None)
    script = ROOT / "scripts/quickstart"
    ran = subprocess.run([script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "steps in" in ran.stderr
    dream = Path(ran.stderr.rpartition("The dream lies at ")[2].strip())
    assert load_image(dream).shape == load_image(ROOT / "scripts/pictures/chelsea.png").shape
    assert "chelsea_dream.png" in ran.stdout
