"""The weights that tests marked `model` need; `make test` pulls them before it runs."""

from pathlib import Path

import pytest

from lakehouse.providers.weights import SMOLLM2, model_path


def pulled_weights() -> Path:
    """Find the weights, or fail the test with what to do. A skip would hide a broken set-up."""
    path = model_path(SMOLLM2)
    if path is None:
        pytest.fail("The weights are missing: run `lakehouse models pull smollm2`.", pytrace=False)
    return path
