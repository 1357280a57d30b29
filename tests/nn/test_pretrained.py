"""Pretrained encoders: what is frozen does not move, what was given is not touched, and the weights travel."""

import functools
import pickle
import pickletools
import warnings
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
import pytest
import skops.io
import torch
from helpers import arrays, images, restored, same_state, tiny
from networks import ResNet18, VisionTransformer, resnet, trained
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from torch import nn

from skdim import CPCTransformer, MultiViewInfoMaxTransformer
from skdim.exceptions import PersistenceWarning
from skdim.nn.encoders import MLP, build_encoder, choose_encoder
from skdim.nn.pretrained import Pretrained

RNG = np.random.default_rng(0)
X = images(64, channels=3).repeat(2, 2).repeat(2, 3)  # digits of 16 x 16 in three channels
NET = resnet()
START = {name: tensor.clone() for name, tensor in NET.state_dict().items()}
#: What each value of ``freeze`` leaves as it is.
FROZEN = {
    True: tuple(START),
    False: (),
    "layer3": ("conv1", "bn1", "layer1", "layer2", "layer3"),
    "layer2.0": ("conv1", "bn1", "layer1", "layer2.0"),
    "conv1": ("conv1",),
}


def pretrained(module=NET, **options):
    return Pretrained(module, **{"local": "layer3", **options})


@functools.cache
def fitted(freeze=True):
    return tiny(encoder=pretrained(freeze=freeze), warm_start=freeze == "layer3").fit(X)


def tensors(dim):
    return dim.encoder_.module.state_dict()


# ------------------------------------------------------------------------------------------------------ what is trained
@pytest.mark.parametrize("freeze", FROZEN)
def test_exactly_what_is_not_frozen_moves_statistics_too(freeze):
    moved = {name for name, tensor in tensors(fitted(freeze)).items() if not torch.equal(tensor, START[name])}
    assert moved == {name for name in START if not name.startswith(FROZEN[freeze] or "nothing")}


@pytest.mark.parametrize("freeze", FROZEN)
def test_the_network_that_was_given_is_not_touched(freeze):
    fitted(freeze)
    assert all(torch.equal(tensor, START[name]) for name, tensor in NET.state_dict().items())
    assert all(part.training for part in NET.modules())
    assert all(weight.requires_grad and weight.grad is None for weight in NET.parameters())
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in NET.modules())


def test_a_fit_starts_from_the_weights_that_were_given():
    dim = fitted(False)
    assert same_state(clone(dim).fit(X), dim)
    assert same_state(pickle.loads(pickle.dumps(dim)).fit(X), dim)


def test_no_gradient_runs_through_what_is_frozen():
    encoder = build_encoder(pretrained(freeze="layer2"), (3, 16, 16), 4)
    seen = {}
    for name in ("layer2", "layer3"):
        part = encoder.module.get_submodule(name)
        part.register_forward_hook(lambda _, __, output, name=name: seen.update({name: output.requires_grad}))
    encoder(torch.randn(4, 3, 16, 16)).global_.sum().backward()
    assert seen == {"layer2": False, "layer3": True}
    given = torch.randn(2, 3, 16, 16, requires_grad=True)
    build_encoder(pretrained(), (3, 16, 16), 4)(given).local.sum().backward()
    assert given.grad.abs().sum() > 0  # of inputs there are gradients


def test_frozen_parts_drop_nothing_out_in_training():
    module = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(768, 8), nn.Dropout(0.5), nn.Linear(8, 8))
    given = torch.randn(64, 3, 16, 16)
    for freeze, draws in ((True, False), ("1", True), ("3", False), (False, True)):
        encoder = build_encoder(Pretrained(module, freeze=freeze), (3, 16, 16), 4).train()
        assert (not torch.equal(encoder(given).hidden, encoder(given).hidden)) is draws, freeze


def test_weights_that_another_part_reads_are_frozen_with_their_holder():
    module = VisionTransformer()
    encoder = build_encoder(Pretrained(module, freeze="blocks.0"), (3, 16, 16), 4)
    free = {name for name, weight in encoder.module.named_parameters() if weight.requires_grad}
    assert free == {name for name, _ in module.named_parameters() if name.startswith("blocks.1")}


def test_parameters_that_were_frozen_by_hand_follow_freeze():
    module = nn.Sequential(nn.Flatten(), nn.Linear(768, 8)).requires_grad_(False)
    encoder = build_encoder(Pretrained(module, freeze=False), (3, 16, 16), 4)
    assert all(weight.requires_grad for weight in encoder.parameters())


