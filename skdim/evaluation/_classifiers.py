"""The families of classifiers that features are judged by, from what sees nothing of them to trees."""

from __future__ import annotations

from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

#: Prior variance of a logit, which makes C: weights of variance C on d standardised features give logits of variance C d.
LOGIT_VARIANCE = 10.0
#: Iterations after which scikit-learn warns that L-BFGS has not converged; 60,000 rows of 392 pixels need 113.
MAX_ITER = 1000


def default_C(n_features: int) -> float:
    """Return the inverse strength of the penalty, by which a probe is the same with every feature twice."""
    return LOGIT_VARIANCE / n_features


def logistic(n_features: int, C: float | str = "auto", max_iter: int = MAX_ITER) -> LogisticRegression:
    """Return multinomial logistic regression, for standardised features."""
    return LogisticRegression(C=default_C(n_features) if isinstance(C, str) else C, max_iter=max_iter)


def linear_classifier(n_features: int) -> Pipeline:
    """Return the linear family: multinomial logistic regression on standardised features."""
    return make_pipeline(StandardScaler(), logistic(n_features))
