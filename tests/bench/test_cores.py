from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from trtdream.bench import cores
from trtdream.bench.cores import Cores, _Moment


@pytest.mark.parametrize(
    ("own_s", "busy_s", "others", "doubted"),
    [(1.0, 1.0, 0.0, False), (2.0, 2.04, 0.01, False), (1.0, 2.0, 0.25, True), (3.0, 2.0, 0.0, False)],
)
def test_what_is_not_ours(
    monkeypatch: pytest.MonkeyPatch, own_s: float, busy_s: float, others: float, doubted: bool
) -> None:
    """Two seconds of two cores are four."""
    moments = iter([_Moment(10.0, 5.0, 100.0), _Moment(12.0, 5.0 + own_s, 100.0 + busy_s)])
    monkeypatch.setattr(cores, "_look", lambda: next(moments))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    with Cores() as seen:
        pass
    assert seen.others == pytest.approx(others)
    assert bool(seen.doubts) is doubted


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="only Linux tells who uses a core")
def test_another_process_is_seen() -> None:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as busy:
        with Cores() as seen:
            time.sleep(0.5)
        busy.kill()
    assert seen.others is not None
    assert seen.others > 0.3 / len(os.sched_getaffinity(0))


def test_where_the_system_does_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "_look", lambda: None)
    with Cores() as seen:
        pass
    assert (seen.others, seen.doubts) == (None, ())
