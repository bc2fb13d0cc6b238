"""A real HTTP server on 127.0.0.1 that serves some files, and misbehaves on demand."""

from __future__ import annotations

import gzip
import io
import random
import struct
import tarfile
import threading
import time
from collections.abc import Callable
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers.get("Range")))
        answer = self.server.answers.pop(0) if self.server.answers else honest()
        answer(self)

    def content(self) -> bytes:
        return self.server.files[self.path.rpartition("/")[2]]

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    """`files` by name; one of `answers` for each request, then honest ones; `asked`: what came in."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = files
        self.answers: list[Answer] = []
        self.asked: list[tuple[str, str | None]] = []
        self.etag: str | None = '"one"'
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, *_: object) -> None:
        """A client that was killed, or hung up, is part of the tests."""

    def __enter__(self) -> Server:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


Answer = Callable[[Handler], None]


def honest(
    *, ranges: bool = True, cut_after: int | None = None, stall: float = 0, pace: float = 0, lie: int = 0
) -> Answer:
    """The file, or the rest of it that is asked for.

    ranges=False ignores Range; the body is cut after `cut_after` bytes, after `stall` seconds of silence;
    `pace` seconds lie between its blocks of 64 KiB; Content-Length is off by `lie`.
    """

    def answer(handler: Handler) -> None:
        content, asked = handler.content(), handler.headers.get("Range")
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and ranges else 0
        if start and start >= len(content):
            handler.send_response(416)
            handler.send_header("Content-Range", f"bytes */{len(content)}")
            handler.end_headers()
            return
        handler.send_response(206 if start else 200)
        if start:
            handler.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        if handler.server.etag:
            handler.send_header("ETag", handler.server.etag)
        handler.send_header("Content-Length", str(len(content) - start + lie))
        handler.end_headers()
        body = content[start:] if cut_after is None else content[start : start + cut_after]
        for offset in range(0, len(body), 65536):
            handler.wfile.write(body[offset : offset + 65536])
            time.sleep(pace)
        handler.wfile.flush()
        time.sleep(stall)

    return answer


def status(code: int, **headers: str) -> Answer:
    """Only a status line, and headers such as Location."""

    def answer(handler: Handler) -> None:
        handler.send_response(code)
        for name, text in headers.items():
            handler.send_header(name.replace("_", "-"), text)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


def raw(content: bytes) -> Answer:
    """These bytes in place of an HTTP answer."""
    return lambda handler: handler.wfile.write(content) and None


def tar_gz(members: dict[str, bytes], *others: tarfile.TarInfo) -> bytes:
    """A .tar.gz of plain files, and of entries without content."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
        for entry in others:
            tar.addfile(entry)
    return gzip.compress(buffer.getvalue(), 1)


@cache
def ilsvrc12_members() -> dict[str, bytes]:
    """Files of the form and the numbers of lines of Caffe's, with a made-up mean, words and paths."""
    draw = random.Random(0)
    mean = bytes.fromhex("08011003188002208002 2a808030") + b"".join(
        struct.pack("<f", draw.uniform(0, 255)) for _ in range(196608)
    )
    train = b"".join(b"n%08d/n%08d_%d.JPEG %d\n" % (i % 1000, i % 1000, i, i % 1000) for i in range(1_281_167))
    return {
        "imagenet_mean.binaryproto": mean,
        "synset_words.txt": b"".join(b"n%08d a thing, a thing of a kind\n" % i for i in range(1000)),
        "synsets.txt": b"n00000000\n",
        "train.txt": train,
        "val.txt": b"".join(b"ILSVRC2012_val_%08d.JPEG %d\n" % (i + 1, i % 1000) for i in range(50_000)),
    }


@cache
def ilsvrc12_archive() -> bytes:
    """A well-formed caffe_ilsvrc12.tar.gz of about 6 MB."""
    return tar_gz(ilsvrc12_members())
