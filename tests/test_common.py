"""scikit-learn's own checks, over every public estimator, none of them expected to fail."""

import inspect
import warnings
from unittest import SkipTest

import pytest
from sklearn.base import BaseEstimator, clone
from sklearn.utils import estimator_checks, get_tags
from sklearn.utils.estimator_checks import estimator_checks_generator, parametrize_with_checks

import skdim
from skdim import MIEstimator, MRMRSelector
from skdim.exceptions import MutualInformationWarning

CLASSES = [
    member
    for name in skdim.__all__
    if inspect.isclass(member := getattr(skdim, name)) and issubclass(member, BaseEstimator)
]
EXPECTED_FAILED_CHECKS: dict[str, str] = {}  # stays empty
N_CHECKS = {"transformer": 47, "estimator": 42}

ADDITIONAL_CHECKS = [
    estimator_checks.check_param_validation,
    estimator_checks.check_dataframe_column_names_consistency,
    estimator_checks.check_do_not_raise_errors_in_init_or_set_params,
]
CHECKS_OF_TRANSFORMERS = [
    estimator_checks.check_transformer_get_feature_names_out,
    estimator_checks.check_transformer_get_feature_names_out_pandas,
    estimator_checks.check_get_feature_names_out_error,
    estimator_checks.check_set_output_transform,
    estimator_checks.check_set_output_transform_pandas,
    estimator_checks.check_set_output_transform_polars,
    estimator_checks.check_global_output_transform_pandas,
    estimator_checks.check_global_set_output_transform_polars,
]
FURTHER_CHECKS = [
    pytest.param(cls, check, id=f"{cls.__name__}-{check.__name__}")
    for cls in CLASSES
    for check in (*ADDITIONAL_CHECKS, *(CHECKS_OF_TRANSFORMERS if hasattr(cls, "transform") else ()))
]

#: What a class says of the few, rounded and constant rows that checks fit it on; every other warning is an error.
EXPECTED_WARNINGS = {MIEstimator: MutualInformationWarning, MRMRSelector: MutualInformationWarning}
FEW_ROWS = [[0.0, 1.0], [1.0, 3.0], [2.0, 2.0], [4.0, 0.0]], [0.5, 1.0, -2.0, 3.0]


@pytest.fixture(autouse=True)
def few_rows_are_meant(request):
    """Let a class say what it must of few rows, and no other class."""
    parameters = request.node.callspec.params
    cls = parameters["cls"] if "cls" in parameters else type(parameters["estimator"])
    with warnings.catch_warnings():
        if cls in EXPECTED_WARNINGS:
            warnings.simplefilter("ignore", EXPECTED_WARNINGS[cls])
        yield


def documented(cls, section, end):
    """Return the names that a section of a class's docstring describes, in order."""
    text = inspect.getdoc(cls).split(f"{section}\n{'-' * len(section)}\n")[1].split(f"\n{end}\n")[0]
    lines = [line.split(" : ")[0] for line in text.splitlines() if " : " in line and line[0] != " "]
    return [name for line in lines for name in line.split(", ")]


def short(cls):
    """Return an estimator that trains for one epoch, for what does not depend on how long it trains."""
    return cls(max_iter=1) if "max_iter" in cls._parameter_constraints else cls()


@parametrize_with_checks(
    [short(cls) for cls in CLASSES], expected_failed_checks=lambda estimator: EXPECTED_FAILED_CHECKS
)
def test_scikit_learn_checks(estimator, check):
    try:
        check(estimator)
    except SkipTest:  # no other check may be skipped
        assert check.func.__name__ == "check_array_api_input"
        raise


@pytest.mark.parametrize("cls", CLASSES)
def test_no_check_is_lost(cls):
    kind = get_tags(cls()).estimator_type or "estimator"
    assert len(list(estimator_checks_generator(short(cls)))) >= N_CHECKS[kind]


# The set_output checks mix arrays and frames, of which scikit-learn warns.
@pytest.mark.filterwarnings("ignore:X (has|does not have valid) feature names:UserWarning")
@pytest.mark.parametrize(("cls", "check"), FURTHER_CHECKS)
def test_checks_beyond_check_estimator(cls, check):
    check(cls.__name__, short(cls))


@pytest.mark.parametrize("cls", CLASSES)
def test_tags_are_honest(cls):
    tags = get_tags(cls())
    assert tags.input_tags.two_d_array
    assert not tags.input_tags.sparse
    assert not tags.input_tags.allow_nan
    assert not tags.non_deterministic
    assert not tags.no_validation
    assert not tags._skip_test


@pytest.mark.parametrize("cls", CLASSES)
def test_the_constructor_stores_and_does_nothing_else(cls):
    parameters = inspect.signature(cls.__init__).parameters
    assert not any(p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL) for p in parameters.values())
    sentinels = {name: object() for name in parameters if name != "self"}
    assert vars(cls(**sentinels)) == sentinels


@pytest.mark.parametrize("cls", CLASSES)
def test_every_parameter_is_documented_and_constrained_in_order(cls):
    names = [name for name in inspect.signature(cls.__init__).parameters if name != "self"]
    assert documented(cls, "Parameters", "Attributes") == names
    assert set(cls._parameter_constraints) == set(names)


@pytest.mark.parametrize("cls", CLASSES)
def test_every_fitted_attribute_is_documented(cls):
    fitted = short(cls).fit(*FEW_ROWS)
    described = set(documented(cls, "Attributes", "Raises"))
    public = {name for name in dir(type(fitted)) + list(vars(fitted)) if name.endswith("_") and name[0] != "_"}
    assert public <= described
    assert described - public <= {"feature_names_in_"}


@pytest.mark.parametrize("cls", CLASSES)
def test_clone_of_a_fitted_estimator_is_not_fitted(cls):
    fitted = short(cls).fit(*FEW_ROWS)
    copy = clone(fitted)
    assert copy.get_params() == fitted.get_params()
    assert not [name for name in vars(copy) if name.endswith("_")]
