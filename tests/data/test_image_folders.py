"""A folder of images becomes the array that a person sees, or an error that says what to do."""

import gzip
import re
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from quasistatic.data import image_folder
from quasistatic.data.folders import read_image
from quasistatic.data.image_format import ImageFormat
from quasistatic.data.pictures import read_images


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (3, 6, 5, 3), np.uint8)


def save(folder, images, suffix=".png", **options):
    for number, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{number}{suffix}", **options)


def test_colours_come_as_planes_in_the_order_of_the_names(tmp_path, pixels):
    save(tmp_path, pixels[::-1])
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "inner").mkdir()
    images = image_folder(tmp_path)
    assert images.dtype == np.uint8
    assert np.array_equal(images, pixels[::-1].transpose(0, 3, 1, 2))


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tiff", ".pgm", ".PNG"])
def test_greys_come_without_a_channel(tmp_path, pixels, suffix):
    save(tmp_path, pixels[..., 0], suffix)
    assert np.array_equal(image_folder(str(tmp_path)), pixels[..., 0])


def test_black_and_white_is_bits(tmp_path, pixels):
    save(tmp_path, pixels[..., 0] > 100)
    assert np.array_equal(image_folder(tmp_path), pixels[..., 0] > 100)
    assert np.array_equal(image_folder(tmp_path, mode="L"), 255 * (pixels[..., 0] > 100))


def test_black_and_white_is_cut_in_the_middle_and_not_dithered(tmp_path, pixels):
    save(tmp_path, pixels[..., 0])
    assert np.array_equal(image_folder(tmp_path, mode="1"), pixels[..., 0] >= 128)


def test_a_photograph_is_turned_upright(tmp_path, pixels):
    turned = Image.Exif()
    turned[0x0112] = 6  # held with its right side up
    image = np.kron(pixels[0, ..., 0], np.ones((16, 16), np.uint8))
    save(tmp_path, [image], ".jpg", exif=turned, quality=100)
    assert np.abs(image_folder(tmp_path)[0].astype(int) - np.rot90(image, -1)).max() < 8


def test_sizes_and_modes_are_made_alike_when_asked(tmp_path):
    """A picture whose left half is red and whose middle is what every cut keeps."""
    wide = np.zeros((20, 60, 3), np.uint8)
    wide[:, :30, 0] = 255
    Image.fromarray(wide).save(tmp_path / "a.png")
    Image.fromarray(wide[:, 20:40]).convert("P").save(tmp_path / "b.png")
    Image.fromarray(wide[:, 10:50]).convert("RGBA").save(tmp_path / "c.png")
    images = image_folder(tmp_path, size=20, mode="RGB")
    assert images.shape == (3, 3, 20, 20)
    for image in images:
        assert np.array_equal(image, wide[:, 20:40].transpose(2, 0, 1))
    tall = image_folder(tmp_path, size=(20, 10), mode="RGB")
    assert tall.shape == (3, 3, 20, 10)
    assert np.array_equal(tall[0], wide[:, 25:35].transpose(2, 0, 1))
    grey = image_folder(tmp_path, size=10, mode="L")
    assert grey.shape == (3, 10, 10)
    # Luma of pure red, 0.299 of 255, away from the edge.
    assert (grey[:, :, :3] == 76).all()


def test_mixed_sizes_name_two_files_and_the_way_out(tmp_path, pixels):
    save(tmp_path, [pixels[0], pixels[1], pixels[2, :, :4]])
    with pytest.raises(ValueError, match="different sizes") as caught:
        image_folder(tmp_path)
    for part in ("0.png has 6 x 5", "2.png has 6 x 4", "size=(height, width)"):
        assert part in str(caught.value)
    assert image_folder(tmp_path, size=(6, 4)).shape == (3, 3, 6, 4)


def test_mixed_modes_name_two_files_and_the_way_out(tmp_path, pixels):
    save(tmp_path, [pixels[0], pixels[1, ..., 0]])
    with pytest.raises(ValueError, match="different modes") as caught:
        image_folder(tmp_path)
    for part in ("0.png is 'RGB'", "1.png is 'L'", "mode='L'", "mode='RGB'"):
        assert part in str(caught.value)
    assert image_folder(tmp_path, mode="L").shape == (2, 6, 5)


@pytest.mark.parametrize("mode", ["P", "RGBA", "CMYK"])
def test_other_modes_are_refused_by_name(tmp_path, pixels, mode):
    Image.fromarray(pixels[0]).convert(mode).save(tmp_path / "odd.tiff")
    with pytest.raises(ValueError, match=rf"odd.tiff has the mode '{mode}'.*pass mode='RGB'"):
        image_folder(tmp_path)


def test_more_than_eight_bits_are_not_cut(tmp_path):
    Image.fromarray(np.full((4, 4), 40_000, np.uint16)).save(tmp_path / "deep.png")
    for mode in (None, "L"):
        with pytest.raises(ValueError, match=r"deep.png has the mode 'I;16', more than 8 bits"):
            image_folder(tmp_path, mode=mode)


@pytest.mark.parametrize("kept", [0, 20, 60, -30, -5])
def test_a_truncated_png_is_told_by_name_and_byte(tmp_path, pixels, kept):
    save(tmp_path, pixels)
    path = tmp_path / "1.png"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match=r"1\.png is damaged or no image") as caught:
        image_folder(tmp_path)
    stopped, size = map(int, re.search(r"byte (\d+) of (\d+)", str(caught.value)).groups())
    assert size == path.stat().st_size
    assert stopped <= size


