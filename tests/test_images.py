"""Folders of image files: every mode and size becomes one array, what cannot be read is named, and a fit reads a file once."""

import shutil
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from skdim import DeepInfoMaxTransformer
from skdim.datasets import ImageFiles, _images, load_images

RNG = np.random.default_rng(0)
COLOURS = RNG.integers(0, 256, (24, 16, 3), dtype=np.uint8)


def saved(folder, images, suffix="png"):
    """Write images into folders of classes, two a class."""
    for i, image in enumerate(images):
        path = folder / f"class {i // 2}" / f"{i}.{suffix}"
        path.parent.mkdir(exist_ok=True)
        image.save(path)
    return folder


@pytest.fixture
def photos(tmp_path):
    return saved(tmp_path, [Image.fromarray(RNG.integers(0, 256, (20, 20, 3), dtype=np.uint8)) for _ in range(12)])


def whole(image, **options):
    """Return what an image of 24 x 16 becomes in its own size."""
    return load_images([image], (24, 16), labels=None, **options).data[0]


MODES = ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr"]


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_is_read_as_pillow_converts_it(tmp_path, mode):
    image = Image.fromarray(COLOURS).convert(mode)
    image.save(tmp_path / ("a.tif" if mode in ("CMYK", "YCbCr") else "a.png"))
    found = whole(next(tmp_path.iterdir()))
    color = "L" if mode in ("1", "L", "LA") else "RGB"
    expected = np.asarray(Image.open(next(tmp_path.iterdir())).convert(color))
    np.testing.assert_array_equal(found, expected[None] if color == "L" else expected.transpose(2, 0, 1))


def test_transparent_pixels_are_white(tmp_path):
    Image.fromarray(np.dstack([COLOURS, np.zeros((24, 16), np.uint8)])).save(tmp_path / "a.png")
    assert (whole(tmp_path / "a.png") == 255).all()


DEEP = [(np.uint16, 65535, "png"), (np.uint16, 4095, "tif"), (np.int32, 200, "tif"), (np.float32, 1.0, "tif")]


@pytest.mark.parametrize(("kind", "white", "suffix"), DEEP, ids=["16 bits", "12 bits", "32 bits", "real"])
@pytest.mark.parametrize("lazy", [False, True])
def test_files_of_more_than_8_bits_are_scaled_by_the_value_of_white(tmp_path, kind, white, suffix, lazy):
    values = np.linspace(0, white, 24 * 16).reshape(24, 16).astype(kind)
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(values).save(path)
    Image.fromarray(COLOURS[..., 0]).save(tmp_path / "grey.png")
    with pytest.raises(ValueError, match=rf"a\.{suffix} .*more than 8 bits.*give white, such as 65535"):
        load_images([tmp_path / "grey.png", path], labels=None, lazy=lazy)
    found = load_images([path, tmp_path / "grey.png"], (24, 16), labels=None, white=white, lazy=lazy).data[:]
    np.testing.assert_array_equal(found[0, 0], np.rint(values.astype(float) * 255 / white))
    np.testing.assert_array_equal(found[1, 0], COLOURS[..., 0])  # 8 bits stay as they are
    with pytest.raises(ValueError, match=rf"pixels from 0 to {white:g}, and not from 0 to white={white / 2:g}"):
        load_images([path], labels=None, white=white / 2, lazy=lazy).data[:]


def test_values_below_black_are_refused(tmp_path):
    Image.fromarray(np.full((24, 16), -5, np.int32)).save(tmp_path / "a.tif")
    with pytest.raises(ValueError, match="pixels from -5 to -5, and not from 0 to white=255"):
        whole(tmp_path / "a.tif", white=255)


def test_an_image_is_turned_as_its_exif_orientation_says(tmp_path):
    image = Image.fromarray(np.rot90(COLOURS))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by a quarter to the right
    image.save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(whole(tmp_path / "a.png"), COLOURS.transpose(2, 0, 1))


@pytest.mark.parametrize("shape", [(40, 20), (20, 40), (300, 20), (8, 9)])
def test_any_size_covers_the_size_that_is_asked_for(tmp_path, shape):
    """A horizontal and vertical gradient keeps its middle."""
    rows = np.linspace(0, 255, shape[0])[:, None].repeat(shape[1], 1)
    Image.fromarray(rows.astype(np.uint8)).save(tmp_path / "a.png")
    found = load_images([tmp_path / "a.png"], (16, 16), labels=None).data[0, 0]
    assert found.shape == (16, 16)
    assert abs(found.astype(float).mean() - 127.5) < 2
    assert (np.diff(found.astype(int), axis=0) >= 0).all()


def test_a_folder_gives_labels_paths_and_pixels_in_the_order_of_paths(photos):
    found = load_images(photos, (20, 20))
    assert found.filenames == sorted(found.filenames)
    assert found.target.tolist() == [f"class {i}" for i in range(6) for _ in range(2)]
    for path, pixels in zip(found.filenames, found.data, strict=True):
        np.testing.assert_array_equal(pixels, np.asarray(Image.open(path)).transpose(2, 0, 1))
    assert load_images(found.filenames, (20, 20)).target.tolist() == found.target.tolist()
    assert load_images(photos, labels=range(12)).target.tolist() == list(range(12))
    assert load_images(photos, labels=None).target is None