# -------------------------------------------------------------------------------------------------------- what it returns
def by_hand(given, layer=None):
    """Return the output of the given network in eval mode, or of one of its layers."""
    network, seen = pickle.loads(pickle.dumps(NET)).eval(), []
    if layer:
        network.get_submodule(layer).register_forward_hook(lambda _, __, output: seen.append(output))
    with torch.no_grad():
        output = network(torch.as_tensor(given, dtype=torch.float32))
    return (seen[0] if layer else output).flatten(1).numpy()


def test_features_of_a_frozen_network_are_its_own():
    dim = tiny(encoder=pretrained(), max_iter=1).fit(X)
    standardised = (X - X.mean((0, 2, 3), keepdims=True)) / X.std((0, 2, 3), keepdims=True)
    for name, layer in (("hidden", None), ("local", "layer3")):
        features = dim.set_params(features=name).transform(X)
        np.testing.assert_allclose(features, by_hand(standardised, layer), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("mean", "std"), [(5.0, 4.0), ((5.0, 9.0, 13.0), (4.0, 9.0, 15.0))])
def test_inputs_are_standardised_as_the_network_expects(mean, std):
    dim = tiny(encoder=pretrained(mean=mean, std=std), max_iter=1, features="hidden").fit(X)
    expected = (X - np.reshape(mean, (-1, 1, 1))) / np.reshape(std, (-1, 1, 1))
    np.testing.assert_allclose(dim.standardized(X).numpy(), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(dim.transform(X), by_hand(expected), rtol=1e-4, atol=1e-5)
    assert same_state(pickle.loads(pickle.dumps(dim)), dim)


@pytest.mark.parametrize(
    ("module", "local", "shape", "kind"),
    [
        (VisionTransformer(), "blocks.1", (8, 16), "image"),
        (nn.Sequential(nn.Conv2d(3, 8, 4, 4)), None, (8, 16), "image"),
        (nn.Sequential(nn.Conv2d(3, 8, 4, 4), nn.Flatten(), nn.Linear(128, 8)), None, (8, 1), "image"),
        (nn.Sequential(nn.Flatten(), nn.Linear(768, 8)), "0", (768, 1), None),
    ],
    ids=["tokens", "map", "vector", "vector of a part"],
)
def test_the_local_map_has_channels_and_places(module, local, shape, kind):
    configured, given = Pretrained(module, local=local), torch.randn(2, 3, 16, 16)
    encoder = build_encoder(configured, (3, 16, 16), 4).eval()
    assert (encoder.local_shape, encoder.n_hidden, configured.kind) == (shape, 8, kind)
    output = module.eval()(given)
    expected = output if output.ndim == 2 else output.mean(1) if output.ndim == 3 else output.mean((2, 3))
    torch.testing.assert_close(encoder(given).hidden, expected)


class Last(nn.Module):
    """Convolution whose maps have their channels last, as those of Swin and of wav2vec have."""

    def __init__(self, convolution, fixed=None):
        super().__init__()
        self.convolution, self.norm, self.fixed = convolution, nn.LayerNorm(convolution.out_channels), fixed

    def forward(self, X):
        output = self.norm(self.convolution(X).movedim(1, -1))
        assert self.fixed in (None, X.shape[-1])
        return output


@pytest.mark.parametrize("local", [None, "convolution", "norm"])
@pytest.mark.parametrize(
    ("convolution", "shape", "fixed", "last"),
    [
        (nn.Conv2d(3, 24, 4, 4), (3, 16, 16), None, None),
        (nn.Conv2d(3, 4, 4, 4), (3, 16, 16), None, None),  # as many channels as rows and columns
        (nn.Conv1d(3, 24, 4, 4), (3, 64), None, None),
        (nn.Conv1d(3, 16, 4, 4), (3, 64), None, None),
        (nn.Conv2d(3, 24, 4, 4), (3, 16, 16), 16, True),
        (nn.Conv1d(3, 24, 4, 4), (3, 64), 64, True),
    ],
)
def test_channels_are_told_from_places(convolution, shape, fixed, last, local):
    module, given = Last(convolution, fixed), torch.randn(5, *shape)
    code = build_encoder(Pretrained(module, local=local, channels_last=last), shape, 4).eval()(given)
    torch.testing.assert_close(code.hidden, module(given).flatten(1, -2).mean(1))
    first = convolution(given).flatten(2)
    expected = first if local == "convolution" else module.norm(first.transpose(1, 2)).transpose(1, 2)
    torch.testing.assert_close(code.local, expected)


def test_a_map_that_is_written_into_later_is_kept_as_it_was():
    module = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(inplace=True), nn.Conv2d(8, 8, 3))
    given = torch.randn(4, 3, 16, 16)
    code = build_encoder(Pretrained(module, local="0"), (3, 16, 16), 4).eval()(given)
    torch.testing.assert_close(code.local, module[0](given).flatten(2))
    torch.testing.assert_close(code.hidden, module(given).mean((2, 3)))


