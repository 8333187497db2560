"""Without MinkowskiEngine, or without our compiled library, the tests of that backend are skipped, each with the reason."""

import importlib.util

import pytest

from spikevox.layers import native

PRESENT = importlib.util.find_spec("MinkowskiEngine") is not None
ABSENT = {
    name: reason
    for name, reason in {
        "minkowski": "" if PRESENT else "MinkowskiEngine is not installed",
        "compiled": "" if native.available() else f"the compiled library is not there: {native.reason_absent()}",
    }.items()
    if reason
}
# Written against plain MinkowskiEngine from their first line on.
collect_ignore = [] if PRESENT else ["test_minkowski_networks.py"]


def pytest_collection_modifyitems(items):
    for item in items:
        call = getattr(item, "callspec", None)
        backend = call.params.get("backend") if call else None
        for name, reason in ABSENT.items():
            if backend == name or item.get_closest_marker(name):
                item.add_marker(pytest.mark.skip(reason=reason))
