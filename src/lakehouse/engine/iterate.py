"""The loop: read this file first. All branching of a session is here.

    generate ─▶ extract ─▶ schema ─▶ grounding and rules ─▶ accepted
        ▲                                   │ findings
        └───────── told what was wrong ◀────┘

Pure: its only inputs and outputs are `ChatModel` and a table snapshot. A failure outside of the
loop is an `InfraError`, which ends it and spends no iteration; a bad answer is never an error.
"""

from functools import partial

import msgspec

from lakehouse.core.chat import ChatReply, ChatRequest, Message, Sampling
from lakehouse.core.conversation import later_turns
from lakehouse.core.errors import InfraError
from lakehouse.core.ids import new_span_id
from lakehouse.core.json_text import NULL
from lakehouse.core.limits import CHECK_GRACE_MS
from lakehouse.core.observation import AttemptTimes
from lakehouse.core.ports import ChatModel, TableSnapshot
from lakehouse.core.session import Attempt, Narrowed, Verdict
from lakehouse.engine.judge import Judgement, judge
from lakehouse.engine.offers import AttemptOffer, Offers
from lakehouse.engine.prompt import told_after
from lakehouse.engine.run import Bound, Run
from lakehouse.engine.strategy import later_sampling
from lakehouse.engine.task import SessionTask


async def iterate(run: Run, *, chat: ChatModel, tables: TableSnapshot) -> Verdict:
    """Run a session until an answer is accepted or no attempts are left.

    Every judged answer is in the run before the next await, so that a cancelled or failed session
    still records it. A valid answer is accepted even if the deadline passed while it was
    generated: it is paid for. The session stops early if the model repeats a rejected answer after
    its sampling was changed for that.

    Returns:
        `accepted` or `max_iter_exhausted`.

    Raises:
        InfraError: The session could not be judged; the answers judged so far are in the run.
    """
    task, clock, budget = run.task, run.clock, run.budget
    messages, sampling = task.opening, task.sampling
    changed = False  # the sampling was changed, because the model repeated itself
    told: str | None = None
    offers = Offers(task, tables)
    offered = await offers.first()
    while True:
        iteration = len(run.attempts)
        times = AttemptTimes(new_span_id(), clock.monotonic_ms())
        limits = budget.limits(times.started_ms)
        if limits.deadline_ms <= 0:
            raise _deadline_passed(task, iteration)
        run.times.append(times)
        reply = await chat.chat(
            _request(task, messages, sampling, offered),
            context=task.context.child(times.span_id),
            limits=limits,
        )
        times.answered_ms = clock.monotonic_ms()
        if reply.load_ms:
            budget.exclude_load(reply.load_ms)
        judgement = await _judge(run, reply, tables, times)
        times.ended_ms = clock.monotonic_ms()
        repeated = bool(run.attempts) and reply.text in {each.output for each in run.attempts}
        narrowed = offered.narrowed(reply.offered)
        run.add(
            _attempt(reply, judgement, times, iteration=iteration, told=told, narrowed=narrowed),
            grounded=judgement.grounded,
        )
        if not judgement.findings:
            return "accepted"
        if (repeated and changed) or iteration + 1 == task.max_iterations:
            return "max_iter_exhausted"
        changed = changed or repeated
        sampling = later_sampling(sampling, reply, repeated=repeated)
        told = told_after(judgement.findings, task.reprompt)
        offered = await offers.after(judgement.findings, offered)
        messages = (*task.opening, *later_turns(run.attempts, told, task.settings.history))


async def _judge(
    run: Run, reply: ChatReply, tables: TableSnapshot, times: AttemptTimes
) -> Judgement:
    task = run.task
    judging = judge(
        reply.text,
        reply.finish_reason,
        kind=task.kind,
        schema=task.schema,
        sources=task.sources,
        tables=tables,
        times=times,
        clock=run.clock,
        reasoning_marks=task.model.reasoning_marks,
    )
    kind = task.kind
    if not kind.grounding and not kind.rules and kind.model_check is None:
        return await judging  # it has nothing to wait for
    assert times.answered_ms is not None
    left_s = run.budget.left_s(times.answered_ms, grace_ms=CHECK_GRACE_MS)
    with Bound(left_s, partial(_checks_too_long, task)):
        return await judging


def _request(
    task: SessionTask, messages: tuple[Message, ...], sampling: Sampling, offered: AttemptOffer
) -> ChatRequest:
    return ChatRequest(
        model=task.model.name,
        messages=messages,
        schema=task.schema.decoding if task.settings.constrain == "auto" else NULL,
        temperature=sampling.temperature,
        max_tokens=sampling.max_tokens,
        seed=sampling.seed,
        top_p=sampling.top_p,
        stop=sampling.stop,
        # An endpoint may reject the changed sampling.
        fallback=None if sampling == task.sampling else task.sampling,
        offer=offered.offer,
    )


def _attempt(
    reply: ChatReply,
    judgement: Judgement,
    times: AttemptTimes,
    *,
    iteration: int,
    told: str | None,
    narrowed: tuple[Narrowed, ...] | msgspec.UnsetType,
) -> Attempt:
    assert times.ended_ms is not None
    return Attempt(
        iteration=iteration,
        outcome="rejected" if judgement.findings else "accepted",
        findings=judgement.findings,
        told=told,
        output=reply.text,
        thinking=reply.thinking if reply.thinking is not None else judgement.thinking,
        artifact=judgement.artifact,
        repairs=judgement.repairs,
        finish_reason=reply.finish_reason,
        usage=reply.usage,
        duration_ms=int(times.ended_ms - times.started_ms),
        span_id=times.span_id,
        narrowed=narrowed,
    )


def _deadline_passed(task: SessionTask, iteration: int) -> InfraError:
    return InfraError(
        "timeout",
        f"The deadline of {task.settings.deadline_ms} ms passed before attempt {iteration}.",
        hint="Raise deadline_ms, lower max_iterations, or use a faster model.",
    )


def _checks_too_long(task: SessionTask) -> InfraError:
    return InfraError(
        "timeout",
        f"The deadline of {task.settings.deadline_ms} ms passed while an answer was checked "
        "against tables, rules and validators.",
        hint="Make the rules and validators cheaper, or raise deadline_ms.",
    )
