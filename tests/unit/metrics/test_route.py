"""The route of metrics, which loads Prometheus's library only when it is asked."""

import sys

import pytest

from lakehouse.core.errors import SetupError
from lakehouse.metrics.daemon import DaemonMetrics
from lakehouse.metrics.route import metrics_routes


def test_a_missing_library_is_told_at_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)  # as Python finds what is not there

    with pytest.raises(SetupError, match="Metrics need the package 'prometheus_client'"):
        metrics_routes(DaemonMetrics("up", depths=dict, traced=dict))
