"""Without MinkowskiEngine the tests of its backend are skipped, each with that reason; all others must pass."""

import importlib.util

import pytest

PRESENT = importlib.util.find_spec("MinkowskiEngine") is not None
# Written against plain MinkowskiEngine from their first line on.
collect_ignore = [] if PRESENT else ["test_minkowski_networks.py"]


def pytest_collection_modifyitems(items):
    if PRESENT:
        return
    skip = pytest.mark.skip(reason="MinkowskiEngine is not installed")
    for item in items:
        call = getattr(item, "callspec", None)
        if (call and call.params.get("backend") == "minkowski") or item.get_closest_marker("minkowski"):
            item.add_marker(skip)
