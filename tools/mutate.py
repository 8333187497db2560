"""Breaks the code in many small ways and counts how many of them the tests notice.

    python tools/mutate.py [--count 100] [--seed 0] [--jobs 2] [--at-least 0.9]

Mutants come from cosmic-ray's operators: sites are drawn by seed, then one mutant at each. Only the mirrored tests of a
module run, in a copy of the tree, with a time limit. ``tools/mutants.md`` says why those that survive may do so.
"""

import argparse
import ast
import difflib
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue
from typing import NamedTuple

import cosmic_ray.plugins
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code

ROOT = Path(__file__).resolve().parent.parent
ENCODING = "packages/encoding/src/spikevox/encoding"
LAYERS = "packages/layers/src/spikevox/layers"


def layer_tests(*names: str) -> list[str]:
    """Test files of layers, and those that every layer has to pass."""
    return [f"tests/layers/test_{name}.py" for name in (*names, "layer_defaults", "contract")]


MIRRORED = {  # code -> the tests that watch over it
    f"{ENCODING}/*.py": ["tests/encoding"],
    f"{LAYERS}/conv.py": layer_tests("conv", "conv_oracle"),
    f"{LAYERS}/pool.py": layer_tests("pool"),
    f"{LAYERS}/neurons/*.py": layer_tests("neurons", "neuron_state"),
}


class Mutant(NamedTuple):
    """One broken version of one file."""

    module: str
    tests: list[str]
    operator: str
    line: int
    code: str
    change: str


def executed(code: str) -> str:
    """The syntax tree without annotations, which Python never runs: equal for code that does the same."""
    tree = ast.parse(code)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            node.returns = None
        elif isinstance(node, ast.arg):
            node.annotation = None
        elif isinstance(node, ast.AnnAssign):
            node.annotation = ast.Constant(0)
    return ast.dump(tree)


def modules() -> Iterator[tuple[str, list[str]]]:
    """Every file that is mutated, with its tests; lists of public names hold no logic and stay out."""
    for pattern, tests in MIRRORED.items():
        for path in sorted(ROOT.glob(pattern)):
            if path.name != "__init__.py":
                yield str(path.relative_to(ROOT)), tests


def candidates(module: str) -> dict[tuple[tuple[int, int], tuple[int, int]], list[tuple[str, int]]]:
    """Sites of a file: position -> the (operator, occurrence) pairs that change it."""
    nodes = list(ast_nodes(get_ast((ROOT / module).read_text(encoding="utf-8"))))
    sites: dict[tuple[tuple[int, int], tuple[int, int]], list[tuple[str, int]]] = {}
    for name in sorted(cosmic_ray.plugins.operator_names()):
        kind = cosmic_ray.plugins.get_operator(name)
        if kind.arguments() or name == "core/NoOp":
            continue
        positions = (position for node in nodes for position in kind().mutation_positions(node))
        for occurrence, position in enumerate(positions):
            sites.setdefault(position, []).append((name, occurrence))
    return sites


def make(module: str, tests: list[str], operator: str, occurrence: int, line: int) -> Mutant | None:
    """The mutant, or None where it is no Python or runs as the original does."""
    original = (ROOT / module).read_text(encoding="utf-8")
    code = mutate_code(original, cosmic_ray.plugins.get_operator(operator)(), occurrence)
    try:
        if code is None or executed(code) == executed(original):
            return None
    except SyntaxError:
        return None
    lines = difflib.unified_diff(original.splitlines(), code.splitlines(), n=0, lineterm="")
    change = "\n".join(f"      {text}" for text in lines if text[:3] not in ("---", "+++") and text[:2] != "@@")
    return Mutant(module, tests, operator.removeprefix("core/"), line, code, change)


def draw(count: int, seed: int) -> list[Mutant]:
    """``count`` mutants, no two at one site, in the order of the files."""
    generator = random.Random(seed)
    sites = [
        (module, tests, position, choices)
        for module, tests in modules()
        for position, choices in sorted(candidates(module).items())
    ]
    generator.shuffle(sites)
    mutants: list[Mutant] = []
    for module, tests, position, choices in sites:
        if len(mutants) == count:
            break
        mutant = make(module, tests, *generator.choice(choices), position[0][0])
        if mutant:
            mutants.append(mutant)
    return sorted(mutants, key=lambda mutant: (mutant.module, mutant.line))


def copy_tree(folder: Path) -> Path:
    """What the tests need, where it may be broken."""
    ignored = shutil.ignore_patterns("__pycache__", "build", "*.egg-info")
    for name in ("packages", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def run_tests(folder: Path, tests: list[str], limit: float | None) -> str:
    """'passed', 'failed' or 'timeout' of tests run against the packages of ``folder``."""
    sources = [str(folder / "packages" / name / "src") for name in ("encoding", "layers", "tasks")]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(sources),
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": "1",
    }
    options = ["-q", "-x", "-m", "not slow", "-p", "no:cacheprovider", "--hypothesis-seed=0"]
    try:
        result = subprocess.run(
            [sys.executable, "-m", "pytest", *options, *tests],
            cwd=folder,
            env=environment,
            capture_output=True,
            timeout=limit,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "timeout"
    return "failed" if result.returncode else "passed"


def time_limits(folder: Path) -> dict[tuple[str, ...], float]:
    """Seconds allowed for each set of tests: five times what it takes on sound code, which must pass."""
    limits = {}
    for tests in MIRRORED.values():
        start = time.monotonic()
        if run_tests(folder, tests, None) != "passed":
            sys.exit(f"mutate: {' '.join(tests)} fails on code that nobody broke")
        limits[tuple(tests)] = 20 + 5 * (time.monotonic() - start)
    return limits


def judge(mutant: Mutant, folders: "Queue[Path]", limits: dict[tuple[str, ...], float]) -> str:
    """Writes the mutant into a free copy, runs its tests, puts the file back."""
    folder = folders.get()
    path = folder / mutant.module
    sound = path.read_text(encoding="utf-8")
    try:
        path.write_text(mutant.code, encoding="utf-8")
        return run_tests(folder, mutant.tests, limits[tuple(mutant.tests)])
    finally:
        path.write_text(sound, encoding="utf-8")
        folders.put(folder)


def main() -> int:
    """Prints a line a mutant, the change of those that survive, and the sum."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--at-least", type=float, default=0.9, help="share that must be caught, else exit 1")
    options = parser.parse_args()
    mutants = draw(options.count, options.seed)
    with tempfile.TemporaryDirectory() as scratch:
        folders: Queue[Path] = Queue()
        for job in range(options.jobs):
            folders.put(copy_tree(Path(scratch) / str(job)))
        limits = time_limits(Path(scratch) / "0")
        caught = 0
        with ThreadPoolExecutor(options.jobs) as pool:
            for mutant, outcome in zip(
                mutants, pool.map(lambda mutant: judge(mutant, folders, limits), mutants), strict=True
            ):
                caught += outcome != "passed"
                verdict = "SURVIVED" if outcome == "passed" else "caught" if outcome == "failed" else "timeout"
                print(f"{verdict:9}{mutant.module}:{mutant.line} {mutant.operator}", flush=True)
                if outcome == "passed":
                    print(mutant.change)
    print(f"{caught} of {len(mutants)} mutants caught (seed {options.seed})")
    return int(caught < options.at_least * len(mutants))


if __name__ == "__main__":
    sys.exit(main())
