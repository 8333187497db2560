#!/usr/bin/env bash
# Trains a spiking network on generated shapes, tests it, and sets a forest beside it: tools/demo.sh [VENV]
set -euo pipefail
spikevox="${1:-.venv}/bin/spikevox"
out=work_dirs/demo
config=apps/synthetic/classify.py

"$spikevox" train "$config" --work-dir "$out" --overwrite
"$spikevox" test "$config" "$out/weights.safetensors" --json "$out/metrics.json" --figures "$out"
"$spikevox" baseline "$config" --json "$out/forest.json"
"${1:-.venv}/bin/python" - "$out" <<'PYTHON'
import json
import sys
from pathlib import Path

folder = Path(sys.argv[1])
network = json.loads((folder / "metrics.json").read_text())
forest = json.loads((folder / "forest.json").read_text())
print(f"\nspiking network {network['accuracy']:.1%}, forest {forest['accuracy']:.1%}, on {network['count']} test shapes")
print(f"in {folder}: metrics.json, confusion.png, spikes.png, tensorboard/, weights.safetensors")
PYTHON
