import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from trtdream.errors import InputRefused, UsageError
from trtdream.runtime.image import (
    MAX_PIXELS,
    MIN_SIDE,
    load_image,
    read_metadata,
    resize_bilinear,
    save_image,
)

METADATA = {"net": "googlenet", "layer": "inception_4c/output", "prompt": "träumt — 夢", "seed": "7"}


@pytest.fixture
def rgb():
    """A picture without symmetry: 24 high, 32 wide, smooth, another ramp in each channel."""
    y, x = np.mgrid[0:24, 0:32]
    return np.stack([x * 8, y * 10, 255 - x * 4 - y * 5], axis=2).astype(np.uint8)


@pytest.fixture
def load(tmp_path):
    """Write `content` (bytes, or a Pillow picture and how to save it) to a file and load that."""

    def _load(content, kind="PNG", **options):
        path = tmp_path / "made.bin"  # the content says what a file is, not its name
        if isinstance(content, Image.Image):
            content.save(path, format=kind, **options)
        else:
            path.write_bytes(content)
        return load_image(path)

    return _load


def saved(picture, kind, **options):
    buffer = io.BytesIO()
    picture.save(buffer, format=kind, **options)
    return buffer.getvalue()


def png_chunk(name, content):
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png_claiming(width, height):
    """A PNG of 1 MB of black at most, whatever its header claims."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", zlib.compress(bytes(10**6)))


def tiff(pixels, bits, width, height, *tags):
    """An uncompressed little-endian greyscale TIFF, written by hand; a tag is (number, value)."""
    entries = [(256, width), (257, height), (258, bits), (259, 1), (262, 1), (273, 8), (277, 1), (278, height)]
    entries = sorted([*entries, (279, len(pixels)), *tags])
    folder = b"".join(struct.pack("<HHII", number, 4, 1, value) for number, value in entries)
    return b"II*\0" + struct.pack("<I", 8 + len(pixels)) + pixels + struct.pack("<H", len(entries)) + folder + b"\0" * 4


# what just works


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
def test_lossless_formats_are_exact(load, rgb, kind):
    loaded = load(Image.fromarray(rgb), kind)
    np.testing.assert_array_equal(loaded, rgb)
    assert loaded.dtype == np.uint8
    assert loaded.flags.writeable


def test_webp_lossless_is_exact(load, rgb):
    np.testing.assert_array_equal(load(Image.fromarray(rgb), "WEBP", lossless=True), rgb)


def test_jpeg_equals_caffes_loader(truth):
    wanted = np.load(truth / "data" / "convert_imageset_chelsea.npz")["plain_chw_uint8"]
    np.testing.assert_array_equal(load_image(truth / "nets" / "chelsea.jpg")[:, :, ::-1].transpose(2, 0, 1), wanted)


def test_greyscale_is_repeated(load, rgb):
    grey = rgb[:, :, 0]
    for kind in ("PNG", "BMP", "TIFF"):
        np.testing.assert_array_equal(load(Image.fromarray(grey), kind), grey[:, :, None].repeat(3, axis=2))


def test_one_bit_is_black_and_white(load, rgb):
    bits = (rgb[:, :, 0] > 100).astype(np.uint8) * 255
    for kind in ("PNG", "TIFF"):
        np.testing.assert_array_equal(load(Image.fromarray(bits).convert("1"), kind)[:, :, 1], bits)


def test_palette_and_the_first_frame_of_a_gif(load, rgb):
    few = Image.fromarray(rgb // 64 * 64)  # few enough colours for an exact palette
    palette = few.quantize(colors=256, dither=Image.Dither.NONE)
    np.testing.assert_array_equal(load(palette, "PNG"), np.asarray(palette.convert("RGB")))
    black = Image.new("RGB", few.size)
    loaded = load(palette, "GIF", save_all=True, append_images=[black])
    np.testing.assert_array_equal(loaded, np.asarray(palette.convert("RGB")))
    assert loaded.max() > 128


def test_alpha_is_dropped_not_composed(load, rgb):
    alpha = np.full((*rgb.shape[:2], 1), 10, dtype=np.uint8)
    np.testing.assert_array_equal(load(Image.fromarray(np.concatenate([rgb, alpha], axis=2)), "PNG"), rgb)
    grey = Image.merge("LA", [Image.fromarray(rgb[:, :, 0]), Image.fromarray(alpha[:, :, 0])])
    np.testing.assert_array_equal(load(grey, "PNG")[:, :, 2], rgb[:, :, 0])


def test_cmyk_by_its_definition(load, rgb):
    cmyk = np.concatenate([255 - rgb, np.zeros((*rgb.shape[:2], 1), np.uint8)], axis=2)
    picture = Image.frombytes("CMYK", (32, 24), cmyk.tobytes())
    np.testing.assert_array_equal(load(picture, "TIFF"), rgb)


def test_adobes_inverted_cmyk(load, rgb):
    cmyk = np.concatenate([255 - rgb, np.zeros((*rgb.shape[:2], 1), np.uint8)], axis=2)
    content = saved(Image.frombytes("CMYK", (32, 24), cmyk.tobytes()), "JPEG", quality=100, subsampling=0)
    assert b"\xff\xee\x00\x0eAdobe" in content  # the marker under which ink is stored as 255 minus ink
    assert np.abs(load(content).astype(int) - rgb).max() <= 3


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled(load, kind):
    deep = np.linspace(0, 65535, 24 * 32).astype(np.uint16).reshape(24, 32)
    loaded = load(Image.fromarray(deep), kind)
    np.testing.assert_array_equal(loaded, (deep // 256).astype(np.uint8)[:, :, None].repeat(3, axis=2))
    assert loaded.min() == 0
    assert loaded.max() == 255


def test_big_endian_16_bit_tiff(load):
    deep = np.linspace(0, 65535, 24 * 32).astype(">u2")
    little = tiff(deep.tobytes(), 16, 32, 24)
    numbers = [struct.unpack_from("<HHII", little, len(deep) * 2 + 10 + 12 * i) for i in range(9)]
    big = b"MM\0*" + struct.pack(">I", 8 + len(deep) * 2) + deep.tobytes() + struct.pack(">H", 9)
    big += b"".join(struct.pack(">HHII", *entry) for entry in numbers) + b"\0" * 4
    np.testing.assert_array_equal(load(big)[:, :, 0].ravel(), deep // 256)


def test_12_bit_tiff_is_scaled(load):
    values = np.arange(256) * 16
    packed = b"".join(((a << 12) | b).to_bytes(3) for a, b in values.reshape(-1, 2).tolist())
    np.testing.assert_array_equal(load(tiff(packed, 12, 16, 16))[:, :, 0].ravel(), np.arange(256))


def test_16_bit_rgb_png_keeps_the_upper_byte(load):
    row = np.arange(16 * 3, dtype=np.uint16) * 1365
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for _ in range(16))
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 16, 16, 16, 2, 0, 0, 0))
    body = png_chunk(b"IDAT", zlib.compress(rows)) + png_chunk(b"IEND", b"")
    loaded = load(b"\x89PNG\r\n\x1a\n" + header + body)
    np.testing.assert_array_equal(loaded[5].ravel(), row // 256)


# EXIF 2.3, tag Orientation: where the file's row 0 and column 0 are in the upright picture
STORED = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.transpose(1, 0, 2),
    6: lambda upright: np.rot90(upright, 1),
    7: lambda upright: upright[::-1, ::-1].transpose(1, 0, 2),
    8: lambda upright: np.rot90(upright, -1),
}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_exif_rotation_is_applied(load, rgb, orientation, kind):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.ascontiguousarray(STORED[orientation](rgb))
    np.testing.assert_array_equal(load(Image.fromarray(stored), kind, exif=exif), rgb)


def test_exif_rotation_of_a_jpeg_and_of_16_bits(load, rgb):
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = Image.fromarray(np.ascontiguousarray(np.rot90(rgb)))
    loaded = load(stored, "JPEG", exif=exif, quality=100, subsampling=0).astype(int)
    assert np.abs(loaded - rgb).max() <= 3
    deep = np.rot90(rgb[:, :, 0]).astype("<u2") * 256
    turned = load(tiff(deep.tobytes(), 16, 24, 32, (274, 6)))
    np.testing.assert_array_equal(turned[:, :, 0], rgb[:, :, 0])


def test_damaged_exif_does_not_matter(load, rgb):
    broken = saved(Image.fromarray(rgb), "PNG", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f")
    np.testing.assert_array_equal(load(broken), rgb)


# what is refused


@pytest.mark.parametrize(
    "content",
    [
        b"not a picture at all",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n",
        b"P6 16 16 255\n" + bytes(768),
        b"\xff\xd8\xff\xe0",
        b"\x89PNG\r\n\x1a\n",
        b"\0" * 4096,
    ],
)
def test_what_is_no_picture_is_refused(tmp_path, content):
    path = tmp_path / "notes.jpg"
    path.write_bytes(content)
    with pytest.raises(InputRefused, match=r"notes\.jpg: is ") as refusal:
        load_image(path)
    assert "\n" not in str(refusal.value)


def test_missing_empty_and_folder(tmp_path):
    with pytest.raises(UsageError, match="no such file"):
        load_image(tmp_path / "none.jpg")
    with pytest.raises(InputRefused, match="folder"):
        load_image(tmp_path)
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(InputRefused, match="0 bytes"):
        load_image(tmp_path / "empty.jpg")


KINDS = [
    ("JPEG", {}),
    ("JPEG", {"progressive": True}),
    ("JPEG", {"restart_marker_rows": 1}),
    ("PNG", {}),
    ("WEBP", {}),
    ("BMP", {}),
    ("TIFF", {}),
    ("TIFF", {"compression": "tiff_lzw"}),
    ("GIF", {}),
]


@pytest.mark.parametrize(("kind", "options"), KINDS)
def test_no_cut_file_ever_loses_a_pixel(load, kind, options):
    rng = np.random.default_rng(1)
    noise = rng.integers(0, 256, (20, 30, 3), dtype=np.uint8).repeat(4, axis=0).repeat(4, axis=1)
    whole = saved(Image.fromarray(noise), kind, **options)
    intact = load(whole)
    cuts = {*range(1, len(whole), max(1, len(whole) // 40)), *range(len(whole) - 16, len(whole))}
    refused = 0
    for cut in cuts:
        try:
            loaded = load(whole[:cut])
        except InputRefused:
            refused += 1
        else:  # only a trailer is missing (a PNG's end chunk): every pixel must be there
            np.testing.assert_array_equal(loaded, intact)
            assert len(whole) - cut <= 16
    assert refused >= len(cuts) - 16
    if kind == "JPEG":
        assert refused == len(cuts)


@pytest.mark.parametrize("options", [{}, {"subsampling": 0}, {"restart_marker_rows": 1}])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_jpeg_closed_too_early_is_refused(load, rgb, mode, options):
    """No grey lower half: Pillow itself takes a cut JPEG that somebody gave an end marker."""
    picture = Image.fromarray(rgb.repeat(8, axis=0).repeat(8, axis=1)).convert(mode)
    whole = saved(picture, "JPEG", quality=90, **options)
    assert load(whole).shape == (192, 256, 3)
    start = whole.index(b"\xff\xda")
    for part in (0.3, 0.5, 0.8):
        cut = whole[: start + 20 + int((len(whole) - start - 20) * part)]
        for padding in (b"", bytes(len(whole) - len(cut))):
            with pytest.raises(InputRefused, match="data end before its picture"):
                load(cut + padding + b"\xff\xd9")


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 1}])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_jpeg_that_really_ends_in_mid_grey_is_taken(load, rgb, mode, options):
    rgb[-16:, -16:] = 128
    grey = Image.fromarray(rgb.repeat(4, axis=0).repeat(4, axis=1)).convert(mode)
    assert (load(grey, "JPEG", quality=95, **options)[-1, -1] == 128).all()
    assert (load(Image.new(mode, (64, 64), "#808080"), "JPEG", **options) == 128).all()


def test_a_png_with_a_flipped_bit_is_refused(load, rgb):
    content = bytearray(saved(Image.fromarray(rgb), "PNG"))
    content[content.index(b"IDAT") + 20] ^= 1
    with pytest.raises(InputRefused, match="damaged"):
        load(bytes(content))


@pytest.mark.parametrize("pillows_own_limit", [Image.MAX_IMAGE_PIXELS, None])  # other libraries lift it
@pytest.mark.parametrize("size", [(100_000, 100_000), (2**14, MAX_PIXELS // 2**14 + 1)])
def test_bombs_are_refused_from_the_header(load, monkeypatch, size, pillows_own_limit):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", pillows_own_limit)
    monkeypatch.setattr(Image.Image, "load", lambda _: pytest.fail("its pixels are decoded"))
    with pytest.raises(InputRefused, match=r"claims .*more .*178,956,970 allowed"):
        load(png_claiming(*size))


def test_many_pixels_give_no_warning(tmp_path, recwarn):
    path = tmp_path / "large.png"  # Pillow warns above 89 million pixels
    path.write_bytes(png_claiming(10_000, 10_000))
    with pytest.raises(InputRefused, match="cut off"):
        load_image(path)
    assert not recwarn.list


@pytest.mark.parametrize("size", [(1, 1), (MIN_SIDE - 1, 100), (100, MIN_SIDE - 1)])
def test_tiny_pictures_are_refused(load, size):
    with pytest.raises(InputRefused, match=f"{size[0]} x {size[1]} pixels; a side must have {MIN_SIDE}"):
        load(Image.new("RGB", size))
    assert load(Image.new("RGB", (MIN_SIDE, MIN_SIDE))).shape == (MIN_SIDE, MIN_SIDE, 3)


def test_numbers_without_a_white_are_refused(load):
    ramp = np.linspace(0, 1, 24 * 32, dtype=np.float32).reshape(24, 32)
    with pytest.raises(InputRefused, match="floating-point"):
        load(Image.fromarray(ramp), "TIFF")
    with pytest.raises(InputRefused, match="32-bit"):
        load(Image.fromarray((ramp * 1e6).astype(np.int32)), "TIFF")


# the squash


def test_resize_equals_convert_imageset(truth):
    wanted = np.load(truth / "data" / "convert_imageset_chelsea.npz")["resize256_chw_uint8"]
    squashed = resize_bilinear(load_image(truth / "nets" / "chelsea.jpg"), 256, 256)
    np.testing.assert_array_equal(squashed[:, :, ::-1].transpose(2, 0, 1), wanted)


def test_resize_by_hand():
    image = np.array([[0, 100], [200, 60]], dtype=np.uint8)[:, :, None]
    wider = resize_bilinear(image, 2, 4)  # samples at -0.25 (clamped), 0.25, 0.75, 1.25 (clamped)
    np.testing.assert_array_equal(wider[:, :, 0], [[0, 25, 75, 100], [200, 165, 95, 60]])
    np.testing.assert_array_equal(resize_bilinear(image, 1, 1)[:, :, 0], [[90]])


@pytest.mark.parametrize("size", [(1, 1), (7, 300), (300, 7), (24, 32), (25, 33)])
def test_resize_stays_within_the_float_interpolation(rgb, size):
    y, x = ((np.arange(new) + 0.5) * old / new - 0.5 for new, old in zip(size, rgb.shape, strict=False))
    rows = np.stack([np.interp(y, range(24), rgb[:, i, 1]) for i in range(32)], axis=1)
    wanted = np.stack([np.interp(x, range(32), row) for row in rows])
    squashed = resize_bilinear(rgb, *size)
    assert squashed.shape == (*size, 3)
    assert np.abs(squashed[:, :, 1] - wanted).max() <= 1


def test_resize_wants_bytes():
    with pytest.raises(ValueError, match="uint8"):
        resize_bilinear(np.zeros((4, 4, 3), np.float32), 2, 2)


# writing


@pytest.mark.parametrize(("suffix", "worst"), [(".png", 0), (".jpg", 6), (".JPEG", 6), (".webp", 12)])
def test_written_pictures_carry_their_metadata(tmp_path, rgb, suffix, worst):
    path = tmp_path / f"dream{suffix}"
    save_image(path, rgb, METADATA)
    assert np.abs(load_image(path).astype(int) - rgb).max() <= worst
    assert read_metadata(path) == METADATA
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_png_metadata_are_plain_text_chunks(tmp_path, rgb):
    save_image(tmp_path / "dream.png", rgb, METADATA)
    content = (tmp_path / "dream.png").read_bytes()
    assert b"tEXtlayer\0inception_4c/output" in content
    assert b"iTXtprompt\0" in content


def test_jpeg_keeps_its_colours_whole(tmp_path, rgb):
    save_image(tmp_path / "dream.jpg", rgb, {})
    with Image.open(tmp_path / "dream.jpg") as picture:
        assert [layer[1:3] for layer in picture.layer] == [(1, 1)] * 3  # 4:4:4
    assert read_metadata(tmp_path / "dream.jpg") == {}


def test_a_strangers_comment_is_no_metadata(tmp_path, rgb):
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = b"ASCII\0\0\0my holiday"
    Image.fromarray(rgb).save(tmp_path / "holiday.jpg", exif=exif)
    assert read_metadata(tmp_path / "holiday.jpg") == {}


def test_what_cannot_be_written_is_said_before(tmp_path, rgb):
    for name in ("dream.gif", "dream"):
        with pytest.raises(UsageError, match=r"written as \.png"):
            save_image(tmp_path / name, rgb, {})
    with pytest.raises(UsageError, match="16383"):
        save_image(tmp_path / "wide.webp", np.zeros((8, 16_384, 3), np.uint8), {})
    with pytest.raises(UsageError, match="metadata"):
        save_image(tmp_path / "long.jpg", rgb, {"recipe": "x" * 70_000})
    assert not list(tmp_path.iterdir())


def test_a_picture_that_fails_leaves_the_old_one(tmp_path, rgb, monkeypatch):
    path = tmp_path / "dream.png"
    save_image(path, rgb, {})
    before = path.read_bytes()

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(Image.Image, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_image(path, rgb, METADATA)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
