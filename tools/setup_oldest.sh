#!/usr/bin/env bash
# Makes a virtual environment with the oldest versions that the packages accept: tools/setup_oldest.sh [VENV]
set -euo pipefail
venv=${1:-.venv-oldest}
pip="$venv/bin/python -m pip"

"$venv/bin/python" -m pip --version >/dev/null 2>&1 || python3 -m venv --clear "$venv"
python3 tools/oldest_versions.py >"$venv/oldest.txt"
cat "$venv/oldest.txt"
$pip install -q -r "$venv/oldest.txt" setuptools wheel ninja hatchling editables
"$venv/bin/python" -c 'import torch, MinkowskiEngineBackend' 2>/dev/null ||
  bash tools/install_minkowski.sh "$venv/bin/python"
# The resolver chooses the OpenCV that this numpy can bear; the headless build is then put in its place.
$pip install -q --no-build-isolation -r "$venv/oldest.txt" -e packages/encoding -e packages/layers[nir] -e packages/tasks \
  opencv-python-headless pytest pytest-xdist hypothesis nbclient ipykernel
headless=$($pip freeze | grep -i '^opencv-python-headless==')
$pip uninstall -q -y opencv-python
$pip install -q --force-reinstall --no-deps "$headless"
