"""`trtdream fetch` as a person runs it: output, exit codes, interruptions."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.weights.server import Server, honest, ilsvrc12_archive, ilsvrc12_members, status

GOOGLENET = "bvlc_googlenet.caffemodel"
ARCHIVE = "caffe_ilsvrc12.tar.gz"
MEMBERS = ["imagenet_mean.binaryproto", "synset_words.txt", "train.txt", "val.txt"]


@pytest.fixture
def server() -> Iterator[Server]:
    with Server({ARCHIVE: ilsvrc12_archive(), GOOGLENET: b"not the real one"}) as running:
        yield running


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


class Trtdream:
    """The command line in a process of its own, with an environment of its own."""

    def __init__(self, home: Path, mirror: str) -> None:
        kept = {name: text for name, text in os.environ.items() if not name.startswith("TRTDREAM_")}
        self.environment = kept | {
            "TRTDREAM_HOME": str(home),
            "TRTDREAM_MIRROR": mirror,
            "TRTDREAM_TIMEOUT": "0.5",
            "no_proxy": "127.0.0.1",
        }

    def start(self, *arguments: str, stderr: int = subprocess.PIPE) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "trtdream", "fetch", *arguments]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True, env=self.environment)

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """Exit code, stdout, stderr."""
        process = self.start(*arguments)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err


@pytest.fixture
def trtdream(home: Path, server: Server) -> Trtdream:
    return Trtdream(home, server.url)


def left_in(home: Path) -> set[str]:
    return {path.name for path in home.rglob("*") if path.is_file() and path.suffix != ".lock"}


def assert_one_error(result: tuple[int, str, str], code: int, *said: str) -> None:
    returned, out, err = result
    assert (returned, out) == (code, ""), err
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and err.endswith(errors[0] + "\n")
    for text in said:
        assert text in errors[0]


def wait_for_part(home: Path, above: int) -> Path:
    part = home / f"{ARCHIVE}.part"
    for _ in range(1000):
        if part.exists() and part.stat().st_size > above:
            return part
        time.sleep(0.02)
    raise AssertionError("the download never came so far")


def test_without_a_name_it_lists_what_there_is(trtdream: Trtdream, home: Path, server: Server) -> None:
    code, out, err = trtdream.run()
    assert code == 0
    lines = out.splitlines()
    assert [line.split()[0] for line in lines] == ["googlenet", "caffenet", "alexnet", "ilsvrc12"]
    assert all("not here" in line for line in lines)
    assert "`trtdream fetch NAME`" in err
    assert server.asked == [] and not home.exists()


def test_the_archive_is_fetched_once_and_its_members_shown(trtdream: Trtdream, home: Path, server: Server) -> None:
    code, out, err = trtdream.run("ilsvrc12", "--json")
    assert code == 0, err
    document = json.loads(out)
    assert document["cache"] == str(home)
    (held,) = document["files"]
    assert (held["name"], held["path"], held["kept_bytes"]) == ("ilsvrc12", str(home / "ilsvrc12"), 0)
    assert [Path(member["path"]).name for member in held["files"]] == MEMBERS
    for member in held["files"]:
        content = ilsvrc12_members()[Path(member["path"]).name]
        assert Path(member["path"]).read_bytes() == content
        assert member["bytes"] == len(content)
        assert member["sha1"] == hashlib.sha1(content).hexdigest()
    assert left_in(home) == set(MEMBERS)

    code, out, err = trtdream.run("ilsvrc12", "--offline")
    assert code == 0, err
    assert [line.split()[1] for line in out.splitlines()] == [str(home / "ilsvrc12" / name) for name in MEMBERS]
    assert len(server.asked) == 1


def test_kill_9_in_the_middle_then_resume(trtdream: Trtdream, home: Path, server: Server) -> None:
    server.answers = [honest(pace=0.05)]
    process = trtdream.start("ilsvrc12")
    wait_for_part(home, above=500_000)
    process.kill()
    process.communicate()
    assert left_in(home) == {f"{ARCHIVE}.part", f"{ARCHIVE}.part.json"}
    kept = (home / f"{ARCHIVE}.part").stat().st_size

    code, out, _ = trtdream.run("--list", "ilsvrc12")
    assert code == 0 and f"not here; {kept / 1e6:.1f} MB of it are" in out

    code, _, err = trtdream.run("ilsvrc12")
    assert code == 0, err
    assert [asked for _, asked in server.asked] == [None, f"bytes={kept}-"]
    assert left_in(home) == set(MEMBERS)
    for name in MEMBERS:
        assert (home / "ilsvrc12" / name).read_bytes() == ilsvrc12_members()[name]


def test_ctrl_c_keeps_the_part_and_says_so(trtdream: Trtdream, home: Path, server: Server) -> None:
    server.answers = [honest(pace=0.05)]
    process = trtdream.start("ilsvrc12")
    wait_for_part(home, above=500_000)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert "MB are kept, and `trtdream fetch ilsvrc12` goes on from there" in err
    assert "Traceback" not in err
    kept = (home / f"{ARCHIVE}.part").stat().st_size
    assert trtdream.run("ilsvrc12")[0] == 0
    assert server.asked[-1] == (f"/{ARCHIVE}", f"bytes={kept}-")


def test_force_fetches_again(trtdream: Trtdream, home: Path, server: Server) -> None:
    assert trtdream.run("ilsvrc12")[0] == 0
    assert trtdream.run("ilsvrc12", "--force")[0] == 0
    assert len(server.asked) == 2
    assert left_in(home) == set(MEMBERS)


def test_a_stall_is_overcome(trtdream: Trtdream, home: Path, server: Server) -> None:
    server.answers = [honest(cut_after=1_000_000, stall=3)]
    code, _, err = trtdream.run("ilsvrc12")
    assert code == 0, err
    assert "no byte for 0.5 s; trying again in 1 s" in err
    assert [asked for _, asked in server.asked] == [None, "bytes=1000000-"]
    assert left_in(home) == set(MEMBERS)


def test_wrong_bytes_end_with_3(trtdream: Trtdream, home: Path, server: Server) -> None:
    result = trtdream.run("googlenet")
    assert_one_error(result, 3, f"{server.url}/{GOOGLENET}", "SHA-1", "`trtdream fetch googlenet`")
    assert left_in(home) == set()


def test_a_missing_file_ends_with_1(trtdream: Trtdream, home: Path, server: Server) -> None:
    server.answers = [status(404)]
    assert_one_error(trtdream.run("caffenet"), 1, "HTTP 404", "`trtdream fetch caffenet`")
    assert left_in(home) == set()


def test_no_server_ends_with_1(home: Path) -> None:
    result = Trtdream(home, "http://127.0.0.1:1").run("googlenet")
    assert_one_error(result, 1, "cannot be reached", "`trtdream fetch googlenet`")


def test_offline_ends_with_1_and_asks_nobody(trtdream: Trtdream, home: Path, server: Server) -> None:
    said = ("--offline or TRTDREAM_OFFLINE", "`trtdream fetch googlenet`", "TRTDREAM_WEIGHTS=DIR")
    assert_one_error(trtdream.run("googlenet", "--offline"), 1, *said)
    trtdream.environment["TRTDREAM_OFFLINE"] = "1"
    assert_one_error(trtdream.run("googlenet"), 1, *said)
    assert server.asked == [] and not home.exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["googlent"], "did you mean googlenet?"),
        (["ilsvrc12", "vgg"], "vgg: no official file"),
        (["googlenet", "--force", "--offline"], "--force"),
        (["googlenet", "--force", "--list"], "--force"),
    ],
)
def test_wrong_usage_ends_with_2(trtdream: Trtdream, server: Server, arguments: list[str], said: str) -> None:
    assert_one_error(trtdream.run(*arguments), 2, said)
    assert server.asked == []


def test_a_wrong_mirror_ends_with_2(home: Path) -> None:
    assert_one_error(Trtdream(home, "file:///tmp").run("googlenet"), 2, "TRTDREAM_MIRROR=file:///tmp")


def test_a_file_of_ones_own_comes_first(trtdream: Trtdream, server: Server, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / GOOGLENET).write_bytes(b"re-saved")
    trtdream.environment["TRTDREAM_WEIGHTS"] = str(own)
    code, out, err = trtdream.run("googlenet", "--json")
    assert code == 0, err
    (held,) = json.loads(out)["files"]
    assert held["files"] == [
        {
            "path": str(own / GOOGLENET),
            "bytes": 8,
            "sha1": hashlib.sha1(b"re-saved").hexdigest(),
            "official": False,
        }
    ]
    assert "(not the official one)" in trtdream.run("googlenet")[1]
    assert server.asked == []


def test_a_terminal_gets_a_bar_with_the_time_left(trtdream: Trtdream, server: Server) -> None:
    server.answers = [honest(pace=0.02)]
    terminal, end = pty.openpty()
    trtdream.environment |= {"TERM": "xterm", "COLUMNS": "120"}
    process = trtdream.start("ilsvrc12", stderr=end)
    os.close(end)
    shown = b""
    while True:
        try:
            shown += os.read(terminal, 65536)
        except OSError:  # how a pseudo-terminal says that its other end is closed
            break
    os.close(terminal)
    assert process.wait(timeout=60) == 0
    assert process.stdout is not None
    process.stdout.close()
    assert b"caffe_ilsvrc12.tar.gz (MB)" in shown
    assert b"0:00:0" in shown