def test_a_network_of_sequences_reads_sequences():
    module = nn.Sequential(nn.Conv1d(2, 8, 5, 2), nn.ReLU(), nn.Conv1d(8, 6, 5, 2))
    assert build_encoder(Pretrained(module, local="0"), (2, 32), 4).local_shape == (8, 14)
    dim = tiny(encoder=Pretrained(module), features="local").fit(RNG.normal(size=(32, 2, 32)))
    assert dim.transform(RNG.normal(size=(3, 2, 32))).shape == (3, 6 * 5)


def test_threads_that_transform_at_once_get_their_own_maps():
    dim = tiny(encoder=pretrained(), max_iter=0, features="local").fit(X)
    parts = [X[i : i + 8] for i in range(0, 64, 8)] * 4
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(dim.transform, parts))
    assert all((dim.transform(part) == features).all() for part, features in zip(parts, together, strict=True))


# ------------------------------------------------------------------------------------------------------------- estimators
def test_a_search_chooses_what_is_frozen():
    pipe = Pipeline([("dim", tiny(encoder=pretrained(), max_iter=1)), ("clf", LogisticRegression())])
    choices = {"dim__encoder__freeze": [True, "layer3"], "dim__encoder__local": [None, "layer2"]}
    search = GridSearchCV(pipe, choices, cv=2).fit(X, np.arange(64) % 2)
    assert len(search.cv_results_["params"]) == 4
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert (pickle.loads(pickle.dumps(search)).predict(X) == search.predict(X)).all()


def test_every_term_takes_it():
    dim = tiny(encoder=pretrained(freeze="layer3"), global_weight=1, prior_weight=1).fit(X)
    assert all(np.isfinite(list(row.values())).all() for row in dim.history_)
    learns = {"augment": None, "learning_rate": 0.01, "max_iter": 20, "early_stopping": True}
    stochastic = tiny(encoder=pretrained(freeze="layer3"), posterior="gaussian", local_weight=0, **learns).fit(X)
    assert 0 < stochastic.lower_bound_ < stochastic.upper_bound_  # both of the held-out rows


def test_views_have_networks_and_statistics_of_their_own():
    views = [("photo", slice(0, 768), (3, 16, 16)), ("rest", slice(768, 772))]
    table = np.concatenate([X.reshape(64, -1), RNG.normal(3, 2, (64, 4))], axis=1)
    encoders = [pretrained(mean=5.0, std=(4.0, 9.0, 15.0)), MLP((8,))]
    multi = MultiViewInfoMaxTransformer(4, views=views, encoder=encoders, max_iter=1, random_state=0).fit(table)
    standardize = multi._learner.standardize
    assert (standardize.mean[:768] == 5).all()
    assert (standardize.scale[:768].reshape(3, -1) == [[4], [9], [15]]).all()
    np.testing.assert_allclose(standardize.mean[768:], table[:, 768:].mean(0))
    assert (pickle.loads(pickle.dumps(multi)).transform(table) == multi.transform(table)).all()
    halves = MultiViewInfoMaxTransformer(4, encoder=pretrained(mean=5.0, std=8.0), shared_encoder=True, max_iter=1).fit(
        X
    )
    assert (halves._learner.standardize.scale == 8).all()


def test_patches_take_it_where_batch_statistics_are_frozen():
    cpc = CPCTransformer(4, patch_size=8, encoder=pretrained(mean=5.0, std=8.0), n_steps=2, max_iter=1, random_state=0)
    cpc.fit(X)
    assert (cpc._learner.standardize.scale == 8).all()
    assert all(
        torch.equal(tensor, START[name]) for name, tensor in cpc.encoder_.latents.encoder.module.state_dict().items()
    )
    with pytest.raises(ValueError, match=r"BatchNorm2d: statistics of the batch"):
        cpc.set_params(encoder__freeze="layer3").fit(X)


# ------------------------------------------------------------------------------------------------------------ persistence
def test_the_weights_travel_once_given_and_once_trained(tmp_path):
    dim = fitted("layer3")
    size = sum(tensor.numel() * tensor.element_size() for tensor in [*START.values()])
    trained_size = sum(array.nbytes for array in arrays(dim).values() if isinstance(array, np.ndarray))
    assert len(pickle.dumps(dim)) < 1.3 * (size + trained_size)
    back = pickle.loads(pickle.dumps(dim))
    assert all(torch.equal(tensor, START[name]) for name, tensor in back.encoder.module.state_dict().items())
    assert back.encoder is not back._built_with.encoder
    joblib.dump(dim, tmp_path / "dim.joblib")
    for loaded in (back, joblib.load(tmp_path / "dim.joblib", mmap_mode="r")):
        assert same_state(loaded, dim)
        assert (loaded.transform(X) == dim.transform(X)).all()
        assert same_state(loaded.fit(X), pickle.loads(pickle.dumps(dim)).fit(X))  # goes on: warm_start


