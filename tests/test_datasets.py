"""Real data: found in the stated order, read as it is, and refused in words when it is not there or damaged."""

import gzip

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images
from sklearn.utils import Bunch

from skdim import DeepInfoMaxTransformer, datasets
from skdim.datasets import _downloads, _natural, load_fashion_mnist, load_mnist, read_idx, read_ts

LOADERS = {"mnist": load_mnist, "fashion_mnist": load_fashion_mnist}
IDX_NAMES = {
    "X_train": "train-images-idx3-ubyte",
    "y_train": "train-labels-idx1-ubyte",
    "X_test": "t10k-images-idx3-ubyte",
    "y_test": "t10k-labels-idx1-ubyte",
}


def idx_bytes(array):
    """Return ``array`` in the IDX format, written independently of the reader."""
    codes = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}
    header = bytes([0, 0, codes[array.dtype.str[1:]], array.ndim])
    lengths = b"".join(length.to_bytes(4, "big") for length in array.shape)
    return header + lengths + array.astype(array.dtype.newbyteorder(">")).tobytes()


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    return {
        "X_train": rng.integers(0, 256, (6, 28, 28), dtype=np.uint8),
        "y_train": rng.integers(0, 10, 6, dtype=np.uint8),
        "X_test": rng.integers(0, 256, (4, 28, 28), dtype=np.uint8),
        "y_test": rng.integers(0, 10, 4, dtype=np.uint8),
    }


@pytest.fixture(autouse=True)
def nothing_found(monkeypatch):
    """Hide this machine's own copies: no folder, no system package, no network."""

    def unreachable(**kwargs):
        raise OSError("network unreachable")

    monkeypatch.delenv("SKDIM_DATA_HOME", raising=False)
    monkeypatch.setattr(_downloads, "fetch_openml", unreachable)
    monkeypatch.setattr(_downloads, "_FASHION_MNIST", _downloads._FASHION_MNIST._replace(package_folder=None))


def assert_holds(bunch, arrays):
    for name, expected in arrays.items():
        assert bunch[name].dtype == np.uint8
        np.testing.assert_array_equal(bunch[name], expected)


@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "i4", "f4", "f8"])
@pytest.mark.parametrize("shape", [(5,), (2, 3), (2, 3, 4)])
@pytest.mark.parametrize("compress", [gzip.compress, bytes])
def test_read_idx_gives_back_what_was_written(tmp_path, dtype, shape, compress):
    array = np.random.default_rng(0).integers(0, 100, shape).astype(dtype)
    path = tmp_path / "any-name"
    path.write_bytes(compress(idx_bytes(array)))
    read = read_idx(path)
    assert read.dtype == array.dtype
    assert read.flags.writeable
    np.testing.assert_array_equal(read, array)


GOOD = idx_bytes(np.arange(6, dtype=np.uint8).reshape(1, 2, 3))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "first four bytes are missing"),
        (b"\0\0", "first four bytes are 00 00"),
        (b"\x89PNG", "first four bytes are 89 50 4e 47"),
        (b"\0\0\x07\x03" + GOOD[4:], "not an IDX file"),
        (GOOD[:7], "announces shape"),
        (GOOD[:-1], r"announces shape \(1, 2, 3\), 22 bytes in all, but holds 21"),
        (GOOD + b"\0", r"but holds 23"),
        (gzip.compress(GOOD, mtime=0)[:-4], "damaged gzip"),
        (b"\x1f\x8b" + b"\0" * 30, "damaged gzip"),
    ],
)
def test_read_idx_refuses_damaged_files(tmp_path, content, message):
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_idx(path)


def test_read_idx_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_idx(tmp_path / "nothing")


@pytest.mark.parametrize("name", LOADERS)
@pytest.mark.parametrize("case", [str, str.lower])
def test_npz(tmp_path, arrays, name, case, monkeypatch):
    np.savez(tmp_path / f"{name}.npz", **{case(key): value for key, value in arrays.items()})
    bunch = LOADERS[name](tmp_path)
    assert_holds(bunch, arrays)
    assert bunch.source.endswith(f"{name}.npz")
    assert len(bunch.target_names) == 10
    monkeypatch.setenv("SKDIM_DATA_HOME", str(tmp_path))
    assert_holds(LOADERS[name](), arrays)