@pytest.mark.parametrize("place", [3, 18, 50, 80, -20, -7])
def test_a_damaged_png_is_told_by_name(tmp_path, pixels, place):
    """One wrong byte anywhere: the signature, the header, the pixels, a checksum."""
    save(tmp_path, pixels)
    path = tmp_path / "2.png"
    data = bytearray(path.read_bytes())
    data[place] ^= 0x10
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"2\.png is damaged or no image.*replace it, or move it"):
        image_folder(tmp_path)


def test_a_truncated_jpeg_is_told_by_name_and_byte(tmp_path, pixels):
    save(tmp_path, np.kron(pixels, np.ones((1, 32, 32, 1), np.uint8)), ".jpg")
    path = tmp_path / "0.jpg"
    half = path.stat().st_size // 2
    path.write_bytes(path.read_bytes()[:half])
    with pytest.raises(ValueError, match=rf"0\.jpg is damaged.*byte {half} of {half}"):
        image_folder(tmp_path)


def test_a_folder_without_images_says_so(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        image_folder(tmp_path / "none")
    with pytest.raises(FileNotFoundError, match="holds no images"):
        image_folder(tmp_path)
    (tmp_path / "cats").mkdir()
    with pytest.raises(FileNotFoundError, match="it holds the folders cats: give one of them"):
        image_folder(tmp_path)


def test_an_unknown_mode_is_refused(tmp_path):
    with pytest.raises(ValueError, match="mode must be one of '1', 'L', 'RGB', got 'grey'"):
        image_folder(tmp_path, mode="grey")


def test_one_image_is_read_plain_or_zipped(tmp_path, pixels):
    save(tmp_path, pixels)
    zipped = tmp_path / "0.png.gz"
    zipped.write_bytes(gzip.compress((tmp_path / "0.png").read_bytes()))
    for path in (zipped, tmp_path / "0.png"):
        assert np.array_equal(read_image(path), pixels[0].transpose(2, 0, 1))


@pytest.mark.parametrize(
    "name",
    ["._0.png", ".DS_Store", "Thumbs.db", ".cache/x.png", "__MACOSX/._0.png", ".0.png.swp"],
)
def test_files_that_are_no_pictures_are_passed_over(name, tmp_path, pixels):
    save(tmp_path, pixels)
    before = image_folder(tmp_path)
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(b"\0\5\x16\7")
    assert np.array_equal(image_folder(tmp_path), before)


def deep_png(colour: int, channels: int) -> bytes:
    """A PNG file of 16 bits a value, of which the lower byte is not that of the upper."""

    def chunk(name: bytes, data: bytes) -> bytes:
        sums = struct.pack(">I", zlib.crc32(name + data))
        return struct.pack(">I", len(data)) + name + data + sums

    values = np.arange(64 * channels, dtype=">u2").reshape(8, 8, channels) * 97
    rows = b"".join(b"\0" + row.tobytes() for row in values)
    head = struct.pack(">IIBBBBB", 8, 8, 16, colour, 0, 0, 0)
    chunks = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


@pytest.mark.parametrize(
    "kind", ["grey", "colours", "grey, alpha", "colours, alpha", "tif", "real"]
)
def test_no_picture_loses_bits(kind, tmp_path):
    pngs = {"grey": (0, 1), "colours": (2, 3), "grey, alpha": (4, 2), "colours, alpha": (6, 4)}
    if kind in pngs:
        (tmp_path / "x.png").write_bytes(deep_png(*pngs[kind]))
    else:
        deep = np.arange(64).reshape(8, 8) * 970
        kind_of = np.uint16 if kind == "tif" else np.float32
        Image.fromarray(deep.astype(kind_of)).save(tmp_path / "x.tif")
    with pytest.raises(ValueError, match=r"x\.\w+ has the mode .*, more than 8 bits a value"):
        image_folder(tmp_path)


@pytest.mark.parametrize("ending", ["tif", "tiff", "webp", "png"])
@pytest.mark.parametrize("pages", [2, 5])
def test_a_file_of_several_pages_is_refused(ending, pages, tmp_path, pixels):
    first, *rest = [Image.fromarray(pixels[0] // (k + 1)) for k in range(pages)]
    first.save(tmp_path / f"x.{ending}", save_all=True, append_images=rest)
    with pytest.raises(ValueError, match=rf"x\.{ending} has {pages} pages, and an image is one"):
        image_folder(tmp_path)


@pytest.mark.parametrize("turn", range(1, 9))
def test_a_photograph_of_each_orientation_is_turned_upright(turn, tmp_path):
    """The library that wrote it and we agree on all eight."""
    picture = Image.fromarray(np.kron(np.arange(8).reshape(2, 4), np.full((8, 8), 30)).astype("u1"))
    exif = picture.getexif()
    exif[274] = turn
    picture.save(tmp_path / "a.JPG", exif=exif, quality=100)
    [found] = image_folder(tmp_path)
    flipped = {2: 0, 4: 1, 5: 5, 7: 6, 3: 3, 6: 4, 8: 2}
    wanted = picture if turn == 1 else picture.transpose(Image.Transpose(flipped[turn]))
    assert np.abs(found.astype(int) - np.asarray(wanted).astype(int)).max() <= 2


def test_one_image_file_is_a_folder_of_one(tmp_path):
    rng = np.random.default_rng(0)
    pixels = rng.integers(256, size=(2, 5, 7), dtype=np.uint8)
    for name, image in zip(("a.png", "b.png"), pixels, strict=True):
        Image.fromarray(image).save(tmp_path / name)
    images = ImageFormat((5, 7), 256).read(tmp_path / "b.png", exact=True)
    assert images.names == ("b.png",)
    assert (images.array == pixels[1:]).all()
    x, holes, names = ImageFormat((5, 7), 256).read_with_holes(tmp_path / "a.png")
    assert (x == pixels[:1]).all()
    assert not holes.any()
    assert names == ("a.png",)
    assert (read_images(tmp_path / "a.png").array == pixels[:1]).all()
