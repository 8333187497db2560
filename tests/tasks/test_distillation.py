"""Training to answer as another network does: the loss, where it comes from, what is refused."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from spikevox.encoding import VoxelGrid, collate, voxelize
from spikevox.layers import reset_states
from spikevox.layers.backbones import Encoder
from spikevox.tasks import build_runner, load_config
from spikevox.tasks.checkpoint import read_weights
from spikevox.tasks.classification import Classifier
from spikevox.tasks.distillation import Distillation, divergence
from spikevox.tasks.errors import CheckpointError, ConfigError

TINY = Path(__file__).resolve().parent.parent / "robustness" / "tiny.py"
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::ResourceWarning", "ignore::DeprecationWarning")


def tiny(*overrides, **sections):
    return {**load_config(TINY, overrides), **sections}


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    folder = tmp_path_factory.mktemp("teacher")
    torch.set_num_threads(1)
    build_runner(tiny("train_cfg.max_epochs=1", "param_scheduler=[]"), folder).train()
    return folder / "weights.safetensors"


def log_of(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("temperature", [1.0, 2.0, 5.0])
def test_the_divergence_is_that_of_the_softened_probabilities(temperature):
    generator = np.random.default_rng(0)
    own, target = generator.normal(size=(2, 6, 10)) * 3
    p, q = (np.exp(z / temperature) / np.exp(z / temperature).sum(axis=1, keepdims=True) for z in (target, own))
    expected = temperature**2 * (p * np.log(p / q)).sum(axis=1).mean()
    found = divergence(torch.from_numpy(own), torch.from_numpy(target), temperature)
    assert float(found) == pytest.approx(expected, rel=1e-12)
    assert float(divergence(torch.from_numpy(own), torch.from_numpy(own), temperature)) == pytest.approx(0, abs=1e-12)


def test_a_step_adds_the_divergence_of_what_both_say_of_the_same_voxels():
    networks = [Classifier(Encoder("T", 3, width=0.25), 10) for _ in range(2)]
    student, teacher = networks
    clouds = [np.random.default_rng(i).uniform(0, 1, (300, 3)) for i in range(4)]
    batch = collate([voxelize(points, VoxelGrid(0.1)) for points in clouds])._replace(labels=torch.arange(4))
    hook = Distillation(teacher, weight=0.5, temperature=3.0)
    hook.before_train(SimpleNamespace(network=student))
    student.train()
    found = student(*batch, mode="loss")
    with torch.no_grad():
        expected = 0.5 * divergence(student(*batch), teacher.eval()(*batch), 3.0)
    # Of a batch in training mode the network gives the same logits twice: only its running statistics move.
    assert float(found["distillation_loss"]) == pytest.approx(float(expected), rel=1e-5)
    assert float(expected) > 0
    found["distillation_loss"].backward()
    assert any(bool(p.grad.abs().sum() > 0) for p in student.parameters() if p.grad is not None)
    assert all(p.grad is None for p in teacher.parameters())
    assert "distillation_loss" not in student.eval()(*batch, mode="loss")
    hook.after_train(SimpleNamespace(network=student))
    assert "distillation_loss" not in student.train()(*batch, mode="loss")


def test_a_teacher_starts_from_rest_at_every_batch():
    stateful = {"neuron_options": {"stateful": True}}
    student, teacher = (Classifier(Encoder("T", 3, width=0.25, **stateful), 10) for _ in range(2))
    hook = Distillation(teacher)
    hook.before_train(SimpleNamespace(network=student))
    for seed in range(2):
        points = np.random.default_rng(seed).uniform(0, 1, (300, 3))
        batch = collate([voxelize(points, VoxelGrid(0.1))])._replace(labels=torch.zeros(1, dtype=torch.int64))
        reset_states(student)
        # Membranes kept from the batch before would belong to other sites, which is an error.
        assert student.train()(*batch, mode="loss")["distillation_loss"].isfinite()


def test_a_training_with_a_teacher_comes_closer_to_it_and_resumes_bit_for_bit(teacher, tmp_path):
    left_alone, stopped = tmp_path / "a", tmp_path / "b"
    ends = {}
    for weight, folder in ((1e-6, tmp_path / "unheard"), (20.0, left_alone)):
        options = {"distillation": {"weights": str(teacher), "weight": weight}}
        build_runner(tiny(**options), folder).train()
        losses = [line["distillation_loss"] / weight for line in log_of(folder) if "distillation_loss" in line]
        assert len(losses) == 20
        ends[weight] = sum(losses[-5:])
    assert ends[20.0] < 0.7 * ends[1e-6]
    runner = build_runner(tiny(**options), stopped)
    runner.train_loop._max_epochs = 2
    runner.train()
    build_runner(tiny(**options), stopped, resume=True).train()
    (found, _), (expected, facts) = (read_weights(f / "weights.safetensors") for f in (stopped, left_alone))
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert facts["config"]["distillation"]["weights"] == str(teacher)


def test_what_cannot_teach_is_refused_before_the_training_begins(teacher, tmp_path):
    def build(*overrides, **options):
        return build_runner(tiny(*overrides, distillation={"weights": str(teacher), **options}), tmp_path)

    with pytest.raises(ConfigError, match="distillation needs a positive weight and temperature, got 0 and"):
        build(weight=0)
    with pytest.raises(ConfigError, match=r"positive weight and temperature, got 1\.0 and -1"):
        build(temperature=-1)
    with pytest.raises(CheckpointError, match="is not there"):
        build(weights=str(tmp_path / "none.safetensors"))
    with pytest.raises(CheckpointError, match="was made for another network or input"):
        build("model.encoder.width=0.5")
    with pytest.raises(ConfigError, match="distillation is for classifiers; Linear has no pooled logits"):
        Distillation(nn.Linear(1, 1)).before_train(SimpleNamespace(network=nn.Linear(1, 1)))
    with pytest.raises(ConfigError, match="distillation needs weights"):
        load_config(TINY, ["distillation={'weight': 1.0}"])
    with pytest.raises(ConfigError, match="distillation: unknown key 'teacher'"):
        load_config(TINY, ["distillation={'weights': 'a', 'teacher': 1.0}"])
