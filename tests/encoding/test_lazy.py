import importlib
import pkgutil
import subprocess
import sys

import spikevox.encoding


def test_importing_the_package_does_not_import_torch():
    code = "import sys, spikevox.encoding; spikevox.encoding.SpikevoxError; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_no_public_name_is_hidden_by_a_module():
    modules = {module.name for module in pkgutil.iter_modules(spikevox.encoding.__path__)}
    assert not modules & set(spikevox.encoding.__all__)


def test_every_public_name_is_there():
    for name in spikevox.encoding.__all__:
        assert getattr(importlib.import_module("spikevox.encoding"), name).__name__ == name
