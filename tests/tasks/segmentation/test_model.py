import numpy as np
import pytest
import torch
from torch.nn import functional

from spikevox.encoding import VoxelGrid, collate, voxelize
from spikevox.layers.backbones import UNet
from spikevox.tasks.errors import ConfigError
from spikevox.tasks.segmentation import Segmenter, lovasz_softmax
from tasks.segmentation.toy_dataset import ToyScenes

pytestmark = pytest.mark.filterwarnings("ignore:.*no voxel is left")


def network(**options):
    torch.manual_seed(0)
    net = Segmenter(UNet(4, size="small", batch_norm_momentum=1.0), 3, **options)
    # Running statistics of a batch, so that neurons fire and logits differ from row to row.
    net(*batch())
    return net


def batch(count=2):
    scenes = ToyScenes(count=count)
    return collate([scenes[i] for i in range(count)])


def empty_cloud():
    options = {"columns": ("x", "y", "z", "intensity"), "features": ("xyz", "intensity")}
    return voxelize(np.zeros((0, 4)), VoxelGrid(0.5), labels=np.zeros(0, int), **options)


def test_the_loss_is_torchs_weighted_one_over_labelled_voxels():
    net = network(class_weights=(0.5, 1.0, 1.5), lovasz=0.3).eval()
    full = batch()
    assert (full.labels == -1).any()
    found = net(*full, mode="loss")
    logits = net(*full)
    weights = torch.tensor([0.5, 1.0, 1.5])
    expected = functional.cross_entropy(logits, full.labels, weights, ignore_index=-1)
    assert torch.allclose(found["loss"], expected)
    known = full.labels >= 0
    assert torch.allclose(found["lovasz_loss"], 0.3 * lovasz_softmax(logits[known].softmax(1), full.labels[known]))
    assert found["accuracy"] == (logits.argmax(1) == full.labels)[known].float().mean()
    assert "lovasz_loss" not in network()(*full, mode="loss")


@pytest.mark.parametrize("backend", ["torch_ops", "auto"])
def test_rows_come_out_in_the_order_in_which_they_went_in(backend):
    net = network(backend=backend).eval()
    coordinates, features, labels, size, report = batch()
    rows = torch.randperm(len(features))
    plain = net(coordinates, features, labels, size, report)
    assert plain.std(dim=0).min() > 1e-3
    shuffled = net(coordinates[rows], features[rows], labels[rows], size, report)
    assert torch.allclose(shuffled, plain[rows], atol=1e-5)


def test_each_sample_gets_the_scores_of_its_own_voxels():
    net = network().eval()
    scenes = ToyScenes(count=2)
    clouds = [scenes[0], empty_cloud(), scenes[1], empty_cloud()]
    outputs = net(*collate(clouds), mode="predict")
    assert [len(output["scores"]) for output in outputs] == [len(cloud) for cloud in clouds]
    alone = net(*collate([scenes[1]]), mode="predict")[0]["scores"]
    assert torch.allclose(outputs[2]["scores"], alone, atol=1e-5)
    assert torch.allclose(alone.sum(dim=1), torch.ones(len(alone)))


def test_empty_and_unlabelled_batches_have_a_loss_of_0():
    for clouds in ([empty_cloud()], [empty_cloud(), empty_cloud()]):
        net = network(lovasz=1.0)
        losses = net(*collate(clouds), mode="loss")
        (losses["loss"] + losses["lovasz_loss"]).backward()
        assert losses["loss"] == losses["lovasz_loss"] == losses["accuracy"] == 0
    full = batch()
    assert network()(*full._replace(labels=torch.full_like(full.labels, -1)), mode="loss")["loss"] == 0


def test_a_loss_without_labels_is_refused():
    with pytest.raises(ConfigError, match="needs a label for every voxel"):
        network()(*batch()._replace(labels=None), mode="loss")


@pytest.mark.parametrize("options", [{"lovasz": -1.0}, {"time_steps": 0}, {"class_weights": (1, 2)}])
def test_invalid_options_are_refused(options):
    with pytest.raises(ConfigError, match=r"a segmenter needs|class_weights must be 3 positive numbers"):
        network(**options)


def test_weights_files_do_not_hold_the_class_weights():
    assert network(class_weights=(1, 2, 3)).state_dict().keys() == network().state_dict().keys()


def test_time_steps_repeat_the_input_and_average_the_logits():
    full = batch()
    assert network(time_steps=2)(*full).shape == (len(full.features), 3)
