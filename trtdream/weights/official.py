"""The files that BVLC published with Caffe, and what each must be."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from trtdream.errors import UsageError
from trtdream.weights.ilsvrc12 import check_image_list, check_mean_image, check_synset_words

OFFICIAL_URL = "http://dl.caffe.berkeleyvision.org"


@dataclass(frozen=True)
class OfficialFile:
    """One file with a published SHA-1 (models/*/readme.md of BVLC/caffe)."""

    name: str
    filename: str
    sha1: str
    about: int  # bytes, rounded: for the reader, and to refuse an endless download

    @property
    def place(self) -> str:
        """Where it lies, below the cache or TRTDREAM_WEIGHTS."""
        return self.filename


@dataclass(frozen=True)
class Member:
    """A file of an archive; `check(content)` raises ValueError, saying why, if it is something else."""

    filename: str
    check: Callable[[bytes], None]


@dataclass(frozen=True)
class OfficialArchive:
    """A .tar.gz without a published hash: its `members` are checked for what they are."""

    name: str
    filename: str
    members: tuple[Member, ...]
    about: int
    sha1: ClassVar[None] = None

    @property
    def place(self) -> str:
        """The folder its members lie in, below the cache or TRTDREAM_WEIGHTS."""
        return self.name


Official = OfficialFile | OfficialArchive

OFFICIAL: tuple[Official, ...] = (
    OfficialFile(
        name="googlenet",
        filename="bvlc_googlenet.caffemodel",
        sha1="405fc5acd08a3bb12de8ee5e23a96bec22f08204",
        about=53_500_000,
    ),
    OfficialFile(
        name="caffenet",
        filename="bvlc_reference_caffenet.caffemodel",
        sha1="4c8d77deb20ea792f84eb5e6d0a11ca0a8660a46",
        about=244_000_000,
    ),
    OfficialFile(
        name="alexnet",
        filename="bvlc_alexnet.caffemodel",
        sha1="9116a64c0fbe4459d18f4bb6b56d647b63920377",
        about=244_000_000,
    ),
    OfficialArchive(
        name="ilsvrc12",
        filename="caffe_ilsvrc12.tar.gz",
        members=(
            Member("imagenet_mean.binaryproto", check_mean_image),
            Member("synset_words.txt", check_synset_words),
            Member("train.txt", partial(check_image_list, images=1_281_167)),
            Member("val.txt", partial(check_image_list, images=50_000)),
        ),
        about=18_000_000,
    ),
)


def official(name: str) -> Official:
    """The official file called `name`, e.g. "googlenet".

    Raises:
        UsageError: there is none; the nearest names are offered.
    """
    names = [file.name for file in OFFICIAL]
    if name in names:
        return OFFICIAL[names.index(name)]
    near = difflib.get_close_matches(name, names, n=1)
    meant = f"did you mean {near[0]}? " if near else ""
    raise UsageError(f"{name}: no official file of that name; {meant}There are {', '.join(names)}")