@pytest.mark.parametrize("name", LOADERS)
@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("separator", ["-", "."])
def test_idx_folder(tmp_path, arrays, name, suffix, separator):
    (tmp_path / name).mkdir()
    for key, array in arrays.items():
        content = idx_bytes(array)
        path = tmp_path / name / (IDX_NAMES[key].replace("-idx", f"{separator}idx") + suffix)
        path.write_bytes(gzip.compress(content) if suffix else content)
    assert_holds(LOADERS[name](tmp_path), arrays)


def test_package_folder_comes_after_the_users_own(tmp_path, arrays, monkeypatch):
    package = tmp_path / "package"
    package.mkdir()
    for key, array in arrays.items():
        (package / f"{IDX_NAMES[key]}.gz").write_bytes(gzip.compress(idx_bytes(array)))
    monkeypatch.setattr(_downloads, "_FASHION_MNIST", _downloads._FASHION_MNIST._replace(package_folder=package))
    assert load_fashion_mnist().source == str(package)
    assert_holds(load_fashion_mnist(), arrays)
    own = {key: value[:2] for key, value in arrays.items()}
    np.savez(tmp_path / "fashion_mnist.npz", **own)
    assert_holds(load_fashion_mnist(tmp_path), own)


@pytest.mark.parametrize(("name", "data_id"), [("mnist", 554), ("fashion_mnist", 40996)])
def test_openml_comes_last(monkeypatch, name, data_id):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (7, 784))
    labels = rng.integers(0, 10, 7)
    asked = {}

    def fetch_openml(**kwargs):
        asked.update(kwargs)
        return Bunch(data=images.astype(np.float64), target=labels.astype(str).astype(object))

    monkeypatch.setattr(_downloads, "fetch_openml", fetch_openml)
    monkeypatch.setattr(_downloads, "_N_TRAIN", 5)
    bunch = LOADERS[name]()
    assert asked["data_id"] == data_id
    assert bunch.source == "OpenML"
    pixels = images.astype(np.uint8).reshape(-1, 28, 28)
    assert_holds(bunch, {"X_train": pixels[:5], "y_train": labels[:5], "X_test": pixels[5:], "y_test": labels[5:]})


@pytest.mark.parametrize("error", [OSError("no route"), ImportError("no pandas"), ValueError("refused by OpenML")])
@pytest.mark.parametrize("name", LOADERS)
def test_missing_data_says_how_to_get_it(monkeypatch, tmp_path, name, error):
    def fetch_openml(**kwargs):
        raise error

    monkeypatch.setattr(_downloads, "fetch_openml", fetch_openml)
    with pytest.raises(FileNotFoundError) as raised:
        LOADERS[name](tmp_path)
    message = str(raised.value)
    assert str(error) in message
    assert "SKDIM_DATA_HOME" in message
    assert f"{name}.npz" in message
    assert "pandas" in message
    assert ("dataset-fashion-mnist" in message) == (name == "fashion_mnist")


def test_npz_without_an_array_is_refused(tmp_path, arrays):
    del arrays["y_test"]
    np.savez(tmp_path / "mnist.npz", **arrays)
    with pytest.raises(ValueError, match="lacks y_test"):
        load_mnist(tmp_path)


def test_idx_folder_without_a_file_is_refused(tmp_path):
    (tmp_path / "mnist").mkdir()
    with pytest.raises(ValueError, match="holds no file train-images-idx3-ubyte"):
        load_mnist(tmp_path)


@pytest.mark.parametrize(
    ("key", "wrong"),
    [
        ("X_train", np.zeros((6, 784), np.uint8)),
        ("X_test", np.zeros((4, 28, 28), np.float32)),
        ("y_train", np.zeros(5, np.uint8)),
    ],
)
def test_wrong_arrays_are_refused(tmp_path, arrays, key, wrong):
    np.savez(tmp_path / "mnist.npz", **arrays | {key: wrong})
    with pytest.raises(ValueError, match=r"must be uint8 of shape \(n, 28, 28\)"):
        load_mnist(tmp_path)


