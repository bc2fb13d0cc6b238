"""Archives that are not what they should be: refused, with nothing written."""

from __future__ import annotations

import itertools
import tarfile
from functools import partial
from pathlib import Path

import pytest

from tests.weights.server import tar_gz
from trtdream.errors import InputRefused
from trtdream.weights.archive import members_of
from trtdream.weights.ilsvrc12 import check_image_list
from trtdream.weights.official import Member, OfficialArchive

LISTS = OfficialArchive(
    "ilsvrc12", "caffe_ilsvrc12.tar.gz", (Member("val.txt", partial(check_image_list, images=2)),), 10_000
)
VAL = b"ILSVRC2012_val_00000001.JPEG 65\nILSVRC2012_val_00000002.JPEG 970\n"


def packed(folder: Path, content: bytes) -> Path:
    path = folder / f"{LISTS.filename}.part"
    path.write_bytes(content)
    return path


def test_only_the_named_members_are_read(tmp_path: Path) -> None:
    content = tar_gz({"./val.txt": VAL, "imagenet.bet.pickle": b"cos"}, entry("./", tarfile.DIRTYPE))
    assert members_of(packed(tmp_path, content), LISTS) == {"val.txt": VAL}


def entry(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, target
    return made


@pytest.mark.parametrize(
    "archive",
    [
        tar_gz({"../val.txt": VAL}),
        tar_gz({"/tmp/val.txt": VAL}),
        tar_gz({"val.txt": VAL, "../../evil": b"x"}),
        tar_gz({"val.txt": VAL, "..": b"x"}),
        tar_gz({"val.txt": VAL, "./val.txt": VAL}),
        tar_gz({"val.txt": VAL}, entry("evil", tarfile.SYMTYPE, "/etc/passwd")),
        tar_gz({}, entry("val.txt", tarfile.SYMTYPE, "/etc/passwd")),
        tar_gz({"other": VAL}, entry("val.txt", tarfile.LNKTYPE, "other")),
        tar_gz({"val.txt": VAL}, entry("pipe", tarfile.FIFOTYPE)),
        tar_gz({"val.txt": VAL}, entry("null", tarfile.CHRTYPE)),
        tar_gz({"val.txt": VAL}, entry("folder", tarfile.DIRTYPE)),
        tar_gz({}, entry("val.txt", tarfile.GNUTYPE_SPARSE)),
        tar_gz({"other.txt": VAL}),
        tar_gz({"val.txt": VAL + VAL}),
        tar_gz({"val.txt": VAL[:-1]}),
        tar_gz({"val.txt": VAL.replace(b"970", b"1970")}),
        tar_gz({"val.txt": b""}),
        tar_gz({"val.txt": VAL})[:-9],
        tar_gz({"val.txt": VAL})[:40],
        tar_gz({"val.txt": VAL}).replace(b"\x1f\x8b", b"\x1f\x8c"),
        b"<html>log in to the network of this hotel</html>",
        b"",
    ],
    ids=itertools.count(),
)
def test_anything_else_is_refused(tmp_path: Path, archive: bytes) -> None:
    with pytest.raises(InputRefused, match=r"caffe_ilsvrc12\.tar\.gz"):
        members_of(packed(tmp_path, archive), LISTS)
    assert [path.name for path in tmp_path.iterdir()] == [f"{LISTS.filename}.part"]


def test_what_unpacks_to_far_too_much_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputRefused, match="unpacks to more than 256 MiB"):
        members_of(packed(tmp_path, tar_gz({"val.txt": bytes(300 * 2**20)})), LISTS)
