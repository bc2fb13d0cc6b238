"""Run the commands of docs/gallery.md below pictures with a name in the brackets; save them as small JPEGs."""

import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
PAIR = re.compile(r"!\[(\w+)\]\(gallery/\w+\.jpg\)\n\n    trtdream (.*)")


def main(names: list[str]) -> None:
    """Make the pictures of these names, or all."""
    for name, command in PAIR.findall((ROOT / "docs/gallery.md").read_text()):
        if names and name not in names:
            continue
        with tempfile.TemporaryDirectory() as folder:
            words = [
                f"{folder}/{word}" if word.endswith(f"{name}.png") and "/" not in word else word
                for word in shlex.split(command)
            ]
            words = [f"{folder}/{word}" if word == "unused.png" else word for word in words]
            subprocess.run([sys.executable, "-m", "trtdream", *words], cwd=ROOT, check=True)
            picture = Image.open(f"{folder}/{name}.png").convert("RGB")
            picture.save(ROOT / f"docs/gallery/{name}.jpg", quality=72, optimize=True)


if __name__ == "__main__":
    main(sys.argv[1:])