# ------------------------------------------------------------------------------------------------------------- sequences
def write_series(home, train="@data\n1,2,3:4,5,6:a\n7,8:9,0:b\n", test="@data\n0,1,2,3:0,1,2,3:b\n"):
    (home / "Two").mkdir()
    for part, text in (("TRAIN", train), ("TEST", test)):
        (home / "Two" / f"Two_{part}.ts").write_text("# of a test\n@problemName Two\n" + text)


def test_sequences_are_padded_to_the_longest_of_their_part(tmp_path, monkeypatch):
    write_series(tmp_path)
    monkeypatch.setenv("SKDIM_DATA_HOME", str(tmp_path))
    two = datasets.load_time_series("Two")
    assert two.X_train.tolist() == [[[1, 2, 3], [4, 5, 6]], [[7, 8, 0], [9, 0, 0]]]
    assert two.X_test.shape == (1, 2, 4)
    assert two.lengths_train.tolist() == [3, 2]
    assert two.y_train.tolist() == ["a", "b"]
    assert two.source == str(tmp_path / "Two")


def test_sequences_of_the_installed_package(tmp_path, monkeypatch):
    folder = tmp_path / "aeon" / "datasets" / "data"
    folder.mkdir(parents=True)
    (tmp_path / "aeon" / "__init__.py").write_text("raise RuntimeError('it is not to be imported')")
    write_series(folder)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delenv("SKDIM_DATA_HOME", raising=False)
    assert datasets.load_time_series("Two").X_train.shape == (2, 2, 3)


@pytest.mark.parametrize(
    ("name", "n_train", "n_test", "n_channels", "lengths", "n_classes"),
    [
        ("ArrowHead", 36, 175, 1, (251, 251), 3),
        ("BasicMotions", 40, 40, 6, (100, 100), 4),
        ("GunPoint", 50, 150, 1, (150, 150), 2),
        ("ItalyPowerDemand", 67, 1029, 1, (24, 24), 2),
        ("JapaneseVowels", 270, 370, 12, (7, 29), 9),
        ("OSULeaf", 200, 242, 1, (427, 427), 6),
    ],
)
def test_the_archives_sets_come_with_the_extra(name, n_train, n_test, n_channels, lengths, n_classes, monkeypatch):
    monkeypatch.delenv("SKDIM_DATA_HOME", raising=False)
    found = datasets.load_time_series(name)
    assert found.X_train.shape[:2] == (n_train, n_channels)
    assert found.X_test.shape[:2] == (n_test, n_channels)
    both = np.concatenate([found.lengths_train, found.lengths_test])
    assert (both.min(), both.max()) == lengths
    assert len(np.unique(np.concatenate([found.y_train, found.y_test]))) == n_classes


def test_missing_sequences_say_how_to_get_them(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"Two_TRAIN.ts.*SKDIM_DATA_HOME.*aeon"):
        datasets.load_time_series("Two", tmp_path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("1,2:a\n", "no line says @data"),
        ("@data\n", "same number of channels"),
        ("@data\n1,2:3,4:a\n1,2:b\n", "same number of channels"),
        ("@data\n1,2:3:a\n", "Line 4 of"),
        ("@data\n1,?:a\n", "Line 4 of"),
        ("@data\n:a\n", "Line 4 of"),
    ],
)
def test_what_is_not_ts_is_refused(tmp_path, text, says):
    write_series(tmp_path, train=text)
    with pytest.raises(ValueError, match=says):
        datasets.read_ts(tmp_path / "Two" / "Two_TRAIN.ts")


