"""`GET /metrics` of the real daemons, in one process and in three."""

import json
import threading
from collections.abc import Iterator

import pytest

from lakehouse.gateway.auth import new_key
from support.begun_stream import begun_stream
from support.endpoint import completion, endpoint, refusal
from support.metrics import samples
from support.stack import SCRIPTED, Process, call, running_stack
from support.waiting import wait_until


@pytest.fixture(scope="module", params=["in_process", "apart"])
def stack(request, tmp_path_factory) -> Iterator[dict[str, Process]]:
    directory = tmp_path_factory.mktemp(request.param)
    script = {"matches": {"right": ['{"n": 1}'], "late": ["prose", '{"n": 1}']}}
    (directory / "script.json").write_text(json.dumps(script))
    with running_stack(directory, SCRIPTED, apart=request.param == "apart") as processes:
        for prompt in ("right", "right", "late"):
            body = {"schema": {"type": "object"}, "prompt": prompt}
            assert call(processes["gateway"].port, "POST", "/v1/iterate", body).status == 200
        yield processes


def metrics(process: Process) -> dict[str, float]:
    """Sum every sample of a name."""
    answer = call(process.port, "GET", "/metrics")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert answer.headers["x-lakehouse-trace-id"]
    found: dict[str, float] = {}
    for sample in samples(process.port):
        found[sample.name] = found.get(sample.name, 0) + sample.value
    return found


def test_each_daemon_counts_what_is_its_own(stack):
    """Sessions where they run, model calls where the models are, requests everywhere."""
    # A request is counted once its answer has been sent, which its caller may have before that.
    wait_until(lambda: metrics(stack["gateway"])["lakehouse_requests_total"] >= 3, "3 requests")
    sessions = metrics(stack.get("validatord", stack["gateway"]))
    models = metrics(stack.get("chatd", stack["gateway"]))
    door = metrics(stack["gateway"])

    assert sessions["lakehouse_sessions_total"] == 3
    assert sessions["lakehouse_first_shot_sessions_total"] == 2
    assert round(sessions["lakehouse_first_shot_ratio"], 3) == 0.667
    assert sessions["lakehouse_attempts_total"] == 4
    assert sessions["lakehouse_log_commit_seconds_count"] == 3
    assert 0 < sessions["lakehouse_overhead_seconds_sum"] < 3
    assert models["lakehouse_model_call_seconds_count"] == 4
    assert door["lakehouse_requests_total"] >= 3
    if "chatd" in stack:
        assert door.get("lakehouse_sessions_total", 0) == 0
        assert models["lakehouse_requests_total"] >= 4


def test_every_queue_has_a_depth(stack):
    """All of them empty, with nothing to do but the request that asks."""

    def queues() -> dict[str, float]:
        return {
            sample.labels["queue"]: sample.value
            for process in stack.values()
            for sample in samples(process.port)
            if sample.name == "lakehouse_queue_depth"
        }

    wait_until(lambda: queues() == {"requests": 1, "log": 0, "model small": 0}, queues)


def test_metrics_need_the_key_where_there_are_keys(tmp_path):
    """They tell kinds and models; Prometheus can send a bearer token."""
    key = new_key("prometheus")
    (tmp_path / "script.json").write_text('["x"]')
    config = f'{SCRIPTED}[gateway]\napi_keys_env = "LAKEHOUSE_API_KEYS"\n'
    with running_stack(
        tmp_path, config, apart=False, environment={"LAKEHOUSE_API_KEYS": key.entry}
    ) as processes:
        port = processes["gateway"].port
        assert call(port, "GET", "/metrics").status == 401
        headers = {"authorization": f"Bearer {key.secret}"}
        assert call(port, "GET", "/metrics", headers=headers).status == 200


@pytest.mark.parametrize("apart", [False, True], ids=["in_process", "apart"])
def test_openai_routes_count_by_their_paths_and_true_statuses(tmp_path, apart):
    """A failure told inside a stream counts as what it would have been, although 200 was sent."""
    begun = threading.Event()
    texts = {"good": '{"n": 1}', "bad": "prose", "away": ""}

    def answer(body):
        text = body["messages"][-1]["content"]
        assert begun.wait(60)
        return refusal("No such model.", 404) if text == "away" else completion(texts[text])

    def body_of(path, text):
        schema = {"type": "json_schema", "name": "n", "schema": {"type": "object"}}
        asked = {"model": "m", "lakehouse": {"max_iterations": 1}}
        if path == "/v1/responses":
            return {**asked, "input": text, "text": {"format": schema}}
        wanted = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema["schema"]}}
        messages = [{"role": "user", "content": text}]
        return {**asked, "messages": messages, "response_format": wanted}

    with endpoint(answer) as server:
        config = (
            '[log]\npath = "log"\n[models.m]\nprovider = "openai"\nmodel = "m"\n'
            f'base_url = "{server.base_url}"\n[gateway.openai]\nstream_wait_ms = 1\n'
        )
        with running_stack(tmp_path, config, apart=apart) as processes:
            port = processes["gateway"].port
            expected = {}
            for path in ("/v1/chat/completions", "/v1/responses"):
                for text, status in (("good", 200), ("bad", 400), ("away", 502)):
                    begun.set()
                    whole = call(port, "POST", path, body_of(path, text))
                    streamed = begun_stream(port, path, body_of(path, text), begun)
                    assert (whole.status, streamed.whole) == (status, status == 200)
                    expected["POST", path, str(status)] = 2
                    if status == 200:
                        stored = f"{path}/{whole.json()['id']}"
                        assert call(port, "GET", stored).status == 200
                        assert call(port, "GET", f"{path}/none").status == 404
                        expected["GET", f"{path}/{{id}}", "200"] = 1
                        expected["GET", f"{path}/{{id}}", "404"] = 1

            def counted():
                return {
                    tuple(
                        sample.labels[name] for name in ("method", "route", "status")
                    ): sample.value
                    for sample in samples(port)
                    if sample.name == "lakehouse_requests_total"
                    and sample.labels["route"].startswith(("/v1/chat/", "/v1/responses"))
                }

            wait_until(lambda: counted() == expected, counted)
