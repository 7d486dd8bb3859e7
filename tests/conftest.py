"""Settings of the whole suite."""

import sys

import pytest
from hypothesis import settings

# a busy machine is no defect: examples may take as long as they need
settings.register_profile("graphcl", deadline=None)
settings.load_profile("graphcl")


@pytest.fixture(autouse=True)
def nothing_probed(monkeypatch):
    """Each test begins without the scores that an earlier one has made."""
    # what has not been imported has made none
    if (run := sys.modules.get("graphcl.bench.run")) is not None:
        monkeypatch.setattr(run, "_PROBED", {})
