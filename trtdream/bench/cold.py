"""One cold start, in a process of its own: `python -m trtdream.bench.cold FILE DEVICE BATCH STARTED` prints its times.

STARTED is `time.time()` when the process was asked for, so that Python's own start counts.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path


def main() -> None:
    file, device, batch, started = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
    marks = [started]
    from trtdream.bench.exported import inputs_for, open_runner

    if file.suffix == ".engine":
        import torch  # noqa: F401  counted as an import, not as loading
    else:
        import onnxruntime  # noqa: F401
    marks.append(time.time())
    with open_runner(file, device) as run:
        data = inputs_for(file, batch)
        marks.append(time.time())
        run(data)
        marks.append(time.time())
    names = ("imports", "load", "first run")
    times = {name: (marks[index + 1] - marks[index]) * 1e3 for index, name in enumerate(names)}
    print(json.dumps({**times, "first answer": (marks[-1] - started) * 1e3}))


if __name__ == "__main__":
    main()
