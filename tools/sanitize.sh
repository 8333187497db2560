#!/usr/bin/env bash
# Runs the tests of the compiled library under AddressSanitizer and UndefinedBehaviorSanitizer: tools/sanitize.sh [VENV]
set -euo pipefail
python="${1:-.venv}/bin/python"
sources=packages/layers/csrc
out=build/sanitize
mkdir -p "$out"
for source in "$sources"/*.cpp; do
  flags=()
  if [ "$(uname -m)" = x86_64 ]; then
    flags=(-DSPIKEVOX_X86)
    case "$source" in
      *_avx2.cpp) flags+=(-mavx2 -mfma) ;;
      *_avx512.cpp) flags+=(-mavx512f -mavx512vl -mavx512bw -mavx512dq -mfma) ;;
    esac
  fi
  c++ -std=c++17 -O1 -g -fPIC -fvisibility=hidden -fsanitize=address,undefined -fno-sanitize-recover=undefined \
    "${flags[@]}" -c "$source" -o "$out/$(basename "$source" .cpp).o"
done
c++ -shared -fsanitize=address,undefined -o "$out/_native.so" "$out"/*.o -pthread
# Python itself is not built with the sanitizers: they are loaded before it, and what it never frees is no concern here.
export ASAN_OPTIONS=detect_leaks=0
export LD_PRELOAD="$(c++ -print-file-name=libasan.so):$(c++ -print-file-name=libubsan.so)"
"$python" - "$PWD/$out/_native.so" <<'PYTHON'
import sys
from pathlib import Path

import pytest

from spikevox.layers import native

native._LIBRARY = Path(sys.argv[1])
# Left out: the two tests that put another library in its place, and that of memory, which a sanitizer keeps for itself.
chosen = "compiled or native and not without_the_library and not another_version"
names = ("native", "native_boxes", "native_sites", "native_training", "spiking_unit", "compiled_sites", "conv", "conv_oracle", "event")
tests = [f"tests/layers/test_{name}.py" for name in names]
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", "-m", "not slow", "-k", chosen, *tests]))
PYTHON
