r"""One small critic for each of many columns, trained at once: a weight is a stack of weights, a layer a batched product.

A pair of single variables needs no batches. Its rows are counted in a table of cells, and an average over rows is a sum over
cells: with frequencies :math:`\hat p(x, y)` the InfoNCE bound whose candidates are all rows is

.. math:: \sum_{x,y} \hat p(x, y) \, g(x, y), \qquad
          g(x, y) = f(x, y) - \log \sum_{y'} \hat p(y') e^{f(x, y')} = \log \frac{q(y \mid x)}{\hat p(y)}

where q(y | x), proportional to :math:`\hat p(y) e^{f(x, y)}`, is a classifier of y: the bound is its cross-entropy below H(y).

References
----------
.. [1] van den Oord et al., "Representation learning with contrastive predictive coding", 2018.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

__all__ = ["ColumnCritics", "Curves", "Symbols", "gaussian_scores", "log_ratios"]


class Curves(nn.Module):
    """For each column a curve: features of a position -> embedding, an MLP beside a linear shortcut.

    Parameters
    ----------
    n_columns : int
        Columns. All start with the same weights, so that what becomes of one does not depend on its place.
    n_features : int
        Features of a position.
    width : int
        Width of the embedding.
    hidden : int, default=16
        Hidden units.
    start_at_zero : bool, default=False
        Whether the embedding is 0 at first.

    Examples
    --------
    >>> import torch
    >>> from skdim.nn.columns import Curves
    >>> Curves(5, n_features=3, width=8)(torch.zeros(5, 20, 3)).shape
    torch.Size([5, 20, 8])
    """

    def __init__(
        self, n_columns: int, n_features: int, width: int, hidden: int = 16, start_at_zero: bool = False
    ) -> None:
        super().__init__()

        def weights(size_in: int, size_out: int, scale: float) -> nn.Parameter:
            return nn.Parameter((scale * torch.randn(size_in, size_out)).repeat(n_columns, 1, 1))

        output = 0.0 if start_at_zero else 1.0
        self.first = weights(n_features, hidden, 1 / math.sqrt(n_features))
        self.first_bias = weights(1, hidden, 0.5)
        self.second = weights(hidden, width, output / math.sqrt(hidden))
        self.shortcut = weights(n_features, width, output / math.sqrt(n_features))

    def forward(self, features: Tensor) -> Tensor:
        """Embed positions: (n_columns, n_positions, n_features) -> (n_columns, n_positions, width)."""
        hidden = torch.tanh(torch.baddbmm(self.first_bias, features, self.first))
        return torch.baddbmm(torch.bmm(features, self.shortcut), hidden, self.second)


class Symbols(nn.Module):
    """For each column a table: symbol -> embedding, 0 at first.

    Parameters
    ----------
    n_columns, n_symbols, width : int
        Sizes of the table of embeddings.

    Examples
    --------
    >>> from skdim.nn.columns import Symbols
    >>> Symbols(5, n_symbols=10, width=8)().shape
    torch.Size([5, 10, 8])
    """

    def __init__(self, n_columns: int, n_symbols: int, width: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.zeros(n_columns, n_symbols, width))

    def forward(self, features: None = None) -> Tensor:
        """Return the table, (n_columns, n_symbols, width)."""
        return self.table


class ColumnCritics(nn.Module):
    r"""For each column a separable critic of anchors x and candidates y, 0 at first.

    .. math:: f_j(x, y) = h_j(x)^\top k_j(y) + b_j(y)

    A function of the anchor alone would change nothing.

    Parameters
    ----------
    n_columns : int
        Columns.
    anchor_features : int
        Features of an anchor's position.
    candidate_features : int or None, default=None
        Features of a candidate's position, or None where candidates are symbols.
    n_symbols : int, default=0
        How many symbols, if they are.
    width : int, default=8
        Width of h and k.

    Examples
    --------
    >>> import torch
    >>> from skdim.nn.columns import ColumnCritics
    >>> critics = ColumnCritics(5, anchor_features=3, n_symbols=10)
    >>> critics(torch.ones(5, 20, 3)).shape, critics(torch.ones(5, 20, 3)).abs().max().item()
    (torch.Size([5, 20, 10]), 0.0)
    """

    def __init__(
        self,
        n_columns: int,
        anchor_features: int,
        candidate_features: int | None = None,
        n_symbols: int = 0,
        width: int = 8,
    ) -> None:
        super().__init__()
        self.anchors = Curves(n_columns, anchor_features, width)
        self.candidates: Curves | Symbols
        if candidate_features is None:
            self.candidates = Symbols(n_columns, n_symbols, width + 1)
        else:
            self.candidates = Curves(n_columns, candidate_features, width + 1, start_at_zero=True)

    def forward(self, anchors: Tensor, candidates: Tensor | None = None) -> Tensor:
        """Score all pairs: (n_columns, a, features), (n_columns, c, features) or None -> (n_columns, a, c)."""
        h, k = self.anchors(anchors), self.candidates(candidates)
        return torch.baddbmm(k[:, None, :, -1], h, k[:, :, :-1].mT)

    def optimizer(self, learning_rate: float, weight_decay: float) -> torch.optim.Optimizer:
        """Return an optimizer; only what the scores are linear in decays, the shape of the curves does not."""
        shapes = [p for name, p in self.named_parameters() if "first" in name]
        rest = [p for name, p in self.named_parameters() if "first" not in name]
        groups = [{"params": shapes, "weight_decay": 0.0}, {"params": rest, "weight_decay": weight_decay}]
        return torch.optim.Adam(groups, lr=learning_rate, fused=True)

    def keep(self, columns: Tensor, optimizer: torch.optim.Optimizer) -> None:
        """Forget all columns but these, here and in what the optimizer remembers."""
        kept: dict[Tensor, nn.Parameter] = {}
        for module in self.children():
            for name, parameter in list(module.named_parameters()):
                kept[parameter] = nn.Parameter(parameter.detach()[columns])
                setattr(module, name, kept[parameter])
                state = optimizer.state.pop(parameter, {})
                moments = {moment: state[moment][columns] for moment in ("exp_avg", "exp_avg_sq") if moment in state}
                optimizer.state[kept[parameter]] = {**state, **moments}
        for group in optimizer.param_groups:
            group["params"] = [kept[parameter] for parameter in group["params"]]


def log_ratios(scores: Tensor, log_marginal: Tensor) -> Tensor:
    r"""Return log q(y | x) / p(y), the critic less the log-mean-exp over its candidates.

    .. math:: g(x, y) = f(x, y) - \log \sum_{y'} p(y') e^{f(x, y')}

    Averaged over rows it is InfoNCE, with all of them as candidates.

    Parameters
    ----------
    scores : Tensor of shape (n_columns, a, c)
        f at every cell.
    log_marginal : Tensor of shape (n_columns, c)
        log p(y), -inf where a candidate was not met.

    Returns
    -------
    Tensor of shape (n_columns, a, c), in nats
        van den Oord et al. 2018 [1]_, Eq. 4, with repeated candidates counted.

    Examples
    --------
    A critic that knows which of two candidates belongs to which anchor:

    >>> import torch
    >>> from skdim.nn.columns import log_ratios
    >>> joint, uniform = torch.eye(2)[None] / 2, torch.full((1, 2), 0.5).log()
    >>> round((joint * log_ratios(50 * torch.eye(2)[None], uniform)).sum().item(), 4)  # log 2
    0.6931
    """
    return scores - torch.logsumexp(scores + log_marginal[:, None], dim=2, keepdim=True)


def gaussian_scores(x: Tensor, y: Tensor, joint: Tensor, n_rows: Tensor) -> Tensor:
    r"""Return the critic of Gaussian variables with the correlation of a table, but for a function of the anchor.

    .. math:: f(x, y) = \frac{\rho x y - \rho^2 y^2 / 2}{1 - \rho^2}

    Parameters
    ----------
    x : Tensor of shape (n_columns, a)
        Normal scores of the anchors.
    y : Tensor of shape (n_columns, c)
        Normal scores of the candidates.
    joint : Tensor of shape (n_columns, a, c)
        Frequencies from which each column's correlation is taken.
    n_rows : Tensor of shape (n_columns,)
        Rows behind them: so many cannot tell a correlation above 1 - 1 / n_rows from 1.

    Returns
    -------
    Tensor of shape (n_columns, a, c)

    Examples
    --------
    >>> import torch
    >>> from skdim.nn.columns import gaussian_scores
    >>> x = torch.tensor([[-1.0, 1.0]])
    >>> joint = torch.tensor([[[0.4, 0.1], [0.1, 0.4]]])  # correlation 0.6
    >>> [round(f, 4) for f in gaussian_scores(x, x, joint, torch.tensor([99]))[0, 0].tolist()]  # (±0.6 - 0.18) / 0.64
    [0.6563, -1.2188]
    """
    covariance = torch.einsum("ja,jac,jc->j", x, joint, y)
    variances = (joint.sum(2) * x.square()).sum(1) * (joint.sum(1) * y.square()).sum(1)
    limit = 1 - 1 / n_rows
    rho = (covariance / variances.clamp_min(1e-12).sqrt()).clamp(-limit, limit)[:, None, None]
    x, y = x[:, :, None], y[:, None, :]
    return (rho * x * y - rho.square() * y.square() / 2) / (1 - rho.square())
