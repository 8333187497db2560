import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, confusion_matrix, jaccard_score

from spikevox.encoding import VoxelGrid, voxelize
from spikevox.tasks.datasets import LabelledBatch, LabelledCloud
from spikevox.tasks.errors import ConfigError
from spikevox.tasks.segmentation import SegmentationMetric
from spikevox.tasks.segmentation.metric import count_pairs, segmentation_result


def result_of(predicted, labels, classes=4):
    return segmentation_result(count_pairs(np.asarray(predicted), np.asarray(labels), classes))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40))
def test_figures_equal_scikit_learns(pairs):
    predicted, labels = np.array(pairs).T
    result = result_of(predicted, labels)
    present = sorted({*predicted.tolist(), *labels.tolist()})
    assert np.array_equal(result.confusion, confusion_matrix(labels, predicted, labels=range(4)))
    assert result.accuracy == pytest.approx(accuracy_score(labels, predicted))
    expected = jaccard_score(labels, predicted, labels=present, average=None)
    assert result.iou[present] == pytest.approx(expected)
    assert np.isnan(np.delete(result.iou, present)).all()
    assert result.miou == pytest.approx(expected.mean())


@given(st.lists(st.integers(-1, 3), min_size=1).filter(lambda labels: max(labels) >= 0))
def test_truth_as_prediction_scores_1_everywhere(labels):
    result = result_of(labels, labels)
    assert result.accuracy == result.miou == 1.0
    assert np.nanmin(result.iou) == 1.0


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=20), st.integers(1, 5))
def test_unlabelled_points_change_nothing_and_points_without_prediction_are_wrong(pairs, extra):
    predicted, labels = np.array(pairs).T
    plain = result_of(predicted, labels)
    more = result_of(np.append(predicted, [1] * extra), np.append(labels, [-1] * extra))
    assert np.array_equal(plain.confusion, more.confusion)
    missed = result_of(np.append(predicted, [-1] * extra), np.append(labels, [2] * extra))
    assert missed.count == plain.count + extra
    assert missed.accuracy == pytest.approx(plain.accuracy * plain.count / missed.count)
    assert missed.totals[2] == plain.totals[2] + extra


def test_a_split_without_labels_is_not_scored():
    with pytest.raises(ConfigError, match="nothing to score"):
        result_of([0, 1], [-1, -1])
    with pytest.raises(ConfigError, match=r"07/000001 has no labels: a split can be scored only"):
        count_pairs(np.zeros(2, int), None, 4, source="07/000001")


def test_labels_and_predictions_out_of_range_are_refused():
    with pytest.raises(ConfigError, match=r"a label lies outside \[-1, 4\): 0 to 4"):
        result_of([0, 1], [0, 4])
    with pytest.raises(ConfigError, match="a predicted class lies outside"):
        result_of([0, 4], [0, 1])


def test_the_metric_counts_points_through_the_voxels():
    points = np.array([[0.1, 0, 0], [0.2, 0, 0], [1.5, 0, 0], [9.0, 0, 0]])
    labels = np.array([0, 1, 1, 1])
    voxels = voxelize(points, VoxelGrid(1.0, lower=0, upper=2), labels=labels)
    metric = SegmentationMetric(2)
    scores = torch.tensor([[0.9, 0.1], [0.2, 0.8]])
    metric.process(LabelledBatch(None, (LabelledCloud(voxels, labels),)), [{"scores": scores}])
    # Points 1 and 3 err: the one shares a voxel with a 0, the other lies out of range.
    assert metric.evaluate(1) == {"miou": pytest.approx((1 / 2 + 1 / 3) / 2), "accuracy": 0.5, "count": 4}
