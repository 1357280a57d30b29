"""Families of known mutual information beyond those of ``skdim.synthetic``, and the tasks ``FURTHER`` made of them."""

from tasks.additive import AdditiveCauchy, AdditiveExponential, AdditiveGamma
from tasks.copulas import Clayton, Frank, Gumbel
from tasks.discrete import ContingencyTable, LabelAndUniform, LabelledGaussians, ZeroInflatedPoisson
from tasks.functions import LogisticLabel, NoisyFunction
from tasks.further import FURTHER, LABELLED, SMALL
from tasks.gaussians import ContaminatedGaussian, autoregressive_covariance
from tasks.noise import GammaExponential, NoisyCircle, NoisySine, NormalProduct, StochasticVolatility
from tasks.shapes import Checkerboard, RotatedSquare, UniformBall

__all__ = [
    "FURTHER",
    "LABELLED",
    "SMALL",
    "AdditiveCauchy",
    "AdditiveExponential",
    "AdditiveGamma",
    "Checkerboard",
    "Clayton",
    "ContaminatedGaussian",
    "ContingencyTable",
    "Frank",
    "GammaExponential",
    "Gumbel",
    "LabelAndUniform",
    "LabelledGaussians",
    "LogisticLabel",
    "NoisyCircle",
    "NoisyFunction",
    "NoisySine",
    "NormalProduct",
    "RotatedSquare",
    "StochasticVolatility",
    "UniformBall",
    "ZeroInflatedPoisson",
    "autoregressive_covariance",
]
