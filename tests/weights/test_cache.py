"""Where official files are looked for, and what the environment may say."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.weights.server import ilsvrc12_members
from trtdream.errors import UsageError
from trtdream.weights import cache
from trtdream.weights.official import OFFICIAL, OfficialFile


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("TRTDREAM_WEIGHTS", "TRTDREAM_OFFLINE", "TRTDREAM_MIRROR", "TRTDREAM_TIMEOUT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TRTDREAM_HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def test_the_table_is_that_of_caffes_readmes(shared: Path) -> None:
    facts = (shared / "caffe-truth" / "FACTS.md").read_text()
    hashes = {file.name: file.sha1 for file in OFFICIAL if isinstance(file, OfficialFile)}
    for name, listed in (("caffenet", "CaffeNet"), ("alexnet", "AlexNet"), ("googlenet", "GoogLeNet")):
        assert f"{listed} {hashes.pop(name)}" in facts
    assert not hashes


def test_the_cache_lies_in_the_home_folder_unless_told(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    assert cache.cache_folder() == home
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.setenv("TRTDREAM_HOME", "~/elsewhere")
    assert cache.cache_folder() == Path("/home/somebody/elsewhere")
    monkeypatch.delenv("TRTDREAM_HOME")
    assert cache.cache_folder() == Path("/home/somebody/.cache/trtdream")


def test_a_file_that_is_nowhere_is_none(home: Path) -> None:
    assert cache.find_official("googlenet") is None
    assert cache.find_official("ilsvrc12") is None
    assert list(home.iterdir()) == []


def test_an_unknown_name_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="did you mean caffenet"):
        cache.find_official("cafenet")


def test_a_file_of_the_users_own_comes_first_whatever_it_holds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    monkeypatch.setenv("TRTDREAM_WEIGHTS", str(own))
    assert cache.find_official("caffenet") is None
    (own / "bvlc_reference_caffenet.caffemodel").write_bytes(b"re-saved")
    assert cache.find_official("caffenet") == own / "bvlc_reference_caffenet.caffemodel"


def test_a_folder_of_the_users_own_that_is_none_is_a_usage_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TRTDREAM_WEIGHTS", str(tmp_path / "missing"))
    with pytest.raises(UsageError, match=r"TRTDREAM_WEIGHTS=.*missing: is no folder"):
        cache.find_official("googlenet")


def test_a_damaged_file_in_the_cache_is_not_used_and_said_so(home: Path, capsys: pytest.CaptureFixture) -> None:
    (home / "bvlc_alexnet.caffemodel").write_bytes(b"half")
    assert cache.find_official("alexnet") is None
    said = capsys.readouterr().err
    assert "is damaged or not the official file" in said and "`trtdream fetch alexnet`" in said


def test_an_archives_folder_counts_when_each_member_is_what_it_is(home: Path) -> None:
    folder = home / "ilsvrc12"
    folder.mkdir()
    for name, content in ilsvrc12_members().items():
        assert cache.find_official("ilsvrc12") is None
        (folder / name).write_bytes(content)
    assert cache.find_official("ilsvrc12") == folder
    for name in ("imagenet_mean.binaryproto", "synset_words.txt", "train.txt", "val.txt"):
        (folder / name).write_bytes(b"")
        assert cache.find_official("ilsvrc12") is None
        (folder / name).write_bytes(ilsvrc12_members()[name])
    assert cache.find_official("ilsvrc12") == folder


def test_sha1_is_that_of_the_content(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    # FIPS 180-2, appendix A.1
    assert cache.sha1(tmp_path / "abc") == "a9993e364706816aba3e25717850c26c9cd0d89d"
    assert hashlib.sha1(b"abc").hexdigest() == cache.sha1(tmp_path / "abc")


@pytest.mark.parametrize(("text", "offline"), [("1", True), ("yes", True), ("0", False), ("", False)])
def test_offline(monkeypatch: pytest.MonkeyPatch, text: str, offline: bool) -> None:
    assert not cache.is_offline()
    monkeypatch.setenv("TRTDREAM_OFFLINE", text)
    assert cache.is_offline() is offline


def test_the_mirror_replaces_bvlcs_server(monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache.mirror() == "http://dl.caffe.berkeleyvision.org"
    monkeypatch.setenv("TRTDREAM_MIRROR", "https://example.org:8000/caffe/")
    assert cache.mirror() == "https://example.org:8000/caffe"


@pytest.mark.parametrize(
    "url",
    ["file:///tmp", "ftp://x/y", "example.org", "http://", "http://[x", "http://a b/", "http://a:99999/"],
)
def test_a_mirror_that_is_no_http_url_is_a_usage_error(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("TRTDREAM_MIRROR", url)
    with pytest.raises(UsageError, match="must be a URL that begins with http"):
        cache.mirror()


@pytest.mark.parametrize("text", ["soon", "0", "-1", "nan", "inf"])
def test_a_timeout_is_a_number_of_seconds(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    assert cache.stall_timeout() == 30
    monkeypatch.setenv("TRTDREAM_TIMEOUT", "2.5")
    assert cache.stall_timeout() == 2.5
    monkeypatch.setenv("TRTDREAM_TIMEOUT", text)
    with pytest.raises(UsageError, match="number of seconds above 0"):
        cache.stall_timeout()
