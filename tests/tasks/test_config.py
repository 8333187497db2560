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
    ],
)
def test_overrides_of_unknown_keys_get_a_suggestion(config, override, message):
    with pytest.raises(ConfigError, match=message.replace("?", r"\?")):
        load_config(config(), [override])


@pytest.mark.parametrize(
    ("addition", "message"),
    [
        ("def f(): pass", r"exp.py, line 13: a config only imports and assigns; FunctionDef"),
        ("class A: pass", "ClassDef is not allowed"),
        ("for i in range(3): pass", "For is not allowed"),
        ("import os", "configs import from spikevox, torch, mmengine only, got 'os'"),
        ("from subprocess import run", "got 'subprocess'"),
        ("seed = open('x')", r"only literals, arithmetic and dict, list, tuple\(...\) are allowed"),
        ("layers = [i for i in (1, 2)]", "only literals"),
        ("randomnes = dict(seed=1)", r"line 13: unknown key 'randomnes'; did you mean 'randomness'\?"),
        ("x = 1 +", "line 13: invalid syntax"),
        ("x = missing", "line 13: NameError: name 'missing'"),
        ("from spikevox.layers import Encodr", "line 13: AttributeError|ImportError"),
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
