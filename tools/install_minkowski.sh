#!/usr/bin/env bash
# Installs MinkowskiEngine 0.5.4 (CPU) beside the torch of a Python environment.
#   tools/install_minkowski.sh [PYTHON]          install into PYTHON's environment (default: python3)
#   tools/install_minkowski.sh PYTHON wheel DIR  build a wheel into DIR instead
# Needs a C++ compiler and the Python headers; no BLAS, no CUDA. PyPI has its sources only, and they do not build as
# they are: see tools/minkowski/cxx for what is done about it.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
python=${1:-python3}
action=(install --force-reinstall)
if [ "${2:-}" = wheel ]; then action=(wheel --wheel-dir "${3:?the folder for the wheel is missing}"); fi

command -v c++ >/dev/null || { echo "install_minkowski: no C++ compiler; on Debian: apt-get install g++ python3-dev" >&2; exit 1; }
"$python" -c 'import torch, numpy' || { echo "install_minkowski: install torch and numpy into this environment first" >&2; exit 1; }
"$python" -m pip install -q -c "$here/../constraints.txt" setuptools wheel ninja

# What is built fits this torch only, which neither pip's cache nor its "already satisfied" knows: both are kept out.
# The environment's ninja must be found by the build; the build must see torch, hence no isolation.
# tools/minkowski/bin comes first, see the pip in it.
PATH="$here/minkowski/bin:$(dirname "$("$python" -c 'import sys; print(sys.executable)')"):$PATH" CXX="$here/minkowski/cxx" \
  "$python" -m pip "${action[@]}" -q --no-cache-dir --use-pep517 --no-build-isolation --no-deps \
  --config-settings="--global-option=--cpu_only --blas=atlas" MinkowskiEngine==0.5.4
