import numpy as np
import pytest
import torch

from spikevox.encoding import PointCloudError, VoxelGrid, collate, voxelize


def voxels(points, **options):
    return voxelize(np.asarray(points, float).reshape(-1, 3), VoxelGrid(1.0), **options)


@pytest.mark.filterwarnings("ignore:.*no voxel is left")
def test_empty_clouds_keep_their_place():
    batch = collate([voxels([]), voxels([[0, 0, 0]]), voxels([])])
    assert batch.batch_size == 3
    assert batch.coordinates.tolist() == [[1, 0, 0, 0]]
    assert batch.report.clouds == 3
    assert batch.report.empty == 2


def test_rows_are_sorted_by_sample_then_coordinates(generator):
    clouds = [voxels(generator.uniform(-5, 5, (40, 3))) for _ in range(4)]
    batch = collate(clouds)
    rows = [tuple(row) for row in batch.coordinates.tolist()]
    assert rows == sorted(set(rows))
    assert batch.coordinates.dtype == torch.int32
    for sample, cloud in enumerate(clouds):
        own = batch.coordinates[:, 0] == sample
        assert np.array_equal(batch.features[own].numpy(), cloud.features)


def test_classes_make_one_label_a_cloud():
    batch = collate([voxels([[0, 0, 0]], label=4), voxels([[1, 1, 1]], label=2)])
    assert batch.labels.tolist() == [4, 2]


def test_joined_clouds_merge_their_duplicates_with_labels():
    one = voxels([[0.5, 0, 0], [1.5, 0, 0]], labels=[3, 4])
    other = voxels([[0.7, 0, 0], [1.7, 0, 0], [2.5, 0, 0]], labels=[3, 5, 6])
    batch = collate([one, other], samples=[0, 0])
    assert batch.batch_size == 1
    assert batch.labels.tolist() == [3, -1, 6]
    np.testing.assert_allclose(batch.features[:, 0], [0.6, 1.6, 2.5], atol=1e-6)
    assert batch.report.label_conflicts == 1
    assert batch.report.adds_up
    assert batch.report.kept == 3


def test_clouds_that_differ_are_refused_by_name():
    with pytest.raises(PointCloudError, match=r"b: features \('count',\) differ from .* of a"):
        collate([voxels([[0, 0, 0]], source="a"), voxels([[0, 0, 0]], source="b", features=("count",))])
    with pytest.raises(PointCloudError, match="b: cloud 1 has no label, others of the batch do"):
        collate([voxels([[0, 0, 0]], label=1), voxels([[0, 0, 0]], source="b")])
    with pytest.raises(PointCloudError, match="at least one cloud"):
        collate([])
    with pytest.raises(PointCloudError, match="one index from 0 on"):
        collate([voxels([[0, 0, 0]])], samples=[-1])


def test_every_duplicate_is_counted_however_many_share_a_voxel():
    cloud = voxels([[0, 0, 0], [1, 0, 0]])
    batch = collate([cloud] * 3, samples=[0, 0, 0])
    assert batch.coordinates.tolist() == [[0, 0, 0, 0], [0, 1, 0, 0]]
    assert (batch.report.points, batch.report.kept, batch.report.merged) == (6, 2, 4)
