"""Training a network to answer as another one does: one setting of the runner."""

from typing import Any

import torch
from mmengine.hooks import Hook
from torch import Tensor, nn
from torch.nn import functional

from spikevox.layers import reset_states
from spikevox.layers.all_reduce import all_reduce_sum
from spikevox.tasks.errors import ConfigError

LOSS = "distillation_loss"


class Distillation(Hook):
    """Adds the distance of a network's class probabilities from a teacher's to its losses, as ``distillation_loss``.

    It is ``t^2 KL(teacher || network)``, the mean over samples, of probabilities from logits divided by a temperature t
    (Hinton et al., "Distilling the knowledge in a neural network", 2015). The teacher sees the same voxels as the network,
    augmentation included, and answers as in a test.

    Args:
        teacher: a model of the same classes; ``teacher(..., mode="tensor")`` gives logits (B, classes).
        weight: of the loss.
        temperature: t; high values compare the small probabilities too.

    Raises:
        ConfigError: an option out of its range, or (when training begins) a model that pools no logits.
    """

    def __init__(self, teacher: nn.Module, weight: float = 1.0, temperature: float = 2.0) -> None:
        if not (weight > 0 and temperature > 0):
            raise ConfigError(f"distillation needs a positive weight and temperature, got {weight} and {temperature}.")
        self.teacher = teacher.eval().requires_grad_(False)
        self.weight, self.temperature = weight, temperature
        self._handles: list[Any] = []

    def before_train(self, runner: Any) -> None:
        """Watches the network's logits and losses."""
        network = runner.network
        if not isinstance(getattr(network, "pool", None), nn.Module):
            raise ConfigError(f"distillation is for classifiers; {type(network).__name__} has no pooled logits.")
        self.after_train(runner)
        logits: list[Tensor] = []

        def keep(_module: nn.Module, _arguments: Any, output: Tensor) -> None:
            logits[:] = [output]

        def add(network: nn.Module, arguments: Any, options: dict[str, Any], output: Any) -> dict[str, Tensor] | None:
            if not (isinstance(output, dict) and network.training):
                return None
            reset_states(self.teacher)
            with torch.no_grad():
                target = self.teacher(*arguments, **{**options, "mode": "tensor"})
            own = logits.pop()
            return {
                **output,
                LOSS: self.weight * divergence(own.mean(0) if own.ndim == 3 else own, target, self.temperature),
            }

        self._handles = [
            network.pool.register_forward_hook(keep),
            network.register_forward_hook(add, with_kwargs=True),
        ]

    def after_train(self, runner: Any) -> None:
        """Ends the watch."""
        for handle in self._handles:
            handle.remove()
        self._handles = []


def divergence(logits: Tensor, target: Tensor, temperature: float) -> Tensor:
    """t^2 KL(softmax(target / t) || softmax(logits / t)), the mean over the samples of all processes.

    As gradients are averaged over processes, this process's share of the sum is multiplied by their number.

    Args:
        logits: (B, classes).
        target: (B, classes), the teacher's logits.
        temperature: t.
    """
    own, wanted = ((values / temperature).log_softmax(1) for values in (logits, target))
    total = functional.kl_div(own, wanted, reduction="sum", log_target=True)
    world = torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1
    return temperature**2 * total * world / all_reduce_sum(total.new_tensor(len(logits)))