def test_no_module_is_pickled_and_skops_asks_for_the_classes_of_the_network(tmp_path):
    dim = fitted()
    found = {text for _, text, _ in pickletools.genops(pickle.dumps(dim)) if isinstance(text, str)}
    assert {text for text in found if text.startswith("torch")} == {"torch.nn", "torch_version"}  # names in plain lists
    skops.io.dump(dim, tmp_path / "dim.skops")
    names = skops.io.get_untrusted_types(file=tmp_path / "dim.skops")
    own = ["networks.BasicBlock", "networks.ResNet18"]
    assert names == [*own, "skdim.deep_infomax.DeepInfoMaxTransformer", "skdim.nn.pretrained.Pretrained"]
    assert same_state(skops.io.load(tmp_path / "dim.skops", trusted=names), dim)


def test_a_changed_weight_of_the_given_network_is_damage():
    state = fitted().__getstate__()
    given = state["encoder"].module
    state["encoder"].module = trained(pickle.loads(pickle.dumps(given)))
    try:
        with pytest.raises(ValueError, match="damaged"):
            tiny().__setstate__(state)
    finally:
        state["encoder"].module = given


def test_training_does_not_go_on_from_another_network():
    dim = restored(fitted("layer3"))
    dim.encoder.module.eval()  # its mode is no part of it
    dim.partial_fit(X)
    for changed in ({"encoder__freeze": True}, {"encoder__module": trained(resnet())}):
        with pytest.raises(ValueError, match=r"cannot continue: \['encoder'\] changed"):
            restored(fitted("layer3")).set_params(**changed).partial_fit(X)


def test_a_checkpoint_knows_the_network_by_its_weights():
    same, other = joblib.hash(pretrained()), joblib.hash(pretrained(trained(resnet())))
    assert joblib.hash(clone(pretrained())) == joblib.hash(pickle.loads(pickle.dumps(pretrained()))) == same != other


def test_classes_that_pickle_cannot_find_are_warned_of_before_training():
    class Local(nn.Flatten):
        pass

    dim = tiny(encoder=Pretrained(nn.Sequential(Local(), nn.Linear(768, 4))))
    with pytest.raises(PersistenceWarning, match=r"Local.*top level of a module"):
        dim.fit(X)
    assert not hasattr(dim, "n_iter_")


# ----------------------------------------------------------------------------------------------------------------- errors
class Pair(nn.Module):
    def forward(self, X):
        return {"features": X}


class Unused(nn.Sequential):
    def forward(self, X):
        return self[0](X)


class Drops(nn.Module):
    def forward(self, X):
        return nn.functional.dropout(X.flatten(1))  # in eval mode too


def wrapped(wrap, **options):
    """Return a network whose first weight is computed from others."""
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch discourages the hooks
        wrap(module[0], "weight", **options)
    return module


BATCH = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=False))
FLAT = nn.Sequential(nn.Flatten(), nn.Linear(768, 4))
GREY = images(8).repeat(2, 1).repeat(2, 2)


def without_values(module):
    """Return the module with weights of NaN, as a training that diverged leaves them."""
    module.load_state_dict({name: torch.full_like(weight, torch.nan) for name, weight in module.state_dict().items()})
    return module


class Signs(nn.Module):
    def forward(self, X):
        return X > 0