def test_damaged_and_other_files_in_the_place_of_an_archive_are_refused(tmp_path):
    arrays = {
        name: np.zeros((2, 28, 28) if name[0] == "X" else 2, np.uint8)
        for name in ("X_train", "y_train", "X_test", "y_test")
    }
    path = tmp_path / "mnist.npz"
    np.savez(path, **arrays)
    whole = path.read_bytes()
    other = tmp_path / "array.npy"
    np.save(other, np.zeros(3))
    for content in (whole[:100], whole[:-30], whole[:300] + bytes(range(100)) + whole[400:], other.read_bytes(), b""):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"mnist\.npz is no npz file, or a damaged one"):
            load_mnist(tmp_path)


def test_folders_and_binary_files_are_refused(tmp_path):
    for read in (read_idx, read_ts):
        with pytest.raises(ValueError, match="is a folder"):
            read(tmp_path)
    path = tmp_path / "file.ts"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"file\.ts is no text"):
        read_ts(path)


def test_a_gzip_file_is_read_no_further_than_its_header_announces(tmp_path):
    path, header = tmp_path / "images", bytes([0, 0, 8, 1, 0, 0, 0, 6])
    with gzip.open(path, "wb") as file:
        file.write(header + bytes(2**20))
    with pytest.raises(ValueError, match="14 bytes in all, but holds 15 bytes or more"):
        read_idx(path)


@pytest.mark.parametrize("value", ["NaN", "inf", "1_0", "?", ""])
def test_values_of_sequences_are_decimal_numbers(tmp_path, value):
    path = tmp_path / "one.ts"
    path.write_text(f"@data\n1,{value}:a\n")
    with pytest.raises(ValueError, match=r"Line 2 of .* is no finite number"):
        read_ts(path)


# -------------------------------------------------------------------------------------------------------- natural images
RNG = np.random.default_rng(0)


def some_images(n, side):
    return RNG.integers(0, 256, (n, 3, side, side), dtype=np.uint8), RNG.integers(0, 10, n, dtype=np.uint8)


@pytest.fixture
def cifar10(tmp_path):
    """Write batches of two images: a label, then the red, green and blue pixels row by row."""
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    names = [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]
    parts = {name: some_images(2, 32) for name in names}
    for name, (X, y) in parts.items():
        (folder / name).write_bytes(
            b"".join(bytes([label]) + image.tobytes() for image, label in zip(X, y, strict=True))
        )
    return folder, parts


def test_cifar10_is_read_in_the_order_of_its_batches(cifar10, tmp_path, monkeypatch):
    folder, parts = cifar10
    monkeypatch.setenv("SKDIM_DATA_HOME", str(tmp_path))
    found = datasets.load_cifar10()
    *train, (X_test, y_test) = parts.values()
    X, y = (np.concatenate(arrays) for arrays in zip(*train, strict=True))
    assert_holds(found, {"X_train": X, "y_train": y, "X_test": X_test, "y_test": y_test})
    assert found.target_names[6] == "frog"
    assert found.source == str(folder)


@pytest.fixture
def stl10(tmp_path):
    """Write images column by column, and labels from 1."""
    folder = tmp_path / "stl10_binary"
    folder.mkdir()
    parts = {"train": some_images(3, 96), "test": some_images(2, 96), "unlabeled": some_images(4, 96)}
    for name, (X, y) in parts.items():
        (folder / f"{name}_X.bin").write_bytes(X.transpose(0, 1, 3, 2).tobytes())
        if name != "unlabeled":
            (folder / f"{name}_y.bin").write_bytes((y + 1).tobytes())
    return folder, parts


def test_stl10_is_turned_upright_and_its_labels_begin_at_0(stl10, tmp_path):
    (X_train, y_train), (X_test, y_test), (X_unlabelled, _) = stl10[1].values()
    found = datasets.load_stl10(tmp_path)
    assert_holds(found, {"X_train": X_train, "y_train": y_train, "X_test": X_test, "y_test": y_test})
    assert_holds(found, {"X_unlabelled": X_unlabelled})
    assert isinstance(found.X_unlabelled, np.memmap)
    dim = DeepInfoMaxTransformer(4, encoder="mlp", hidden_layer_sizes=(4,), max_iter=1, random_state=0)
    same_fit = [dim.fit(X).transform(X_test) for X in (found.X_unlabelled, X_unlabelled)]
    np.testing.assert_array_equal(*same_fit)


