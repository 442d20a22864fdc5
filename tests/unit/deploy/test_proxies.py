"""The configurations of proxies leave every limit to the daemon, whose answers say more."""

import re
from pathlib import Path

import pytest

from lakehouse.config.settings import GatewaySettings
from lakehouse.core.limits import (
    BODY_BYTES_MAX,
    DEADLINE_MS_MAX,
    DRAIN_MS_DEFAULT,
    LOAD_BUDGET_MS_DEFAULT,
)

DEPLOY = Path(__file__).parents[3] / "deploy"
SESSION_S_MAX = (DEADLINE_MS_MAX + LOAD_BUDGET_MS_DEFAULT + DRAIN_MS_DEFAULT) // 1000
"""A session at its longest, which waited for a restart before."""


@pytest.mark.parametrize(
    ("file", "wait", "body"),
    [
        (
            "nginx/lakehouse.conf",
            r"proxy_read_timeout (\d+)s;",
            r"client_max_body_size (\d+)m;",
        ),
        ("caddy/Caddyfile", r"response_header_timeout (\d+)s\n", r"max_size (\d+)MB\n"),
    ],
)
def test_a_proxy_is_more_patient_than_the_daemon(file: str, wait: str, body: str) -> None:
    text = (DEPLOY / file).read_text("utf-8")
    waits, bodies = re.findall(wait, text), re.findall(body, text)
    assert [int(each) > SESSION_S_MAX for each in waits] == [True]
    assert [int(each) * 1_000_000 > BODY_BYTES_MAX for each in bodies] == [True]
    assert GatewaySettings().listen in text
