"""Energy in the log of a training, after each validation."""

from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import Hook

from spikevox.layers.energy import energy_report
from spikevox.tasks.energy.samples import count_samples, spread
from spikevox.tasks.errors import ConfigError
from spikevox.tasks.hooks import LOGGER, TrainingLog


class EnergyLog(Hook):
    """Counts some validation samples after each validation and writes what spikes and a dense ReLU would take a sample.

    In an experiment: ``custom_hooks = [dict(type=EnergyLog, samples=4)]``. Tensorboard gets ``energy/spiking_uj``,
    ``energy/relu_dense_uj`` (layers with weights, 45 nm) and ``energy/rate``, spikes a product of the dense form.

    Args:
        samples: of the validation split, spread evenly.

    Raises:
        ConfigError: fewer than one sample.
    """

    priority = "LOW"

    def __init__(self, samples: int = 4) -> None:
        if samples < 1:
            raise ConfigError(f"EnergyLog needs samples of at least 1, got {samples}.")
        self.samples = samples

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        """Counts and writes."""
        if not is_main_process():
            return
        dataset = runner.val_dataloader.dataset
        report = energy_report(count_samples(runner.network, dataset, spread(len(dataset), self.samples)), resamples=1)
        energy = {name: report.forms[name]["synaptic"].mean * 1e-6 for name in ("spiking", "relu_dense")}
        scalars = {f"energy/{name}_uj": value for name, value in energy.items()} | {"energy/rate": report.rate.mean}
        for hook in runner.hooks:
            if isinstance(hook, TrainingLog):
                hook.add_scalars(scalars, runner.iter)
        LOGGER.info(
            "energy: %.3g uJ a sample with spikes, %.3g with ReLU, dense", energy["spiking"], energy["relu_dense"]
        )
