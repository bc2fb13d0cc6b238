"""What the files of caffe_ilsvrc12.tar.gz are: each check raises ValueError, saying why, on anything else."""

from __future__ import annotations

import re

import numpy as np

# BlobProto {num: 1 channels: 3 height: 256 width: 256 data: 196608 packed floats}, as protobuf writes it
_MEAN_HEADER = bytes.fromhex("0801 1003 188002 208002 2a 808030")
_MEAN_FLOATS = 3 * 256 * 256
_SYNSET = re.compile(rb"n[0-9]{8} \S.*")
# possessive: 1.3 million lines without a way back for each
_IMAGE_LIST = re.compile(rb"(?:[^\s/]++(?:/[^\s/]++)*+ [0-9]{1,3}\n)++")


def check_mean_image(content: bytes) -> None:
    """`content` must be a .binaryproto of 1 x 3 x 256 x 256 floats within 0..255."""
    if content[: len(_MEAN_HEADER)] != _MEAN_HEADER:
        raise ValueError("is no .binaryproto of a 3 x 256 x 256 image")
    if len(content) != len(_MEAN_HEADER) + 4 * _MEAN_FLOATS:
        raise ValueError(f"has {len(content)} bytes, not {len(_MEAN_HEADER) + 4 * _MEAN_FLOATS}")
    values = np.frombuffer(content, "<f4", offset=len(_MEAN_HEADER))
    if not ((values >= 0) & (values <= 255)).all():
        raise ValueError("has values outside 0..255")


def check_synset_words(content: bytes) -> None:
    """`content` must be 1000 lines "n01440764 tench, Tinca tinca" in the order of their synsets."""
    lines = content.splitlines()
    if len(lines) != 1000 or not all(_SYNSET.fullmatch(line) for line in lines):
        raise ValueError("is not 1000 lines of a synset and its words")
    synsets = [line[:9] for line in lines]
    if synsets != sorted(set(synsets)):
        raise ValueError("does not name the synsets in their order")


def check_image_list(content: bytes, *, images: int) -> None:
    """`content` must be `images` lines "path label", labels 0..999."""
    if not _IMAGE_LIST.fullmatch(content):
        raise ValueError('is not lines of "path label"')
    listed = content.count(b"\n")
    if listed != images:
        raise ValueError(f"lists {listed} images, not {images}")
