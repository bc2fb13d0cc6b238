"""Each file of Caffe's ILSVRC12 archive is recognised, and nothing else is taken for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.weights.server import ilsvrc12_members
from trtdream.weights.official import OfficialArchive, official


@pytest.mark.parametrize("name", ["imagenet_mean.binaryproto", "synset_words.txt", "train.txt", "val.txt"])
def test_each_member_is_checked_for_what_it_is(name: str) -> None:
    archive = official("ilsvrc12")
    assert isinstance(archive, OfficialArchive)
    check = {member.filename: member.check for member in archive.members}[name]
    good = ilsvrc12_members()[name]
    check(good)
    for bad in (b"", good + b"\xff", good[: len(good) // 2], b" " + good, good + good):
        with pytest.raises(ValueError):
            check(bad)


def test_the_real_mean_and_words_pass_their_checks(shared: Path) -> None:
    archive = official("ilsvrc12")
    assert isinstance(archive, OfficialArchive)
    for member in archive.members[:2]:
        member.check((shared / "ilsvrc12" / member.filename).read_bytes())
