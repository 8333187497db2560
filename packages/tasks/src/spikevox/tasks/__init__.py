"""Train, test and use spiking 3D recognition networks."""

from typing import TYPE_CHECKING

from spikevox.encoding.lazy import lazy_exports

if TYPE_CHECKING:
    from spikevox.tasks.config import load_config
    from spikevox.tasks.errors import CheckpointError, ConfigError, DataFileError
    from spikevox.tasks.predictor import Prediction, Predictor, load_detector, load_predictor, load_segmenter
    from spikevox.tasks.runner import build_runner
    from spikevox.tasks.training import Runner

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "config": ("load_config",),
        "errors": ("CheckpointError", "ConfigError", "DataFileError"),
        "predictor": ("Prediction", "Predictor", "load_detector", "load_predictor", "load_segmenter"),
        "runner": ("build_runner",),
        "training": ("Runner",),
    },
    distribution="spikevox-tasks",
)
