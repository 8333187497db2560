#!/usr/bin/env bash
# Makes a virtual environment with the tested versions of everything: tools/setup.sh [VENV]
set -euo pipefail
venv=${1:-.venv}
pip="$venv/bin/python -m pip"

# An environment that was interrupted while it was made has a python but no pip: it is made anew.
$pip --version >/dev/null 2>&1 || python3 -m venv --clear "$venv"
$pip install -q -c constraints.txt torch numpy setuptools wheel ninja hatchling editables
# Also false where it was built against another torch.
"$venv/bin/python" -c 'import torch, MinkowskiEngineBackend' 2>/dev/null ||
  bash tools/install_minkowski.sh "$venv/bin/python"
$pip install -q -c constraints.txt --no-build-isolation -e packages/encoding -e "packages/layers[nir]" -e packages/tasks \
  pytest pytest-xdist pytest-cov hypothesis ruff mypy import-linter nbclient ipykernel selenium
# mmengine asks for opencv-python, which needs libraries of a desktop; the headless build is the same without them.
$pip uninstall -q -y opencv-python
$pip install -q -c constraints.txt --force-reinstall --no-deps opencv-python-headless
"$venv/bin/spikevox" doctor