def test_hidden_folders_and_what_is_no_picture_are_passed_over(photos):
    path = next(photos.rglob("*.png"))
    for name in (".ipynb_checkpoints/1.png", "class 1/.cache/1.png", "class 1/.1.png"):
        (photos / name).parent.mkdir(exist_ok=True)
        (photos / name).write_bytes(path.read_bytes())
    for suffix in ("pdf", "h5", "mpg", "eps", "txt", "npy"):
        (photos / "class 1" / f"a.{suffix}").write_text("no picture")
    found = load_images(photos)
    assert len(found.filenames) == 12
    assert set(found.target) == {f"class {i}" for i in range(6)}


def test_folders_of_folders_are_no_classes_unless_each_holds_one(photos, tmp_path_factory):
    tree = tmp_path_factory.mktemp("tree")
    for part in ("test", "train"):
        shutil.copytree(photos, tree / part)
    with pytest.raises(ValueError, match=r"test holds no images but folders, 'class 0', .*load .*test by itself"):
        load_images(tree)
    assert load_images(tree, labels=None).data.shape == (24, 3, 64, 64)
    assert set(load_images(tree / "train").target) == {f"class {i}" for i in range(6)}
    for folder in list((tree / "train").iterdir()):  # as the training part of Tiny ImageNet lies
        shutil.copytree(folder, tree / "nested" / folder.name / "images")
    assert load_images(tree / "nested").target.tolist() == load_images(photos).target.tolist()


def test_iterators_of_paths_are_read_in_their_order(photos):
    paths = sorted(photos.rglob("*.png"), reverse=True)
    found = load_images(iter(paths), (20, 20))
    assert found.filenames == [str(path) for path in paths]
    np.testing.assert_array_equal(found.data, load_images(paths, (20, 20)).data)
    assert len(load_images(photos.glob("*/*.png")).filenames) == 12


def test_lazy_images_are_those_in_memory(photos):
    lazy, loaded = load_images(photos, (20, 20), lazy=True), load_images(photos, (20, 20))
    assert isinstance(lazy.data, ImageFiles)
    assert (lazy.data.shape, lazy.data.dtype, len(lazy.data)) == (loaded.data.shape, loaded.data.dtype, 12)
    assert repr(lazy.data) == "ImageFiles(12 file(s), shape=(12, 3, 20, 20), dtype=uint8)"
    np.testing.assert_array_equal(lazy.data[:], loaded.data)
    np.testing.assert_array_equal(lazy.data[[5, 2]], loaded.data[[5, 2]])
    np.testing.assert_array_equal(lazy.data[-1], loaded.data[-1])
    assert lazy.data[3:3].shape == (0, 3, 20, 20)
    assert lazy.target.tolist() == loaded.target.tolist()


def test_a_fit_reads_each_file_once_for_the_scale_and_once_an_epoch(photos, monkeypatch):
    X, in_memory = load_images(photos, (20, 20), lazy=True).data, load_images(photos, (20, 20)).data
    reads, use = Counter(), _images._use
    monkeypatch.setattr(_images, "_use", lambda path, what: reads.update([path]) or use(path, what))
    dim = DeepInfoMaxTransformer(4, max_iter=3, batch_size=4, random_state=0)
    features = dim.fit(X).transform(in_memory)
    # The last two: the first rows, whose features must be finite, and the rows that the discriminant code is found from.
    assert set(reads.values()) == {6}
    np.testing.assert_array_equal(features, dim.fit_transform(in_memory))


@pytest.mark.parametrize("lazy", [False, True])
def test_files_that_are_no_images_are_named_or_left_out(photos, lazy):
    (photos / "class 1" / "notes.png").write_text("not an image")
    with pytest.raises(ValueError, match=r"1 file\(s\) cannot be read as images: .*notes.png"):
        load_images(photos, lazy=lazy)
    with pytest.warns(UserWarning, match=r"notes\.png.*left out"):
        found = load_images(photos, lazy=lazy, on_error="skip")
    assert found.data.shape == (12, 3, 64, 64)
    assert len(found.target) == len(found.filenames) == 12


def test_a_file_whose_end_is_missing_is_named(photos):
    path = next(photos.rglob("*.png"))
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(ValueError, match=path.name):
        load_images(photos)
    lazy = load_images(photos, lazy=True).data
    with pytest.raises(ValueError, match=path.name):
        lazy[:]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"size": (0, 4)}, "positive"),
        ({"size": 64}, "size"),
        ({"labels": [1, 2]}, r"labels must have shape \(12,\)"),
        ({"labels": "folders"}, "labels"),
        ({"color": "rgb"}, "color"),
        ({"white": 0}, "white"),
    ],
)
def test_parameters_that_are_wrong_are_named(photos, params, message):
    with pytest.raises(ValueError, match=message):
        load_images(photos, **params)


def test_what_holds_no_images_is_refused(tmp_path, photos):
    for source in (photos / "missing", next(photos.rglob("*.png"))):
        with pytest.raises(ValueError, match="no folder"):
            load_images(source)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no image files"):
        load_images(tmp_path / "empty")
    with pytest.raises(ValueError, match="empty"):
        load_images([])
    with pytest.raises(ValueError, match=r"gone\.png"):
        load_images([tmp_path / "gone.png"])
    Image.fromarray(COLOURS).save(photos / "beside.png")
    with pytest.raises(ValueError, match=r"beside\.png lies in no folder of a class"):
        load_images(photos)
