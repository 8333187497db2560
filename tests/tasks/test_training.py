"""The runner: what it watches, what it writes, what it resumes."""

import hashlib
import io
import json
import logging
from pathlib import Path

import pytest
import torch
from mmengine.hooks import EMAHook, Hook
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from spikevox.layers.monitor import FiringMonitor
from spikevox.tasks import build_runner, load_config, load_predictor
from spikevox.tasks.checkpoint import load_checkpoint, read_weights
from spikevox.tasks.classification.scoring import evaluate
from spikevox.tasks.errors import CheckpointError, ConfigError
from spikevox.tasks.health import TrainingError

TINY = Path(__file__).resolve().parent.parent / "robustness" / "tiny.py"
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::ResourceWarning", "ignore::DeprecationWarning")
ONE_EPOCH = ("train_cfg.max_epochs=1", "param_scheduler=[]")


def runner_of(folder, *overrides, resume=False, overwrite=False, **sections):
    return build_runner({**load_config(TINY, overrides), **sections}, folder, resume=resume, overwrite=overwrite)


def scalars(folder):
    found = EventAccumulator(str(folder / "tensorboard")).Reload()
    return {tag: [event.step for event in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    torch.set_num_threads(1)
    runner_of(folder, *ONE_EPOCH).train()
    return folder


def test_a_training_tells_its_figures(trained):
    figures = json.loads((trained / "training.json").read_text())
    assert set(figures["validation"]) == {"accuracy", "mean_class_accuracy", "count", "empty"}
    assert figures["best"] == {"accuracy": figures["validation"]["accuracy"], "epoch": 1}
    assert (figures["epochs"], figures["steps"], figures["seed"]) == (1, 5, 3)
    assert figures["seconds"] > 0
    assert figures["versions"]["torch"] == torch.__version__


def test_the_log_accounts_for_every_point(trained):
    lines = [json.loads(line) for line in (trained / "log.jsonl").read_text().splitlines()]
    (report,) = [line["voxels"] for line in lines if "voxels" in line]
    parts = ("kept", "merged", "out_of_range", "over_cap", "invalid")
    assert report["points"] == sum(report[part] for part in parts)
    assert report["clouds"] == 37


def test_tensorboard_has_every_neuron_layer_in_training_and_validation(trained):
    tags = scalars(trained)
    neurons = [
        n for n, m in runner_of(trained, *ONE_EPOCH, resume=True).network.named_modules() if hasattr(m, "levels")
    ]
    assert len(neurons) > 10
    for name in neurons:
        for key in ("firing_rate", "dead", "saturated"):
            assert tags[f"train_{key}/{name}"] == [1]
            assert tags[f"{key}/{name}"] == [5]


def test_neurons_are_watched_without_a_validation_split(tmp_path):
    config = load_config(TINY, ONE_EPOCH)
    del config["val_dataloader"]
    build_runner(config, tmp_path).train()
    assert "train_firing_rate" in scalars(tmp_path)
    assert (tmp_path / "weights.safetensors").is_file()
    assert json.loads((tmp_path / "training.json").read_text())["validation"] is None


def test_a_loss_that_is_not_finite_names_the_layer_where_it_begins(tmp_path):
    runner = runner_of(tmp_path, *ONE_EPOCH)
    name, weight = [(n, p) for n, p in runner.network.named_parameters() if p.ndim == 3][5]
    torch.nn.init.constant_(weight, float("inf"))
    with pytest.raises(TrainingError) as error:
        runner.train()
    text = str(error.value)
    assert f"the loss of step 1 is nan: layer {name.removesuffix('.weight')} (" in text
    assert "as its weights are not finite" in text
    assert "optim_wrapper.clip_grad" in text


def test_a_gradient_that_is_not_finite_names_the_parameter(tmp_path):
    runner = runner_of(tmp_path, *ONE_EPOCH)
    runner.network.head.weight.register_hook(lambda gradient: gradient * float("nan"))
    with pytest.raises(TrainingError, match=r"step 1 left 1 of \d+ parameters NaN or infinite, first head.weight"):
        runner.train()


def test_stateful_neurons_start_each_batch_at_rest(tmp_path):
    neuron = ("model.encoder.neuron=lif", "model.encoder.neuron_options={'stateful': True}")
    runner_of(tmp_path, *ONE_EPOCH, *neuron).train()
    predictor = load_predictor(tmp_path / "weights.safetensors")
    cloud = torch.rand(50, 3, generator=torch.Generator().manual_seed(0)).numpy()
    first = predictor(cloud)
    predictor(cloud[:20])
    assert (predictor(cloud).scores == first.scores).all()


def test_a_folder_with_a_training_is_not_overwritten_unless_asked(trained, tmp_path):
    with pytest.raises(ConfigError, match="holds a training already: go on with `spikevox resume`"):
        runner_of(trained, *ONE_EPOCH)
    runner_of(tmp_path, *ONE_EPOCH).train()
    (tmp_path / ".last.pth.abc.partial").write_bytes(b"half")
    seen = []
    runner = runner_of(tmp_path, *ONE_EPOCH, overwrite=True)
    runner.register_hook(Spy(lambda _: seen.append({path.name for path in tmp_path.iterdir()})))
    runner.train()
    assert not {"last.pth", "weights.safetensors", "training.json", ".last.pth.abc.partial"} & seen[0]
    records = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [sum(kind in record for record in records) for kind in ("loss", "voxels", "validation")] == [5, 1, 1]


class Spy(Hook):
    """Calls something at the first step, or at a chosen one."""

    def __init__(self, call, step=0):
        self.call = call
        self.step = step

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == self.step:
            self.call(runner)


class Stopped(Exception):
    pass


def stop(runner):
    raise Stopped


def test_averaged_weights_resume_bit_for_bit_and_are_what_is_validated_and_kept(tmp_path):
    average = [{"type": EMAHook, "momentum": 0.1}]
    left_alone, stopped = tmp_path / "a", tmp_path / "b"
    reference = runner_of(left_alone, custom_hooks=average)
    reference.train()
    runner = runner_of(stopped, custom_hooks=average)
    runner.register_hook(Spy(stop, step=12))
    with pytest.raises(Stopped):
        runner.train()
    runner_of(stopped, custom_hooks=average, resume=True).train()
    for name in ("weights.safetensors", "best.safetensors"):
        (found, _), (expected, _) = (read_weights(folder / name) for folder in (stopped, left_alone))
        assert all(torch.equal(found[key], expected[key]) for key in expected)
    kept, _ = read_weights(left_alone / "weights.safetensors")
    ema = next(hook for hook in reference.hooks if isinstance(hook, EMAHook)).ema_model.module.state_dict()
    assert all(torch.equal(kept[key], ema[key]) for key in kept)
    assert not torch.equal(kept["head.weight"], reference.network.state_dict()["head.weight"])
    logs = [[json.loads(line) for line in (f / "log.jsonl").read_text().splitlines()] for f in (stopped, left_alone)]
    assert logs[0] == logs[1]
    # The best validation is that of the weights that were stored for it.
    best = load_predictor(left_alone / "best.safetensors").network
    accuracy = evaluate(best, reference.val_dataloader.dataset, batch_size=8).result.accuracy
    assert accuracy == json.loads((left_alone / "training.json").read_text())["best"]["accuracy"]


def test_norms_and_biases_have_no_weight_decay_where_the_config_says_so(tmp_path):
    rule = "optim_wrapper.paramwise_cfg={'norm_decay_mult': 0.0, 'bias_decay_mult': 0.0}"
    runner = runner_of(tmp_path, *ONE_EPOCH, rule)
    optimiser = runner.build_optim_wrapper(runner.optim_wrapper)
    decay = {id(p): group["weight_decay"] for group in optimiser.param_groups for p in group["params"]}
    for name, parameter in runner.network.named_parameters():
        assert decay[id(parameter)] == (0.0 if parameter.ndim == 1 else 0.05), name


def test_versions_that_changed_since_the_checkpoint_are_told(trained, tmp_path, caplog):
    runner_of(tmp_path, *ONE_EPOCH).train()
    content = load_checkpoint(tmp_path / "last.pth")
    content["versions"]["torch"] = "1.0"
    torch.save(content, tmp_path / "last.pth")
    with caplog.at_level(logging.WARNING):
        runner_of(tmp_path, *ONE_EPOCH, resume=True).train()
    assert f"results may differ: torch 1.0 -> {torch.__version__}" in caplog.text


def test_a_schedule_that_does_not_end_with_the_training_is_told(tmp_path, caplog):
    runner_of(tmp_path, "train_cfg.max_epochs=2")
    assert "param_scheduler ends at epoch 4, the training at epoch 2" in caplog.text


def test_a_terminal_gets_a_bar_with_the_time_left(tmp_path):
    runner = runner_of(tmp_path, *ONE_EPOCH)
    screen = io.StringIO()
    runner.progress._console = Console(file=screen, force_terminal=True, width=120)
    runner.train()
    text = screen.getvalue()
    assert "epoch 1/1 loss" in text
    assert "5/5" in text
    assert "left" in text
    assert "firing" in text


def test_workers_change_nothing(trained, tmp_path):
    runner_of(tmp_path, *ONE_EPOCH, "train_dataloader.num_workers=1").train()
    (found, _), (expected, _) = (read_weights(folder / "weights.safetensors") for folder in (tmp_path, trained))
    assert all(torch.equal(found[name], expected[name]) for name in expected)


SPIKE_RATE = {"target": 0.05, "weight": 0.5}


def test_spike_rate_adds_its_loss_and_lowers_the_rates(trained, tmp_path):
    plain, sparse = tmp_path / "plain", tmp_path / "sparse"
    fast = "optim_wrapper.optimizer.lr=2e-2"
    runner_of(plain, fast).train()
    runner = runner_of(sparse, fast, spike_rate=SPIKE_RATE)
    runner.train()
    steps = [json.loads(line) for line in (sparse / "log.jsonl").read_text().splitlines()]
    losses = [line["spike_rate_loss"] for line in steps if "spike_rate_loss" in line]
    assert len(losses) == 20
    assert losses[-1] < 0.8 * losses[0]
    rates = []
    for folder in (plain, sparse):
        predictor = load_predictor(folder / "weights.safetensors")
        rates.append(evaluate(predictor.network, runner.val_dataloader.dataset, batch_size=8).firing_rate)
    assert rates[1] < 0.8 * rates[0]
    # The watch ends with the training.
    assert not any(module._forward_hooks for module in runner.network.modules())


def test_the_spike_rate_loss_is_the_one_of_the_rates_seen_in_the_step(tmp_path):
    runner = runner_of(tmp_path, *ONE_EPOCH, spike_rate={**SPIKE_RATE, "over": "network"})
    monitors = []
    runner.register_hook(Spy(lambda r: monitors.append(FiringMonitor(r.network).__enter__())))
    runner.register_hook(Spy(lambda r: monitors[0].__exit__(None, None, None), step=1))
    runner.train()
    first = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[0])
    layers = len(monitors[0].summary())
    assert first["spike_rate_loss"] == pytest.approx(0.5 * layers * (monitors[0].firing_rate - 0.05), rel=1e-5)


def test_a_ramp_starts_without_the_loss_and_goes_on_after_a_resume(tmp_path):
    ramp = {**SPIKE_RATE, "ramp": 1.0}
    left_alone, stopped = tmp_path / "a", tmp_path / "b"
    runner_of(left_alone, spike_rate=ramp).train()
    runner = runner_of(stopped, spike_rate=ramp)
    runner.register_hook(Spy(stop, step=12))
    with pytest.raises(Stopped):
        runner.train()
    runner_of(stopped, spike_rate=ramp, resume=True).train()
    logs = [(folder / "log.jsonl").read_text() for folder in (left_alone, stopped)]
    assert logs[0] == logs[1]
    assert json.loads(logs[0].splitlines()[0])["spike_rate_loss"] == 0.0
    (found, _), (expected, _) = (read_weights(f / "weights.safetensors") for f in (stopped, left_alone))
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_training_starts_from_given_weights_and_its_own_name_them(trained, tmp_path):
    start = trained / "weights.safetensors"
    seen = []
    runner = build_runner(load_config(TINY), tmp_path, weights=start)
    runner.register_hook(Spy(lambda r: seen.append({n: t.clone() for n, t in r.network.state_dict().items()})))
    runner.register_hook(Spy(stop, step=12))
    with pytest.raises(Stopped):
        runner.train()
    tensors, _ = read_weights(start)
    assert all(torch.equal(seen[0][name], tensors[name]) for name in tensors)
    resumed = runner_of(tmp_path, resume=True)
    resumed.train()
    digest = hashlib.sha256(start.read_bytes()).hexdigest()
    assert read_weights(tmp_path / "weights.safetensors")[1]["initial_weights_sha256"] == digest


def test_weights_of_another_network_or_input_are_refused_before_a_training_is_lost(trained, tmp_path):
    runner_of(tmp_path, *ONE_EPOCH).train()
    start = trained / "weights.safetensors"
    for override, part in (
        ("model.encoder.width=0.5", "model.encoder.width"),
        ("train_dataloader.dataset.grid.voxel_size=0.2", "voxels.grid.voxel_size"),
    ):
        with pytest.raises(CheckpointError, match=f"was made for another network or input: .*{part}"):
            build_runner(load_config(TINY, [*ONE_EPOCH, override]), tmp_path, overwrite=True, weights=start)
    with pytest.raises(CheckpointError, match="is not there"):
        build_runner(load_config(TINY, ONE_EPOCH), tmp_path, overwrite=True, weights=tmp_path / "none.safetensors")
    assert (tmp_path / "last.pth").is_file()
