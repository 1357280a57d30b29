"""Several processes under torchrun: the numbers of one, the same on every rank, and errors where that cannot be."""

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch
import torchrun
from code_blocks import blocks
from torch import nn

from skdim.training import distributed
from skdim.training.distributed import Ranks, join, refuse_several, write_once

SCRIPT = Path(torchrun.__file__)
PAGE = SCRIPT.parents[2] / "docs" / "scaling.md"


def run(folder, *words):
    """Run the script in two processes of one thread each."""
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", str(SCRIPT), str(folder), *words]
    path = os.pathsep.join([str(SCRIPT.parents[1]), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    folder = tmp_path_factory.mktemp("torchrun")
    (folder / "script").mkdir()
    if PAGE.exists():
        (script,) = (block for block in blocks(PAGE) if block.startswith("# train.py"))
        (folder / "script" / "train.py").write_text(script)
    finished = run(folder)
    assert finished.returncode == 0, finished.stderr[-3000:]
    return folder


def numbers(folder, kind, name):
    """Return what each of the two ranks came to."""
    return [dict(np.load(folder / f"{kind}, {name}, {rank}.npz")) for rank in range(2)]


def same_bits(a, b):
    return a.keys() == b.keys() and all(a[name].tobytes() == b[name].tobytes() for name in a)


@pytest.mark.parametrize("name", torchrun.CASES)
def test_two_processes_train_as_one(ran, name):
    ranks = numbers(ran, "cases", name)
    assert same_bits(*ranks)
    alone = torchrun.outcome(torchrun.CASES[name]())
    assert len(alone["loss"]) == len(ranks[0]["loss"])
    np.testing.assert_allclose(ranks[0]["loss"], alone["loss"], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", torchrun.EXACT)
def test_two_processes_train_as_one_in_float64(ran, name):
    a, b = numbers(ran, "exact", name)
    alone = torchrun.EXACT[name]()
    assert len(alone) == torchrun.STEPS
    assert abs(alone[0] - alone[-1]) > 0.05  # it trains
    assert (a["loss"] == b["loss"]).all()
    np.testing.assert_allclose(a["loss"], alone, rtol=1e-10, atol=0)


@pytest.mark.parametrize("name", torchrun.AGREEING)
def test_ranks_agree_on_what_is_drawn(ran, name):
    assert same_bits(*numbers(ran, "agreeing", name))


@pytest.mark.parametrize("name", torchrun.REFUSED)
def test_what_several_processes_cannot_do_is_refused_on_each(ran, name):
    for rank in range(2):
        message = (ran / f"refused, {name}, {rank}.txt").read_text()
        assert re.search(torchrun.REFUSED[name][1], message), message


def test_the_first_rank_alone_writes_and_none_leaves_what_could_outlive_it(ran):
    assert (ran / "written by").read_text() == "0"
    assert not list(ran.glob(".*"))
    assert [(ran / f"left, {rank}.txt").read_text() for rank in range(2)] == ["False", "False"]


@pytest.mark.skipif(not PAGE.exists(), reason="the tests run without the repository around them")
def test_the_script_of_the_page_trains_in_one_process_and_in_two(ran, monkeypatch):
    folder = ran / "script"
    assert sorted(path.name for path in folder.iterdir()) == ["dim.joblib", "train.py"]
    two = joblib.load(folder / "dim.joblib")
    monkeypatch.chdir(folder)
    runpy.run_path("train.py")
    one = joblib.load("dim.joblib")
    assert two.loss_curve_ == pytest.approx(one.loss_curve_, rel=1e-2)  # 30 steps of rounding


def test_a_killed_rank_ends_the_job(tmp_path):
    finished = run(tmp_path, "killed")
    assert finished.returncode != 0
    assert "exitcode  : 7" in finished.stderr
    assert not list(tmp_path.iterdir())


# ------------------------------------------------------------------------------------------------------------- one process
def test_one_process_trains_alone(monkeypatch):
    assert join(torch.device("cpu")) is None
    for name, value in {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)
    assert join(torch.device("cpu")) is None
    refuse_several("this")


def test_a_worker_of_a_rank_trains_alone(monkeypatch):
    for name, value in {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)
    assert distributed.several()
    monkeypatch.setattr(distributed.multiprocessing, "parent_process", lambda: "the rank")
    assert not distributed.several()


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "model"

    def fail(beside):
        beside.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_once(path, fail)
    assert not list(tmp_path.iterdir())
    write_once(path, lambda beside: beside.write_text("one"))
    with pytest.raises(OSError, match="disk full"):
        write_once(path, fail)
    assert path.read_text() == "one"


@pytest.fixture
def one_rank(monkeypatch):
    """A group of one process, whose collectives change nothing."""
    dist = distributed.dist
    monkeypatch.setattr(dist, "get_rank", lambda: 0)
    monkeypatch.setattr(dist, "get_world_size", lambda: 1)
    monkeypatch.setattr(dist, "all_reduce", lambda tensor: None)
    monkeypatch.setattr(dist, "broadcast", lambda tensor, src: None)
    monkeypatch.setattr(dist, "all_gather", lambda every, own: every[0].copy_(own))
    return Ranks(torch.device("cpu"))


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("shape", [(7, 3), (7, 3, 5), (7, 3, 4, 4)])
def test_batch_norm_is_torch_s(one_rank, shape, affine):
    kind = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d}[len(shape)]
    X = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    results = []
    for ranks in (None, one_rank):
        for momentum in (0.1, None):
            norm = kind(3, affine=affine, momentum=momentum).double()
            module = nn.Sequential(norm)
            if ranks is None:
                outputs = [module(X), module(2 * X)]
            else:
                with ranks.training(module):
                    outputs = [module(X), module(2 * X)]
            (slope,) = torch.autograd.grad((sum(outputs) * weight).sum(), X)
            results.append([*outputs, slope, norm.running_mean, norm.running_var, norm.num_batches_tracked])
            assert norm.forward.__func__ is type(norm).forward  # as it was
            assert torch.equal(norm.eval()(X), module(X))
    for mine, torchs in zip(results[2:], results[:2], strict=True):
        for a, b in zip(mine, torchs, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


def test_batch_norm_of_bfloat16_has_statistics_in_float32(one_rank):
    X = torch.randn((200, 3), generator=torch.Generator().manual_seed(0)) + 100
    norm, rounded = nn.BatchNorm1d(3), X.bfloat16()
    with one_rank.training(nn.Sequential(norm)):
        Y = norm(rounded)
    assert norm.running_mean.dtype is torch.float32
    torch.testing.assert_close(norm.running_mean, 0.1 * rounded.float().mean(0), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(Y.float().mean(0), torch.zeros(3), rtol=0, atol=1e-4)


def test_every_rank_needs_a_row_of_every_batch(one_rank):
    one_rank.size = 3
    one_rank.check_batches(n_rows=9, n_batches=3)
    with pytest.raises(ValueError, match=r"8 rows in 3 batch\(es\) leave 2 for 3 processes"):
        one_rank.check_batches(n_rows=8, n_batches=3)


def test_gathering_is_the_identity_of_one_rank(one_rank):
    assert one_rank.share(5) == slice(0, 5)
    one_rank.begin(5)
    X = torch.arange(20.0).reshape(10, 2).requires_grad_()
    gathered = one_rank.gather(X, n_views=2)
    assert torch.equal(gathered, X)
    gathered.square().sum().backward()
    assert torch.equal(X.grad, 2 * X)
