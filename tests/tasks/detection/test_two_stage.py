"""The second stage: parameters, which voxels a point sees, losses by hand, gradients, boxes that come back mended."""

import math

import numpy as np
import pytest
import torch

from oracles import voxel_query_loops
from spikevox.layers import SparseTensor
from spikevox.layers.backbones import BevBackbone, Voxel8x
from spikevox.layers.blocks import Parts
from spikevox.tasks.build import build
from spikevox.tasks.checkpoint import load_start, save_weights
from spikevox.tasks.config import to_plain
from spikevox.tasks.datasets.detection import detection_batch
from spikevox.tasks.detection import (
    KITTI_CAR,
    AnchorHead,
    RoiHead,
    RoiOutput,
    RoiTargets,
    RoiWeights,
    TwoStageDetector,
    VoxelPool,
    box_result,
    corner_loss,
    encode_rois,
    query_voxels,
    roi_grid,
    roi_losses,
)
from spikevox.tasks.errors import CheckpointError, ConfigError
from spikevox.tasks.geometry import box_corners
from tasks.detection.toy_streets import OPTIONS, ROI, detector, streets, two_stages


@pytest.fixture(scope="module")
def cloud():
    return build(streets(first_seed=3)).cloud(0)


def parameters(network):
    return sum(p.numel() for p in network.parameters())


def test_published_parameter_counts():
    anchors = AnchorHead(256, [KITTI_CAR], (0, -40, 70.4, 40))
    roi_head = {"type": RoiHead, "voxel_size": (0.05, 0.05, 0.1), "lower": (0, -40, -3)}
    published = TwoStageDetector(Voxel8x(4, grid=(1408, 1600, 41)), BevBackbone(256), anchors, roi_head)
    assert parameters(published.roi_head) == 5_650_280
    assert parameters(published) == 8_597_116
    assert parameters(build(two_stages())) == 1_021_388


@pytest.mark.parametrize("seed", range(8))
def test_voxels_near_a_point_are_those_of_the_scan(seed):
    generator = np.random.default_rng(seed)
    count = 0 if seed == 7 else 300
    sites = np.unique(np.column_stack([generator.integers(0, 2, count), generator.integers(0, 9, (count, 3))]), axis=0)
    cell = generator.uniform(0.1, 0.4, 3)
    # Some points far outside of all voxels, some in a sample without any.
    points = generator.uniform(-8 * cell.max(), 17 * cell.max(), (120, 3))
    samples = generator.integers(0, 3, 120)
    radius, reach, most = (
        float(generator.uniform(0.1, 1.5)),
        int(generator.integers(1, 5)),
        int(generator.integers(1, 20)),
    )
    found = query_voxels(
        torch.from_numpy(points), torch.from_numpy(samples), torch.from_numpy(sites), cell.tolist(),
        radius=radius, reach=reach, most=most,
    )  # fmt: skip
    expected = voxel_query_loops.query(
        points.tolist(), samples.tolist(), sites.tolist(), cell.tolist(), radius, reach, most
    )
    assert found.tolist() == expected


def test_more_points_than_are_looked_up_at_a_time():
    sites = torch.tensor([[0, 3, 3, 3]])
    points = torch.full((20_000, 3), 3.4)
    found = query_voxels(points, torch.zeros(20_000, dtype=torch.int64), sites, (1.0, 1.0, 1.0), radius=1.0, most=2)
    assert bool((found == torch.tensor([0, -1])).all())


def test_grid_points_lie_where_they_lie_by_hand():
    """Two parts an axis: the middles of the eighths of a box that is turned by a quarter."""
    roi = torch.tensor([[1.0, 2.0, 3.0, 4.0, 2.0, 1.0, math.pi / 2]], dtype=torch.float64)
    found = roi_grid(roi, 2)[0]
    # Along its length the box points along y; its left is towards lower x.
    expected = [[1.0 - y, 2.0 + x, 3.0 + z] for x in (-1, 1) for y in (-0.5, 0.5) for z in (-0.25, 0.25)]
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-12)


