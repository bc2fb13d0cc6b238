"""The programs of benchmarks/, which are no package, as modules."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

PROGRAMS = Path(__file__).resolve().parents[2] / "benchmarks"


def program(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module of that name, and those beside it that it imports, as if it were run there."""
    monkeypatch.syspath_prepend(PROGRAMS)
    for path in PROGRAMS.glob("*.py"):
        monkeypatch.delitem(sys.modules, path.stem, raising=False)
    return import_module(name)
