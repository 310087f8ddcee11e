"""Short chains of kernels, for tests of what is made of a fit and not of how good it is."""

import pytest

from analysis.importance import surrogate


@pytest.fixture(autouse=True)
def short_chains(request, monkeypatch):
    """A fifth of the time; `whole_chains` marks what checks shares, intervals or verdicts."""
    if request.node.get_closest_marker("whole_chains") is None:
        monkeypatch.setattr(surrogate, "SMALL", 0)
        monkeypatch.setattr(surrogate, "CHAIN", (6, 6))
        monkeypatch.setattr(surrogate, "CV_CHAIN", (4, 4))
