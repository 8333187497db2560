import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, balanced_accuracy_score, confusion_matrix

from spikevox.encoding import VoxelGrid, collate, voxelize
from spikevox.layers.backbones import Encoder
from spikevox.tasks.classification import Classifier, forest_baseline
from spikevox.tasks.classification.metric import classification_result
from spikevox.tasks.classification.scoring import evaluate
from spikevox.tasks.datasets import GeneratedShapes
from spikevox.tasks.errors import ConfigError

pytestmark = pytest.mark.filterwarnings("ignore:.*no voxel is left", "ignore:A single label was found")


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40))
def test_figures_equal_scikit_learns(pairs):
    predicted, labels = np.array(pairs).T
    result = classification_result(predicted, labels, np.zeros(len(labels), bool), 4)
    assert result.accuracy == pytest.approx(accuracy_score(labels, predicted))
    assert np.array_equal(result.confusion, confusion_matrix(labels, predicted, labels=range(4)))
    recalls = [np.mean(predicted[labels == c] == c) for c in np.unique(labels)]
    assert result.mean_class_accuracy == pytest.approx(np.mean(recalls))
    if set(predicted) <= set(labels):
        assert result.mean_class_accuracy == pytest.approx(balanced_accuracy_score(labels, predicted))


def test_truth_as_prediction_scores_everything_and_empty_samples_are_wrong():
    labels = np.array([0, 1, 1, 2])
    assert classification_result(labels, labels, np.zeros(4, bool), 3).accuracy == 1.0
    result = classification_result(labels, labels, np.array([True, False, False, False]), 3)
    assert result.accuracy == 0.75
    assert result.empty == 1
    assert result.confusion.sum() == 3


def test_a_split_without_labels_is_not_scored():
    for labels in (np.array([-1, 0]), np.array([], dtype=int)):
        with pytest.raises(ConfigError, match="can be scored only where every sample has a label"):
            classification_result(np.zeros(len(labels), int), labels, np.zeros(len(labels), bool), 3)


def network(**options):
    torch.manual_seed(0)
    return Classifier(Encoder("T", 3, width=0.25, batch_norm_momentum=0.1), 10, **options)


def batch(points=(30, 30), labels=(1, 4)):
    generator = np.random.default_rng(0)
    clouds = [
        voxelize(generator.uniform(0, 1, (n, 3)), VoxelGrid(0.1), label=label)
        for n, label in zip(points, labels, strict=True)
    ]
    return collate(clouds)


def test_the_loss_is_torchs_and_leaves_empty_samples_out():
    net = network(label_smoothing=0.2).eval()
    full, holed = batch(), batch((30, 0), (1, 4))
    logits = net(*full)
    expected = torch.nn.functional.cross_entropy(logits, full.labels, label_smoothing=0.2)
    assert torch.allclose(net(*full, mode="loss")["loss"], expected)
    alone = torch.nn.functional.cross_entropy(net(*holed)[:1], holed.labels[:1], label_smoothing=0.2)
    assert torch.allclose(net(*holed, mode="loss")["loss"], alone)
    assert [s["empty"] for s in net(*holed, mode="predict")] == [False, True]


def test_a_batch_of_empty_clouds_has_a_finite_loss():
    loss = network()(*batch((0, 0)), mode="loss")["loss"]
    assert loss == 0
    loss.backward()


def test_time_steps_repeat_the_input_and_average_the_logits():
    net = network(time_steps=3)
    assert net(*batch()).shape == (2, 10)


@pytest.mark.parametrize("options", [{"label_smoothing": 1.0}, {"time_steps": 0}])
def test_invalid_options_are_refused(options):
    with pytest.raises(ConfigError, match="a classifier needs"):
        network(**options)


def shapes(split, count):
    return GeneratedShapes(split, count=count, grid={"voxel_size": 0.2})


def test_evaluation_keeps_the_mode_and_counts_every_sample():
    net = network().train()
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            module.momentum = 1.0
    # One batch sets the running statistics, so that neurons fire as in a trained network.
    net(*collate([shapes("train", 16)[i] for i in range(16)]))
    found = evaluate(net, shapes("test", 23), batch_size=8)
    assert net.training
    assert found.scores.shape == (23, 10)
    assert found.result.count == 23
    assert 0 < found.firing_rate < 4
    with pytest.raises(ConfigError, match="votes must be at least 1"):
        evaluate(net, shapes("test", 23), votes=0)


def test_the_forest_is_well_above_chance():
    result = forest_baseline(shapes("train", 200), shapes("val", 60), shapes("test", 100), trees=60)
    assert result.accuracy > 0.3
    assert result.features == max(result.validation, key=result.validation.get)
