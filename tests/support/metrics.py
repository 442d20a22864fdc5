"""What a daemon's `/metrics` says, read as Prometheus reads it."""

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from support.stack import call


def samples(port: int) -> list[Sample]:
    text = call(port, "GET", "/metrics").body.decode()
    return [sample for family in text_string_to_metric_families(text) for sample in family.samples]


def queue_depth(port: int, queue: str) -> float:
    """How much waits in a queue; `requests` counts the one that asks."""
    [depth] = [
        sample.value
        for sample in samples(port)
        if sample.name == "lakehouse_queue_depth" and sample.labels["queue"] == queue
    ]
    return depth
