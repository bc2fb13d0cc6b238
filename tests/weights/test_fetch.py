"""Fetching, against a real server that cuts, lies, stalls and changes its mind."""

from __future__ import annotations

import hashlib
import json
import random
import re
import socket
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.weights.server import Server, honest, raw, status, tar_gz
from trtdream.errors import InputRefused, TrtdreamError, UsageError
from trtdream.weights.download import NotAvailable
from trtdream.weights.fetch import fetch, obtain
from trtdream.weights.ilsvrc12 import check_image_list
from trtdream.weights.official import Member, OfficialArchive, OfficialFile

NAME = "bvlc_googlenet.caffemodel"
CONTENT = random.Random(1).randbytes(700_001)
OTHER = random.Random(2).randbytes(700_001)
FILE = OfficialFile("googlenet", NAME, hashlib.sha1(CONTENT).hexdigest(), about=700_000)


def quiet(_size: int, _length: int | None) -> None:
    """No progress shown."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Server({NAME: CONTENT}) as running:
        yield running


def get(server: Server, cache: Path, file: OfficialFile | OfficialArchive = FILE, **options) -> Path:
    options = {"progress": quiet, "stall": 0.3, "waits": (0, 0, 0)} | options
    return fetch(file, cache, base_url=server.url, **options)


def ranges(server: Server) -> list[str | None]:
    return [asked for _, asked in server.asked]


def left_in(cache: Path) -> set[str]:
    """What lies in the cache, the lock files aside."""
    return {path.name for path in cache.rglob("*") if path.is_file() and path.suffix != ".lock"}


def assert_fetched(path: Path, cache: Path) -> None:
    assert path == cache / NAME
    assert path.read_bytes() == CONTENT
    assert left_in(cache) == {NAME}


def test_plain_download_reports_its_progress(server: Server, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    path = get(server, tmp_path, progress=lambda size, length: seen.append((size, length)))
    assert_fetched(path, tmp_path)
    assert server.asked == [(f"/{NAME}", None)]
    assert seen[0] == (0, len(CONTENT)) and seen[-1] == (len(CONTENT), len(CONTENT))
    assert seen == sorted(seen)


def test_a_good_file_is_not_fetched_again_unless_forced(server: Server, tmp_path: Path) -> None:
    get(server, tmp_path)
    get(server, tmp_path)
    assert len(server.asked) == 1
    assert_fetched(get(server, tmp_path, force=True), tmp_path)
    assert len(server.asked) == 2


def test_a_damaged_file_in_the_cache_is_replaced(server: Server, tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(CONTENT[:-1])
    assert_fetched(get(server, tmp_path), tmp_path)


def test_a_failed_forced_download_leaves_the_old_file(server: Server, tmp_path: Path) -> None:
    get(server, tmp_path)
    server.files[NAME] = OTHER
    with pytest.raises(InputRefused):
        get(server, tmp_path, force=True)
    assert_fetched(tmp_path / NAME, tmp_path)


def test_cut_connections_are_resumed(server: Server, tmp_path: Path) -> None:
    server.answers = [honest(cut_after=n) for n in (100_000, 200_000, 1, 1, 1, 1, 100_000)]
    assert_fetched(get(server, tmp_path), tmp_path)
    sizes = (100_000, 300_000, 300_001, 300_002, 300_003, 300_004, 400_004)
    assert ranges(server) == [None] + [f"bytes={size}-" for size in sizes]


def test_a_stalled_download_is_resumed(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    server.answers = [honest(cut_after=300_000, stall=2)]
    assert_fetched(get(server, tmp_path), tmp_path)
    assert ranges(server) == [None, "bytes=300000-"]
    assert "no byte for 0.3 s" in capsys.readouterr().err


def test_a_server_that_only_stalls_is_given_up(server: Server, tmp_path: Path) -> None:
    server.answers = [honest(cut_after=0, stall=1)] * 9
    with pytest.raises(NotAvailable, match=r"no byte for 0\.1 s.*`trtdream fetch googlenet` tries again"):
        get(server, tmp_path, stall=0.1)
    assert len(server.asked) == 4
    assert NAME not in left_in(tmp_path)


def test_a_later_run_goes_on_from_the_part(server: Server, tmp_path: Path) -> None:
    server.answers = [honest(cut_after=500_000), *[status(503)] * 3]
    with pytest.raises(NotAvailable, match=r"HTTP 503.*0\.5 MB are kept, and .* goes on from there"):
        get(server, tmp_path)
    assert left_in(tmp_path) == {f"{NAME}.part", f"{NAME}.part.json"}
    server.asked.clear()
    assert_fetched(get(server, tmp_path), tmp_path)
    assert ranges(server) == ["bytes=500000-"]


def test_a_complete_part_needs_no_network(server: Server, tmp_path: Path) -> None:
    (tmp_path / f"{NAME}.part").write_bytes(CONTENT)
    version = {"url": f"{server.url}/{NAME}", "validator": '"one"', "length": len(CONTENT)}
    (tmp_path / f"{NAME}.part.json").write_text(json.dumps(version))
    assert_fetched(get(server, tmp_path), tmp_path)
    assert server.asked == []


def test_a_server_that_ignores_range_is_read_from_the_start(server: Server, tmp_path: Path) -> None:
    server.answers = [honest(cut_after=400_000), honest(ranges=False)]
    assert_fetched(get(server, tmp_path), tmp_path)
    assert ranges(server) == [None, "bytes=400000-"]


def test_a_file_that_changes_between_attempts_starts_over(server: Server, tmp_path: Path) -> None:
    server.files[NAME] = OTHER

    def change(handler) -> None:
        server.files[NAME], server.etag = CONTENT, '"two"'
        honest()(handler)

    server.answers = [honest(cut_after=400_000), change]
    assert_fetched(get(server, tmp_path), tmp_path)
    assert ranges(server) == [None, "bytes=400000-", None]


def test_a_change_that_the_server_hides_is_found_by_the_hash(server: Server, tmp_path: Path) -> None:
    server.files[NAME] = OTHER

    def change(handler) -> None:
        server.files[NAME] = CONTENT
        honest()(handler)

    server.answers = [honest(cut_after=400_000), change]
    assert_fetched(get(server, tmp_path), tmp_path)
    assert ranges(server) == [None, "bytes=400000-", None]


def test_a_file_that_shrank_answers_416_and_starts_over(server: Server, tmp_path: Path) -> None:
    server.files[NAME] = OTHER + OTHER[:300_000]

    def change(handler) -> None:
        server.files[NAME], server.etag = CONTENT, '"two"'
        honest()(handler)

    server.answers = [honest(cut_after=800_000), change]
    assert_fetched(get(server, tmp_path), tmp_path)
    assert ranges(server) == [None, "bytes=800000-", None]


def test_without_etag_and_date_nothing_is_resumed(server: Server, tmp_path: Path) -> None:
    server.etag = None
    server.answers = [honest(cut_after=400_000)]
    assert_fetched(get(server, tmp_path), tmp_path)
    assert ranges(server) == [None, None]


@pytest.mark.parametrize("note", [b"", b"{", b"[]", b'{"url": 1}', b"\xff"])
def test_a_damaged_note_beside_the_part_starts_over(server: Server, tmp_path: Path, note: bytes) -> None:
    (tmp_path / f"{NAME}.part").write_bytes(OTHER[:1000])
    (tmp_path / f"{NAME}.part.json").write_bytes(note)
    assert_fetched(get(server, tmp_path), tmp_path)
    assert ranges(server) == [None]


def test_a_part_of_another_mirror_is_not_mixed_in(server: Server, tmp_path: Path) -> None:
    (tmp_path / f"{NAME}.part").write_bytes(OTHER[:1000])
    version = {"url": f"http://elsewhere/{NAME}", "validator": '"one"', "length": len(CONTENT)}
    (tmp_path / f"{NAME}.part.json").write_text(json.dumps(version))
    assert_fetched(get(server, tmp_path), tmp_path)
    assert ranges(server) == [None]


def test_wrong_bytes_are_refused_and_removed(server: Server, tmp_path: Path) -> None:
    server.files[NAME] = OTHER
    with pytest.raises(InputRefused, match=rf"not the official {NAME} .*{FILE.sha1}.*TRTDREAM_MIRROR=URL"):
        get(server, tmp_path)
    assert left_in(tmp_path) == set()
    assert len(server.asked) == 1


def test_wrong_bytes_put_together_from_pieces_are_tried_once_more(server: Server, tmp_path: Path) -> None:
    server.files[NAME] = OTHER
    server.answers = [honest(cut_after=400_000)]
    with pytest.raises(InputRefused):
        get(server, tmp_path)
    assert left_in(tmp_path) == set()
    assert ranges(server) == [None, "bytes=400000-", None]


def test_a_length_below_the_truth_is_found_by_the_hash(server: Server, tmp_path: Path) -> None:
    server.answers = [honest(lie=-1000)]
    with pytest.raises(InputRefused, match="699001 bytes"):
        get(server, tmp_path)
    assert left_in(tmp_path) == set()


def test_a_length_above_the_truth_is_given_up(server: Server, tmp_path: Path) -> None:
    server.answers = [honest(lie=1000)] * 20
    with pytest.raises(NotAvailable, match=r"connection ended after 700001 of 701001 bytes|HTTP 416"):
        get(server, tmp_path)
    assert len(server.asked) < 10
    assert NAME not in left_in(tmp_path)


def test_an_announced_giant_is_refused(server: Server, tmp_path: Path) -> None:
    server.answers = [honest(lie=10**15)]
    with pytest.raises(InputRefused, match=r"announces .* no more than 1400000"):
        get(server, tmp_path)
    assert left_in(tmp_path) == set()


def test_an_endless_body_is_refused(server: Server, tmp_path: Path) -> None:
    server.answers = [raw(b"HTTP/1.0 200 OK\r\n\r\n" + bytes(1_500_000))]
    with pytest.raises(InputRefused, match="sends more than the 1400000 bytes"):
        get(server, tmp_path)
    assert left_in(tmp_path) == set()


def test_a_body_without_length_is_taken_if_its_hash_is_right(server: Server, tmp_path: Path) -> None:
    server.answers = [raw(b"HTTP/1.0 200 OK\r\n\r\n" + CONTENT)]
    assert_fetched(get(server, tmp_path), tmp_path)


def test_a_chunked_body_that_breaks_off_is_tried_again(server: Server, tmp_path: Path) -> None:
    broken = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4000\r\n" + CONTENT[:100]
    server.answers = [raw(broken)]
    assert_fetched(get(server, tmp_path), tmp_path)
    assert ranges(server) == [None, None]


@pytest.mark.parametrize("garbage", [b"", b"hello\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n", b"\x00" * 70_000])
def test_what_is_no_http_is_given_up(server: Server, tmp_path: Path, garbage: bytes) -> None:
    server.answers = [raw(garbage)] * 9
    with pytest.raises(NotAvailable, match="the connection broke") as caught:
        get(server, tmp_path)
    assert str(caught.value).isprintable()
    assert left_in(tmp_path) == set()


@pytest.mark.parametrize(("code", "attempts"), [(404, 1), (403, 1), (500, 4), (503, 4), (429, 4), (204, 4)])
def test_refusals_end_at_once_and_troubles_after_some_attempts(
    server: Server, tmp_path: Path, code: int, attempts: int
) -> None:
    server.answers = [status(code)] * 9
    with pytest.raises(NotAvailable, match=f"{server.url}/{NAME}: .*HTTP {code}"):
        get(server, tmp_path)
    assert len(server.asked) == attempts
    assert left_in(tmp_path) == set()


def test_a_server_error_that_passes_is_overcome(server: Server, tmp_path: Path) -> None:
    server.answers = [status(500), status(503)]
    assert_fetched(get(server, tmp_path), tmp_path)


def test_a_redirect_is_followed_with_its_range(server: Server, tmp_path: Path) -> None:
    to = f"{server.url}/else/where/{NAME}"
    server.answers = [status(302, Location=to), honest(cut_after=400_000), status(302, Location=to)]
    assert_fetched(get(server, tmp_path), tmp_path)
    assert server.asked[-1] == (f"/else/where/{NAME}", "bytes=400000-")


def test_a_redirect_loop_ends_in_one_line(server: Server, tmp_path: Path) -> None:
    server.answers = [status(302, Location=f"{server.url}/{NAME}")] * 99
    with pytest.raises(NotAvailable, match=r"HTTP 302 .*infinite loop") as caught:
        get(server, tmp_path)
    assert str(caught.value).isprintable()
    assert left_in(tmp_path) == set()


@pytest.mark.parametrize("to", ["file:///etc/hostname", "ftp://127.0.0.1/x"])
def test_a_redirect_away_from_http_is_not_followed(server: Server, tmp_path: Path, to: str) -> None:
    server.answers = [status(302, Location=to)] * 9
    with pytest.raises(NotAvailable):
        get(server, tmp_path)
    assert left_in(tmp_path) == set()


def test_no_server_is_said_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.socket() as taken:  # bound, not listening: the port refuses
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(NotAvailable, match=r"cannot be reached .*refused.*`trtdream fetch googlenet`"):
            fetch(FILE, tmp_path, base_url=url, progress=quiet, waits=(99, 99))
    assert left_in(tmp_path) == set()


def test_a_proxy_of_the_environment_is_used(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", server.url)
    path = fetch(FILE, tmp_path, base_url="http://caffe.invalid", progress=quiet)
    assert_fetched(path, tmp_path)
    assert server.asked == [(f"http://caffe.invalid/{NAME}", None)]


def test_a_full_disk_is_one_clear_line(server: Server, tmp_path: Path) -> None:
    (tmp_path / f"{NAME}.part").symlink_to("/dev/full")
    with pytest.raises(TrtdreamError, match=r"\.part: cannot be written \(No space left on device\); make room"):
        get(server, tmp_path)
    assert not (tmp_path / NAME).exists()


def test_a_cache_that_cannot_be_made_is_one_clear_line(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(TrtdreamError, match=r"cannot be written .*TRTDREAM_HOME=DIR"):
        get(server, tmp_path / "file" / "cache")


def test_two_processes_fetch_once(server: Server, tmp_path: Path) -> None:
    server.answers = [honest(pace=0.05)]
    program = (
        "import sys; from pathlib import Path; from trtdream.weights.fetch import fetch\n"
        "from trtdream.weights.official import OfficialFile\n"
        f"file = OfficialFile('googlenet', '{NAME}', '{FILE.sha1}', about=700_000)\n"
        "print(fetch(file, Path(sys.argv[1]), base_url=sys.argv[2], progress=lambda *_: None))"
    )
    command = [sys.executable, "-c", program, str(tmp_path), server.url]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    said = [process.communicate(timeout=60) for process in running]
    assert [process.returncode for process in running] == [0, 0, 0], said
    assert {out.strip() for out, _ in said} == {str(tmp_path / NAME)}
    assert len(server.asked) == 1
    assert_fetched(tmp_path / NAME, tmp_path)


LISTS = OfficialArchive(
    "ilsvrc12", "caffe_ilsvrc12.tar.gz", (Member("val.txt", partial(check_image_list, images=2)),), 10_000
)
VAL = b"ILSVRC2012_val_00000001.JPEG 65\nILSVRC2012_val_00000002.JPEG 970\n"


def test_an_archive_becomes_a_folder_of_its_named_members(server: Server, tmp_path: Path) -> None:
    folder = tarfile.TarInfo("./")
    folder.type = tarfile.DIRTYPE
    server.files[LISTS.filename] = tar_gz({"./val.txt": VAL, "imagenet.bet.pickle": b"cos\nsystem\n"}, folder)
    path = get(server, tmp_path, LISTS)
    assert path == tmp_path / "ilsvrc12"
    assert left_in(tmp_path) == {"val.txt"}
    assert (path / "val.txt").read_bytes() == VAL
    get(server, tmp_path, LISTS)
    assert len(server.asked) == 1


def test_an_archive_that_is_refused_leaves_nothing(server: Server, tmp_path: Path) -> None:
    server.files[LISTS.filename] = tar_gz({"../val.txt": VAL, "val.txt": VAL})
    with pytest.raises(InputRefused, match=r"caffe_ilsvrc12\.tar\.gz.*'\.\./val\.txt'.*; nothing of it was kept"):
        get(server, tmp_path / "cache", LISTS)
    assert left_in(tmp_path) == set()


def test_obtain_asks_the_mirror_and_refuses_what_is_not_official(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRTDREAM_HOME", str(tmp_path))
    monkeypatch.setenv("TRTDREAM_MIRROR", f"{server.url}/below/")
    with pytest.raises(InputRefused, match="405fc5acd08a3bb12de8ee5e23a96bec22f08204"):
        obtain("googlenet")
    assert server.asked == [(f"/below/{NAME}", None)]
    with pytest.raises(NotAvailable, match="--offline or TRTDREAM_OFFLINE"):
        obtain("googlenet", offline=True)
    with pytest.raises(UsageError, match="did you mean googlenet"):
        obtain("googlent")
    assert left_in(tmp_path) == set()


def test_a_log_gets_lines_with_the_time_left(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv("TRTDREAM_HOME", str(tmp_path))
    monkeypatch.setenv("TRTDREAM_MIRROR", server.url)
    monkeypatch.setattr("trtdream.weights.fetch._LOG_EVERY", 0.0)
    with pytest.raises(InputRefused):
        obtain("googlenet")
    assert re.search(rf"{NAME}: \d MB of 1, \d+ s left\n", capsys.readouterr().err)
