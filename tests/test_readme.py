"""README.md's commands run, and print what it shows."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

from tests.cli.command import Ran, run

ROOT = Path(__file__).resolve().parents[1]


def commands() -> list[tuple[str, list[str]]]:
    """Each `$ trtdream ...` of README.md's console blocks, with the lines shown below it."""
    found: list[tuple[str, list[str]]] = []
    for block in re.findall(r"```console\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
    return found


def test_every_command(shared: Path, truth: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRTDREAM_WEIGHTS", str(shared / "models"))
    shutil.copy(ROOT / "scripts/pictures/chelsea.png", tmp_path)
    model = tmp_path / "my_model"
    model.mkdir()
    shutil.copy(truth / "formats/mini_deploy.prototxt", model / "deploy.prototxt")
    shutil.copy(truth / "formats/mini_v1_legacy.caffemodel", model / "mini.caffemodel")
    shutil.copy(truth / "train/mean.binaryproto", model)
    assert len(commands()) > 8
    for command, shown in commands():
        ran = run(*shlex.split(command)[1:])
        assert ran.code == 0, (command, ran.err)
        check_output(command, ran, shown)


def check_output(command: str, ran: Ran, shown: list[str]) -> None:
    """What README.md shows stands in the output, in this order; `...` stands for lines left out."""
    printed = iter([" ".join(line.split()) for line in ran.out.splitlines()])
    for line in shown:
        wanted = " ".join(line.split())
        if wanted != "...":
            assert wanted in printed, f"{command} does not print {line!r}"


def test_links() -> None:
    for document in ("README.md", "CONTRIBUTING.md"):
        for link in re.findall(r"\]\(([^)#:]+)\)", (ROOT / document).read_text()):
            assert (ROOT / link).exists(), f"{document}: {link}"


def test_the_map_is_true() -> None:
    """Every room of the package stands on the map, and every room on the map exists."""
    listed = set(re.findall(r"^    (trtdream/\w+)/ ", (ROOT / "README.md").read_text(), re.MULTILINE))
    there = {f"trtdream/{path.parent.name}" for path in (ROOT / "trtdream").glob("*/__init__.py")}
    assert listed == there