def test_pooling_is_that_of_loops():
    """One point after the other, in evaluation mode with statistics of the data."""
    generator = torch.Generator().manual_seed(0)
    sites = torch.randint(0, 6, (150, 3), generator=generator).unique(dim=0)
    coordinates = torch.cat([torch.zeros(len(sites), 1, dtype=torch.int64), 2 * sites], dim=1)
    x = SparseTensor(
        torch.randn(len(sites), 5, generator=generator).double(), coordinates, batch_size=1, tensor_stride=2
    )
    points = torch.rand(40, 3, generator=generator).double() * 9 - 1
    pool = VoxelPool(
        5, 4, cell=(1.0, 1.0, 1.0), radius=1.2, parts=Parts(norm_options={"momentum": 1.0}), most=4
    ).double()
    samples = torch.zeros(40, dtype=torch.int64)
    with torch.no_grad():
        for part in (pool.of_membrane, pool.of_place, pool.out):
            part[0].weight.normal_(generator=generator)
    pool(x, points, samples)
    found = pool.eval()(x, points, samples)
    at = torch.div(x.coordinates[:, 1:], 2, rounding_mode="floor")
    rows = voxel_query_loops.query(
        points.tolist(), [0] * 40, torch.cat([coordinates[:, :1], at], dim=1).tolist(), (1.0, 1.0, 1.0), 1.2, 4, 4
    )
    membrane = pool.of_membrane(x.features)
    empty = 0
    for point, near, row in zip(points, rows, found, strict=True):
        chosen = [r for r in near if r >= 0]
        if chosen:
            values = membrane[chosen] + pool.of_place(at[chosen] + 0.5 - point)
        else:
            empty += 1
            values = pool.of_place(torch.zeros(1, 3, dtype=torch.float64))
        spikes = (values.clamp(0, 4) + 0.5).floor().amax(dim=0)
        assert torch.allclose(row, pool.out(spikes[None])[0], atol=1e-12)
    assert 0 < empty < 40


def test_corner_loss_is_that_of_corners_and_a_half_turn_costs_nothing():
    generator = np.random.default_rng(0)
    boxes, truth = generator.uniform(0.5, 3, (2, 6, 7))
    truth[5] = boxes[5] + [0, 0, 0, 0, 0, 0, np.pi]
    found = corner_loss(torch.from_numpy(boxes), torch.from_numpy(truth))
    turned = truth.copy()
    turned[:, 6] += np.pi
    distance = np.minimum(
        *(np.linalg.norm(box_corners(boxes) - box_corners(other), axis=2) for other in (truth, turned))
    )
    expected = np.where(distance < 1, distance**2 / 2, distance - 0.5).mean(axis=1)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-12)
    assert found[5] < 1e-12


def test_losses_of_proposals_by_hand():
    rois = torch.tensor([[0.0, 0, 0, 4, 2, 1.5, 0.3], [9, 0, 0, 4, 2, 1.5, 0.0]], dtype=torch.float64)
    target = RoiTargets(torch.arange(2), torch.tensor([0.8, 0.0]), torch.zeros(2, 7), torch.tensor([True, False]))
    output = RoiOutput(torch.tensor([0.5, -1.0]).double(), torch.zeros(2, 7).double())
    output.deltas[0, 5] = 0.05
    output.deltas[1] = 7.0
    losses = roi_losses(output, rois, [target])
    p = [1 / (1 + math.exp(-v)) for v in (0.5, -1.0)]
    expected = -(0.8 * math.log(p[0]) + 0.2 * math.log(1 - p[0]) + math.log(1 - p[1])) / 2
    assert float(losses["roi_score_loss"]) == pytest.approx(expected, rel=1e-6)
    assert float(losses["roi_box_loss"]) == pytest.approx(0.05**2 * 9 / 2)
    # The box is taller by the factor e^0.05: each corner moves by half of that.
    moved = 1.5 * (math.exp(0.05) - 1) / 2
    assert float(losses["roi_corner_loss"]) == pytest.approx(moved**2 / 2)
    nothing = target._replace(found=torch.tensor([False, False]))
    losses = roi_losses(output, rois, [nothing])
    assert float(losses["roi_box_loss"]) == float(losses["roi_corner_loss"]) == 0