ERRORS = [
    (pretrained(local="layer9"), X, r"local='layer9'.*ResNet18.*'conv1', 'bn1'.*'layer4'.*'avgpool', 'fc'.*such as"),
    (pretrained(freeze="layer9"), X, r"freeze='layer9'.*ResNet18.*'layer4'"),
    (pretrained(local=""), X, r"local=''.*ResNet18"),
    (pretrained(freeze=3), X, r"freeze must be True, False or the name of a part, got 3"),
    (Pretrained(Unused(*FLAT), local="1"), X, r"local='1' is a part that .* does not call"),
    (
        pretrained(),
        GREY,
        r"takes 3 channels, and X has 1: give np\.repeat\(X\.reshape\(len\(X\), 1, 16, 16\), 3, axis=1\)",
    ),
    (pretrained(), X[:, :2], r"takes 3 channels, and X has 2\."),
    (Pretrained(FLAT), X[:, :, :8], r"inputs of shape \(n, 3, 8, 16\)\. Give X in the size that it takes\. .*768"),
    (pretrained(), X.reshape(64, -1), r"encoder=Pretrained\(ResNet18.*takes images: give X as .*input_shape"),
    (Pretrained(Pair()), X, r"returned a dict\. Wrap it in a module"),
    (Pretrained(nn.Unflatten(1, (1, 1, 3))), X, r"returned a Tensor of shape .*Wrap it"),
    (Pretrained("resnet18"), X, r"must be a torch\.nn\.Module, got 'resnet18'"),
    (Pretrained(dict(NET.state_dict())), X, r"must be a torch\.nn\.Module, got .{,300}load_state_dict"),
    (Pretrained(Signs()), X, r"must return .* of floats.*torch\.bool"),
    (Pretrained(without_values(nn.Conv2d(3, 8, 3))), X, r"holds NaN or infinity.*Look at the weights"),
    (Pretrained(nn.Linear), X, r"must be a torch\.nn\.Module.*Linear"),
    (Pretrained(BATCH), X, r"depends on the other rows.*part '1' is a BatchNorm2d.*track_running_stats=True"),
    (Pretrained(Drops()), X, r"depends on the other rows, or on chance.*each row by itself"),
    (Pretrained(nn.Flatten(0, 1)), X, r"for n = 3; it returned a Tensor of shape \(9, 16, 16\)"),
    (
        Pretrained(Last(nn.Conv2d(3, 24, 4, 4), 16)),
        X,
        r"\(n, 4, 4, 24\).*twice the size are refused.*channels_last=False",
    ),
    (Pretrained(nn.AdaptiveAvgPool2d(2)), X, r"\(n, 3, 2, 2\).*larger input does not tell.*channels_last=False"),
    (Pretrained(NET, channels_last="yes"), X, r"channels_last must be True, False or None, got 'yes'"),
    (Pretrained(wrapped(nn.utils.weight_norm)), X, r"Part '0' .* WeightNorm, .* torch\.nn\.utils\.remove_weight_norm"),
    (Pretrained(wrapped(nn.utils.spectral_norm)), X, r"SpectralNorm, .* torch\.nn\.utils\.remove_spectral_norm"),
    (Pretrained(wrapped(nn.utils.prune.random_unstructured, amount=0.5)), X, r"torch\.nn\.utils\.prune\.remove"),
    (Pretrained(wrapped(nn.utils.parametrizations.spectral_norm)), X, r"remove_parametrizations\(part, 'weight'\)"),
    (Pretrained(torch.fx.symbolic_trace(FLAT)), X, r"saved in a way of its own.*made from"),
    (pretrained(mean=0.5), X, r"mean=0\.5 and std=None .*go together"),
    (pretrained(mean=0.5, std=0.0), X, r"std positive, got mean=0\.5 and std=0\.0"),
    (pretrained(mean=(0.5, 0.5), std=0.2), X, r"one for each of 3 channels"),
    (pretrained(mean=0.485, std=0.1), X, r"expects a mean of 0\.485 .*255 times"),
]


@pytest.mark.parametrize(("encoder", "data", "message"), ERRORS, ids=[message[:40] for _, _, message in ERRORS])
def test_what_does_not_fit_is_refused(encoder, data, message):
    dim = tiny(encoder=encoder)
    with pytest.raises((ValueError, TypeError), match=rf"(?s){message}"):
        dim.fit(data)
    assert not hasattr(dim, "n_iter_")


@pytest.mark.parametrize(
    "given", [NET, functools.partial(nn.Sequential, NET), [NET]], ids=["module", "partial", "list"]
)
def test_a_module_by_itself_is_refused_with_what_to_do(given):
    estimator = MultiViewInfoMaxTransformer(encoder=given) if isinstance(given, list) else tiny(encoder=given)
    with pytest.raises(TypeError, match=r"nn\.Module instance of ResNet18.*Pretrained\(module\) keeps its weights"):
        estimator.fit(X)


def test_hidden_layer_sizes_have_no_effect_on_it():
    with pytest.raises(ValueError, match=r"hidden_layer_sizes=.*no effect"):
        choose_encoder(pretrained(), (3, 16, 16), (8,))


def test_the_full_size_network_is_an_encoder():
    code = build_encoder(Pretrained(ResNet18(), local="layer4"), (3, 64, 64), 16)(torch.zeros(1, 3, 64, 64))
    assert [tuple(part.shape) for part in code] == [(1, 512, 4), (1, 10), (1, 16)]
