import re
from pathlib import Path

import pytest

from spikevox.tasks.config import load_config, to_plain
from spikevox.tasks.errors import ConfigError

GOOD = """
from torch.optim import AdamW
from mmengine.optim import OptimWrapper
from spikevox.layers.backbones import Encoder
from spikevox.tasks.classification import Classifier
from spikevox.tasks.datasets import GeneratedShapes

epochs = 2 + 1
warm_up = 0.5
model = dict(type=Classifier, encoder=dict(type=Encoder, size="T", in_channels=3), num_classes=10)
train_dataloader = dict(batch_size=4, dataset=dict(type=GeneratedShapes, grid=dict(voxel_size=0.1)))
train_cfg = dict(max_epochs=epochs)
optim_wrapper = dict(type=OptimWrapper, optimizer=dict(type=AdamW, lr=1e-3))
"""


@pytest.fixture
def config(tmp_path):
    def write(text=GOOD, name="exp.py"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def test_a_config_holds_classes_and_plain_values(config):
    loaded = load_config(config())
    assert loaded["train_cfg"] == {"max_epochs": 3}
    assert loaded["randomness"] == {"seed": 0}
    plain = to_plain(loaded)
    assert plain["model"]["type"] == "spikevox.tasks.classification.model:Classifier"
    assert "epochs" not in loaded


def test_overrides_are_typed_and_reach_everywhere(config):
    overrides = ["train_cfg.max_epochs=7", "model.encoder.neuron=relu", "model.encoder.width=0.5"]
    loaded = load_config(config(), overrides)
    assert loaded["train_cfg"]["max_epochs"] == 7
    assert loaded["model"]["encoder"]["neuron"] == "relu"
    assert loaded["model"]["encoder"]["width"] == 0.5


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train_cfg", "--set takes key=value"),
        ("model.encoder.nueron=relu", "unknown key 'model.encoder.nueron'; did you mean 'neuron'?"),
        ("modle.encoder.width=1", "unknown key 'modle'; did you mean 'model'?"),
        ("model.encoder.size.letter=T", "has no part"),
        ("modell=1", "unknown key 'modell'; did you mean 'model'?"),
        ("AdamW=1", "unknown key 'AdamW'; "),
        ("train_cfg.max_epoch=1", "unknown key 'train_cfg.max_epoch'; did you mean 'max_epochs'?"),
        ("optim_wrapper.paramwise_cfg={'norm_decay': 0}", "unknown key 'norm_decay'; did you mean 'norm_decay_mult'?"),
        (
            "train_cfg.max_epochs=ten",
            "--set train_cfg.max_epochs: 3 cannot be replaced by 'ten'; values are Python literals",
        ),
        ("train_cfg.max_epochs=0.5", "train_cfg.max_epochs must be a whole number of at least 1, got 0.5"),
        ("train_dataloader.batch_size=0", "train_dataloader.batch_size must be a whole number of at least 1, got 0"),
        ("epochs=ten", "train_cfg.max_epochs must be a whole number of at least 1, got 'ten'"),
        ("warm_up=ten", "--set warm_up: 0.5 cannot be replaced by 'ten'"),
        ("randomness={'sed': 1}", "randomness: unknown key 'sed'; did you mean 'seed'?"),
        ("model.type=Classifier", "model.type must be an imported class, as in type=Classifier, got 'Classifier'"),
    ],
)
def test_overrides_of_unknown_keys_get_a_suggestion(config, override, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        load_config(config(), [override])


@pytest.mark.parametrize(
    ("addition", "message"),
    [
        ("def f(): pass", r"exp.py, line 14: a config only imports and assigns; FunctionDef"),
        ("class A: pass", "ClassDef is not allowed"),
        ("for i in range(3): pass", "For is not allowed"),
        ("import os", "configs import from spikevox, torch, mmengine only, got 'os'"),
        ("from subprocess import run", "got 'subprocess'"),
        ("seed = open('x')", r"only literals, arithmetic and dict, list, tuple\(...\) are allowed"),
        ("layers = [i for i in (1, 2)]", "only literals"),
        ("randomnes = dict(seed=1)", r"line 14: unknown key 'randomnes'; did you mean 'randomness'\?"),
        ("randomnes: dict = dict(seed=1)", r"line 14: unknown key 'randomnes'; did you mean 'randomness'\?"),
        ("visualizer = dict()", "line 14: 'visualizer' is set by spikevox's runner and would be ignored here"),
        (
            "train_cfg = dict(max_epochs=3, val_intervall=1)",
            "train_cfg: unknown key 'val_intervall'; did you mean 'val_interval'",
        ),
        ("train_cfg = dict(val_interval=1)", "train_cfg needs max_epochs"),
        ("train_cfg = 3", "train_cfg must be a dict, got 3"),
        ("train_dataloader = dict(batch_size=4)", "train_dataloader needs dataset"),
        ("optim_wrapper = dict(type=OptimWrapper)", "optim_wrapper needs optimizer"),
        ("spike_rate = dict(weight=0.5)", "spike_rate needs target"),
        ("spike_rate = dict(target=0.1, wait=0.5)", "spike_rate: unknown key 'wait'"),
        ("param_scheduler = dict(type=AdamW)", "param_scheduler must be a list"),
        ("custom_hooks = [AdamW]", r"custom_hooks.0 must be dict\(type=Class, ...\)"),
        ("from .other import *", "line 14: .*other.py is not there"),
        ("from .exp import model", r"line 14: a variant takes over everything: write `from .name import \*`"),
        ("import torch\nmodel = dict(type=torch.Tensor)", "model.type is torch.Tensor; classes of spikevox, torch.nn"),
        ("x = 1 +", "line 14: invalid syntax"),
        ("x = missing", "line 14: NameError: name 'missing'"),
        ("from spikevox.layers import Encodr", "line 14: AttributeError|ImportError"),
    ],
)
def test_what_a_config_must_not_hold_is_named_with_its_line(config, addition, message):
    with pytest.raises(ConfigError, match=message):
        load_config(config(GOOD + addition + "\n"))


def test_a_misspelt_keyword_of_a_class_gets_a_suggestion(config):
    text = GOOD.replace("num_classes=10", "num_clases=10")
    with pytest.raises(ConfigError, match=r"exp.py: model: Classifier has unknown key 'num_clases'; did you mean"):
        load_config(config(text))


def test_missing_parts_and_files_are_named(config, tmp_path):
    with pytest.raises(ConfigError, match="train_cfg missing; an experiment needs model"):
        load_config(config(GOOD.replace("train_cfg", "other")))
    with pytest.raises(ConfigError, match=r"none.py is not there. `spikevox apps` lists"):
        load_config(tmp_path / "none.py")


def test_a_variant_inherits_from_the_file_beside_it(config):
    config()
    variant = config("from .exp import *\ntrain_cfg = dict(train_cfg, max_epochs=9)\n", "variant.py")
    loaded = load_config(variant)
    assert loaded["train_cfg"]["max_epochs"] == 9
    assert loaded["model"]["num_classes"] == 10


def test_a_name_that_the_file_computes_with_is_overridden_before_it_computes(config):
    cosine = "param_scheduler = [dict(type=CosineAnnealingLR, T_max=epochs * 2)]\n"
    config(GOOD + "from mmengine.optim import CosineAnnealingLR\n" + cosine)
    variant = config("from .exp import *\n", "variant.py")
    loaded = load_config(variant, ["epochs=5"])
    assert loaded["train_cfg"]["max_epochs"] == 5
    assert loaded["param_scheduler"][0]["T_max"] == 10


def test_keys_that_a_class_or_section_has_can_be_set_where_the_file_leaves_them_out(config):
    overrides = ["train_cfg.val_interval=2", "train_dataloader.num_workers=1", "train_dataloader.dataset.reduce=mean"]
    loaded = load_config(config(), overrides)
    assert loaded["train_cfg"] == {"max_epochs": 3, "val_interval": 2}
    assert loaded["train_dataloader"]["num_workers"] == 1
    assert loaded["train_dataloader"]["dataset"]["reduce"] == "mean"


def test_more_than_one_level_of_inheritance_is_refused(config):
    config()
    config("from .exp import *\n", "middle.py")
    with pytest.raises(ConfigError, match=r"middle.py is itself inherited from; one level of inheritance is the most"):
        load_config(config("from .middle import *\n", "last.py"))


def test_sections_without_a_class_are_checked_in_every_shipped_experiment():
    for path in (Path(__file__).resolve().parents[2] / "apps").glob("*/*.py"):
        assert load_config(path)["model"]