def test_losses_of_proposals_are_weighted():
    rois = torch.tensor([[0.0, 0, 0, 4, 2, 1.5, 0.3]], dtype=torch.float64)
    target = RoiTargets(torch.arange(1), torch.tensor([0.8]), torch.zeros(1, 7), torch.tensor([True]))
    output = RoiOutput(torch.tensor([0.5]).double(), torch.full((1, 7), 0.05).double())
    plain, weighted = roi_losses(output, rois, [target]), roi_losses(output, rois, [target], RoiWeights(2, 3, 5))
    factors = {name: float(weighted[name] / plain[name]) for name in plain}
    assert factors == pytest.approx({"roi_score_loss": 2, "roi_box_loss": 3, "roi_corner_loss": 5})
    assert build(two_stages(roi_loss_weights={"box": 4.0})).roi_loss_weights == (1, 4, 1)


def test_a_training_begins_with_the_weights_of_the_first_stage_alone(tmp_path):
    first, network = build(detector()), build(two_stages())
    options = {"voxels": {"voxel_size": 0.1}, "class_names": ["car"]}
    save_weights(tmp_path / "first.safetensors", first, {"model": to_plain(detector()), **options})
    before = {name: tensor.clone() for name, tensor in network.roi_head.state_dict().items()}
    load_start(network, tmp_path / "first.safetensors", {"model": to_plain(two_stages()), **options})
    state = network.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in first.state_dict().items())
    assert all(torch.equal(state[f"roi_head.{name}"], tensor) for name, tensor in before.items())
    # A whole one is taken too; another backbone is not.
    save_weights(tmp_path / "both.safetensors", network, {"model": to_plain(two_stages()), **options})
    again = build(two_stages())
    load_start(again, tmp_path / "both.safetensors", {"model": to_plain(two_stages()), **options})
    assert all(torch.equal(tensor, state[name]) for name, tensor in again.state_dict().items())
    other = two_stages(bev={**detector()["bev"], "size": "base"})
    with pytest.raises(CheckpointError, match=r"another network or input: model\.bev\.size is 'small' in the file"):
        load_start(build(other), tmp_path / "first.safetensors", {"model": to_plain(other), **options})
    facts = {"model": to_plain(two_stages()), **options, "voxels": {"voxel_size": 0.2}}
    with pytest.raises(CheckpointError, match=r"voxels\.voxel_size"):
        load_start(network, tmp_path / "first.safetensors", facts)


def test_every_parameter_of_the_small_form_gets_a_gradient(cloud):
    network = build(two_stages())
    losses = network(*detection_batch([cloud, cloud]), mode="loss")
    parts = {name: value for name, value in losses.items() if "loss" in name}
    assert set(parts) == {
        "score_loss", "box_loss", "direction_loss", "roi_score_loss", "roi_box_loss", "roi_corner_loss",
    }  # fmt: skip
    sum(parts.values()).backward()
    wrong = [n for n, p in network.named_parameters() if p.grad is None or not bool(p.grad.isfinite().all())]
    assert not wrong
    silent = [n for n, p in network.named_parameters() if not bool(p.grad.abs().sum() > 0)]
    assert not silent


class Answers(torch.nn.Module):
    """A second stage that knows the objects: the proposal nearest to one is led to it exactly."""

    def __init__(self, truth):
        super().__init__()
        self.truth = torch.from_numpy(truth.array())

    def forward(self, membranes, rois):
        rois = torch.cat(rois)
        near = torch.cdist(rois[:, :2], self.truth[:, :2]).argmin(dim=1)
        scores = torch.full((len(rois),), -9.0, dtype=torch.float64)
        for row in range(len(self.truth)):
            mine = (near == row).nonzero()[:, 0]
            if len(mine):
                scores[mine[torch.cdist(rois[mine, :2], self.truth[row : row + 1, :2]).argmin()]] = 4.0
        return RoiOutput(scores, encode_rois(self.truth[near], rois))


