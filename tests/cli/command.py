"""The command line, run in this process as a user's shell would run it."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from trtdream.cli import main


@dataclass(frozen=True)
class Ran:
    """What a command printed and how it ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


def run(*arguments: object) -> Ran:
    """`trtdream ARGUMENTS`; nothing of it reaches the test's own output."""
    out, err = io.StringIO(), io.StringIO()
    code = 0
    line = ["trtdream", *map(str, arguments)]
    with patch.object(sys, "argv", line), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    return Ran(code, out.getvalue(), err.getvalue())


def refused(ran: Ran, code: int, *words: str) -> None:
    """It ended with `code` and one line on stderr that holds the words, and printed no result."""
    assert ran.code == code, ran.err
    assert ran.out == ""
    lines = [line for line in ran.err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, ran.err
    for word in words:
        assert word in lines[0], ran.err