@pytest.fixture
def tiny_imagenet(tmp_path):
    """Write two classes of two grey and two coloured JPEG files to learn from, and two to judge on."""
    folder = tmp_path / "tiny-imagenet-200"
    colours = {"n2": ["white", "navy"], "n1": ["black", "white"]}
    for code, names in colours.items():
        (folder / "train" / code / "images").mkdir(parents=True)
        (folder / "train" / code / f"{code}_boxes.txt").write_text(f"{code}_0.JPEG\t0\t0\t62\t62\n")
        for i, name in enumerate(names):
            Image.new("RGB" if name == "navy" else "L", (64, 64), name).save(
                folder / "train" / code / "images" / f"{code}_{i}.JPEG"
            )
    (folder / "val" / "images").mkdir(parents=True)
    for i, name in enumerate(["white", "black"]):
        Image.new("L", (64, 64), name).save(folder / "val" / "images" / f"val_{i}.JPEG")
    (folder / "val" / "val_annotations.txt").write_text("val_1.JPEG\tn1\t0\t0\t9\t9\nval_0.JPEG\tn2\t0\t0\t9\t9\n")
    (folder / "wnids.txt").write_text("n2\nn1\n")
    (folder / "words.txt").write_text("n0\tentity\nn1\tgoldfish, Carassius auratus\nn2\tEuropean fire salamander\n")
    return folder


@pytest.mark.parametrize("lazy", [False, True])
def test_tiny_imagenet_has_the_numbers_of_its_list_of_classes(tiny_imagenet, tmp_path, lazy):
    found = datasets.load_tiny_imagenet(tmp_path, lazy=lazy)
    assert found.target_names == ["European fire salamander", "goldfish, Carassius auratus"]
    assert found.y_train.tolist() == [1, 1, 0, 0]
    assert found.y_test.tolist() == [1, 0]
    assert found.X_train.shape == (4, 3, 64, 64)
    assert found.X_train[:].mean((1, 2, 3)).round().tolist() == [0, 255, 255, 43]  # navy is (0, 0, 128)
    assert found.X_test[:].mean((1, 2, 3)).tolist() == [0, 255]


NATURAL = {
    "cifar10": (datasets.load_cifar10, "cifar-10-binary.tar.gz"),
    "stl10": (datasets.load_stl10, "stl10_binary.tar.gz"),
    "tiny_imagenet": (datasets.load_tiny_imagenet, "tiny-imagenet-200.zip"),
}


@pytest.mark.parametrize("name", NATURAL)
def test_missing_archives_say_how_to_get_them(tmp_path, name):
    load, archive = NATURAL[name]
    for home, says in ((None, "No folder of data is given"), (tmp_path, "holds no folder")):
        with pytest.raises(FileNotFoundError, match=f"{says}.* Unpack {archive} there, .* SKDIM_DATA_HOME"):
            load(home)


@pytest.mark.parametrize(
    ("name", "file", "damage", "error", "says"),
    [
        ("cifar10", "data_batch_3.bin", None, FileNotFoundError, "holds no file data_batch_3.bin"),
        ("cifar10", "test_batch.bin", lambda held: held[:-1], ValueError, "rows of 3073 bytes, and holds 6145"),
        ("cifar10", "test_batch.bin", lambda held: b"", ValueError, "test_batch.bin must hold rows .* holds 0 bytes"),
        ("cifar10", "data_batch_1.bin", lambda held: b"\x0a" + held[1:], ValueError, "must hold 10 labels"),
        ("stl10", "train_y.bin", lambda held: held[:-1], ValueError, "train_X.bin holds 3 images, train_y.bin 2 labels"),
        ("stl10", "test_y.bin", lambda held: b"\0" + held[1:], ValueError, "test_y.bin must hold 10 labels"),
        ("stl10", "unlabeled_X.bin", lambda held: held[1:], ValueError, "unlabeled_X.bin must hold rows of 27648"),
        ("tiny_imagenet", "wnids.txt", lambda held: b"n1\n", ValueError, "train has images of n2, which wnids.txt lacks"),
        ("tiny_imagenet", "wnids.txt", None, FileNotFoundError, "holds no file wnids.txt"),
        ("tiny_imagenet", "val/images/val_0.JPEG", None, ValueError, "val_0.JPEG .*FileNotFoundError"),
    ],
)  # fmt: skip
def test_damaged_archives_are_named(request, tmp_path, name, file, damage, error, says):
    folder = request.getfixturevalue(name)
    path = (folder if name == "tiny_imagenet" else folder[0]) / file
    held = path.read_bytes()
    path.unlink()
    if damage is not None:
        path.write_bytes(damage(held))
    with pytest.raises(error, match=says):
        NATURAL[name][0](tmp_path)