def test_proposals_are_mended_as_the_second_stage_says(cloud):
    network = build(two_stages(test_proposals={"overlap": 1.0, "candidates": 4000, "most": 4000}))
    network.roi_head = Answers(cloud.boxes)
    found = network.eval()(*detection_batch([cloud]), mode="predict")[0]
    assert len(found) == len(cloud.boxes)
    assert box_result([cloud.boxes], [found], {"car": 0.9}).row("car", "3d", "moderate").exact == 100
    assert found.scores == pytest.approx(np.full(len(found), 1 / (1 + math.exp(-4))))


def test_a_score_is_the_mean_of_both_stages_where_that_is_asked_for(cloud):
    proposals = {"overlap": 1.0, "candidates": 4000, "most": 4000}
    network = build(two_stages(test_proposals=proposals, both_scores=True, choice={"score": 0.02})).eval()
    network.roi_head = Answers(cloud.boxes)
    batch = detection_batch([cloud])
    first = network.head.boxes(network(*batch), network.test_proposals)[0].scores
    found = network(*batch, mode="predict")[0]
    # The other proposals, at 1e-4 of the second stage, stay below 0.02.
    assert len(found) == len(cloud.boxes)
    squares = found.scores**2 * (1 + math.exp(-4))
    assert np.abs(squares[:, None] - first).min(axis=1).max() < 1e-9


def test_a_sample_gets_what_it_gets_alone(cloud):
    other = build(streets(first_seed=4)).cloud(0)
    network = build(two_stages(choice={"score": 0.0}, test_proposals={"most": 20})).double()
    # Statistics of the data, so that neurons fire as in a trained network.
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            module.momentum = 1.0
    network(*detection_batch([cloud, other]), mode="loss")
    network.eval()
    together = network(*detection_batch([cloud, other]), mode="predict")
    for found, one in zip(together, (cloud, other), strict=True):
        alone = network(*detection_batch([one]), mode="predict")[0]
        assert len(np.unique(alone.scores)) > 3
        np.testing.assert_allclose(found.scores, alone.scores, atol=1e-10)
        np.testing.assert_allclose(found.array(), alone.array(), atol=1e-9)


def test_the_same_state_of_torch_draws_the_same_proposals(cloud):
    network, batch = build(two_stages()), detection_batch([cloud])
    values = []
    for seed in (5, 5, 6):
        torch.manual_seed(seed)
        values.append(float(network(*batch, mode="loss")["roi_score_loss"].detach()))
    assert values[0] == values[1] != values[2]


def test_parts_that_do_not_fit_are_named():
    with pytest.raises(ConfigError, match="unknown RoiHead size 'T'"):
        build(two_stages() | {"roi_head": {**ROI, "size": "T"}})
    with pytest.raises(ConfigError, match="3 membranes, 3 strides and 1 radii"):
        build(two_stages() | {"roi_head": {**ROI, "radii": (0.4,)}})
    with pytest.raises(ConfigError, match=r"sampling has places, .*, not 'rois'"):
        build(two_stages() | {"sampling": {"rois": 3}})
    with pytest.raises(ConfigError, match="positive cell, radius"):
        build(two_stages() | {"roi_head": {**ROI, "radii": (0.4, 0.8, 0.0)}})


@pytest.mark.slow
def test_a_frame_learnt_by_heart_is_found(cloud):
    """Sixty steps of both stages together."""
    network, batch = build(two_stages()), detection_batch([cloud])
    optimiser = torch.optim.AdamW(network.parameters(), lr=4e-3)
    for _ in range(60):
        losses = network(*batch, mode="loss")
        optimiser.zero_grad()
        sum(value for name, value in losses.items() if "loss" in name).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 10)
        optimiser.step()
    network.eval()
    found = network(*batch, mode="predict")
    row = box_result(batch.boxes, found, OPTIONS["min_overlap"]).row("car", "3d", "moderate")
    assert row.boxes == len(cloud.boxes) >= 5
    assert row.exact > 99
