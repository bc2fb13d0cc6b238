"""What the programs here end with: their result as a document of `trtdream bench --json`, printed and written."""

from __future__ import annotations

import json
from pathlib import Path

from trtdream.bench.results import Result, write_results


def write(result: Result, out: Path | None) -> None:
    """Print the document and, where a file is named, write it, whole or not at all."""
    document = result.document()
    print(json.dumps(document, indent=2))
    if out:
        write_results(out, document)