# ----------------------------------------------------------------------------------------------------------- photographs
def places(patch, whole):
    """Return the left edges of a patch in a photograph."""
    windows = np.lib.stride_tricks.sliding_window_view(whole[0], patch.shape[1:])
    rows, columns = np.nonzero((windows[..., 0, :8] == patch[0, 0, :8]).all(-1))
    size = patch.shape[1]
    return [
        left
        for top, left in zip(rows, columns, strict=True)
        if (whole[:, top : top + size, left : left + size] == patch).all()
    ]


@pytest.mark.parametrize("size", [32, 96])
def test_patches_are_cut_from_disjoint_halves_of_the_photograph_that_they_are_labelled_with(size):
    found = datasets.load_photo_patches(size, n_train=6, n_test=4)
    wholes = [image.transpose(2, 0, 1) for image in load_sample_images().images]
    assert found.target_names == ["china", "flower"]
    assert found.X_train.flags.c_contiguous
    for part, n in (("train", 6), ("test", 4)):
        X, y = found[f"X_{part}"], found[f"y_{part}"]
        assert (X.shape, X.dtype) == ((2 * n, 3, size, size), np.uint8)
        assert y.tolist() == [0] * n + [1] * n
        for patch, label in zip(X, y, strict=True):
            found_at = places(patch, wholes[label])
            assert found_at
            assert all(left + size <= 320 if part == "train" else left >= 320 for left in found_at)


def test_patches_are_drawn_by_the_random_state():
    one, same, other = (datasets.load_photo_patches(32, n_train=3, n_test=3, random_state=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.X_train, same.X_train)
    assert not (one.X_train == other.X_train).all()


def test_photographs_of_an_installed_package_are_read_without_importing_it(tmp_path, monkeypatch):
    folder = tmp_path / "skimage" / "data"
    folder.mkdir(parents=True)
    (tmp_path / "skimage" / "__init__.py").write_text("raise RuntimeError('it is not to be imported')")
    for i, name in enumerate(_natural.PHOTOGRAPHS["skimage"][1]):
        Image.new("RGB", (80, 40), (10 * i, 0, 0)).save(folder / name, quality=100)
    monkeypatch.syspath_prepend(tmp_path)
    found = datasets.load_photo_patches(40, n_train=1, n_test=1, packages=["skimage", "sklearn"])
    assert found.target_names[0::8] == ["astronaut", "china"]
    assert np.abs(found.X_test[:8, 0].mean((1, 2)) - 10 * np.arange(8)).max() < 3  # JPEG rounds
    with pytest.raises(ValueError, match=r"half of .*astronaut.png has 40 x 40 pixels. Give less"):
        datasets.load_photo_patches(41, packages="skimage")


def test_photographs_that_are_not_installed_are_refused(monkeypatch):
    monkeypatch.setattr(_natural.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match="pip install scikit-image"):
        datasets.load_photo_patches(packages="skimage")
    with pytest.raises(ValueError, match="packages has 'torchvision'; it may have sklearn, skimage"):
        datasets.load_photo_patches(packages=["torchvision"])
    with pytest.raises(ValueError, match="packages is empty"):
        datasets.load_photo_patches(packages=[])
