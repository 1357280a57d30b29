"""What the docstrings of all transformers have in common."""

from __future__ import annotations

from typing import TypeVar

__all__ = ["documented"]

Class = TypeVar("Class", bound=type)

PARAMETERS = """\
    max_iter : int or "auto", default="auto"
        Epochs. "auto" makes about 8,000 steps, in 1 to 100 epochs. 0 leaves the network untrained.
    learning_rate : float, default=2e-3
        Highest learning rate; see ``schedule``.
    schedule : {"cosine"} or None, default="cosine"
        The learning rate in ``fit``: "cosine" rises over the first 5 % of the steps and falls along a cosine; None is constant.
    optimizer : {"adamw", "adam", "sgd"} or callable, default="adamw"
        Optimizer, or a callable ``(parameter_groups, lr=...) -> torch.optim.Optimizer``.
    weight_decay : float, default=1e-2
        Weight decay of weight matrices; biases, norms and scales are not decayed.
    early_stopping : bool, default=False
        Whether to hold rows out, stop when the objective on them no longer improves, and keep the best epoch's weights.
    validation_fraction : float, default=0.1
        Share of the rows held out.
    n_iter_no_change : int, default=10
        Epochs without improvement that early stopping waits for.
    tol : float, default=1e-4
        Smallest improvement that counts, in nats.
    warm_start : bool, default=False
        Whether ``fit`` continues from the last fit, optimizer included.
    device : str, default="auto"
        "cpu", "cuda", "cuda:1", "mps"; "auto" is CUDA where there is one.
    precision : {"auto", "float32", "bfloat16"}, default="auto"
        Precision of the encoder in training; critics, bounds, ``transform`` and ``score`` are in float32. "auto" is "float32".
    compile : bool, default=False
        Whether torch.compile translates the training step: views, networks and bound. It takes seconds to a minute, once for
        each size of the batches, and on CPUs a C++ compiler.
    checkpoint : str, path-like, Checkpoint or None, default=None
        A directory in which ``fit`` keeps what it has trained so far, every ten minutes: if its process is killed, the same fit
        goes on from there. See :class:`~skdim.Checkpoint`. It needs an integer ``random_state``. ``fit`` raises OSError if
        it cannot write there.
    random_state : int, RandomState instance or None, default=None
        An int gives reproducible bits on one CPU, at the same number of threads and the same versions.
    verbose : int, default=0
        Above 0, a line per epoch is printed.
"""

ATTRIBUTES = """\
    objective_ : nn.Module
        The trained objective: a copy in eval mode with encoder, critics and bounds.
    history_units_ : dict of str to str
        Units of the parts of ``history_``: "nats", or "share" for values from 0 to 1; losses have none.
        ``pandas.DataFrame(history_)`` is the table of the epochs.
    loss_curve_ : list of float
        The training objective's loss after each epoch.
    n_iter_ : int
        Epochs trained.
    n_features_in_ : int
        Number of values of a sample.
    feature_names_in_ : ndarray of str
        Column names, if X had them.
    input_shape_ : tuple of int
        Shape of one sample.
    device_ : str
        Where the network is.
"""

RAISES = """\
    Raises
    ------
    ValueError, TypeError
        From ``fit``, before training, if a parameter or X is invalid, or an option has no effect together with others.
    OSError
        From ``fit``, before training, if ``checkpoint`` cannot be written.
"""


def documented(cls: Class) -> Class:
    """Put the shared parameters, attributes and errors into a class's docstring, in place of ``%(name)s``."""
    doc = cls.__doc__ or ""  # None under python -OO
    for name, text in (("training", PARAMETERS), ("attributes", ATTRIBUTES), ("raises", RAISES)):
        doc = doc.replace(f"    %({name})s\n", text)
    cls.__doc__ = doc
    return cls
