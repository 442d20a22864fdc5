"""The loop: the one file to read first. All branching of a session lives here.

    generate ─▶ extract ─▶ schema ─▶ grounding and rules ─▶ accepted
        ▲                                   │ findings
        └───────── told what was wrong ◀────┘

Pure: it touches the world only through `ChatModel` and a table snapshot. Trouble of the world is
an `InfraError` that leaves the loop and spends no iteration; a bad answer is never an error.
"""

from functools import partial

from lakehouse.core.chat import ChatReply, ChatRequest, Message, known_reason
from lakehouse.core.clock import Clock
from lakehouse.core.conversation import later_turns
from lakehouse.core.errors import InfraError
from lakehouse.core.ids import new_span_id
from lakehouse.core.json_text import NULL
from lakehouse.core.limits import CHECK_GRACE_MS
from lakehouse.core.observation import AttemptTimes
from lakehouse.core.ports import ChatModel, TableSnapshot
from lakehouse.core.session import Attempt, Verdict
from lakehouse.engine.budget import Budget
from lakehouse.engine.judge import Judgement, judge
from lakehouse.engine.prompt import first_messages, told_after
from lakehouse.engine.strategy import Strategy, first_strategy
from lakehouse.engine.task import SessionTask


class Progress:
    """A session under way: the attempts judged so far, for the part that may have to end it early.

    `times` has one entry for each attempt that was begun, judged or not.
    """

    def __init__(self) -> None:
        self.attempts: list[Attempt] = []
        self.times: list[AttemptTimes] = []
        self.grounded: bool | None = None  # of the last attempt


async def iterate(
    task: SessionTask,
    *,
    chat: ChatModel,
    tables: TableSnapshot,
    clock: Clock,
    budget: Budget,
    progress: Progress,
) -> Verdict:
    """Run a session until an answer is accepted or the attempts are used up.

    Every judged answer is in `progress` before the next await, so a cancelled or failed session
    still tells what it did. A valid answer is accepted even when the deadline passed while it
    was made: it is paid for. The session stops early when the model repeats a rejected answer
    after its sampling was changed for that.

    Returns:
        `accepted` or `max_iter_exhausted`.

    Raises:
        InfraError: The session could not be judged; what was judged is in `progress`.
    """
    first = messages = first_messages(task.system, task.messages)
    strategy = first_strategy(task)
    told: str | None = None
    for iteration in range(task.max_iterations):
        if budget.left_ms() <= 0:
            raise _deadline_passed(task, iteration)
        times = AttemptTimes(new_span_id(), clock.monotonic_ms())
        progress.times.append(times)
        request = _request(task, messages, strategy)
        reply = await chat.chat(
            request, context=task.context.child(times.span_id), limits=budget.limits()
        )
        times.answered_ms = clock.monotonic_ms()
        budget.exclude_load(reply.load_ms)
        judgement = await _judge(task, reply, tables, times, clock=clock, budget=budget)
        times.ended_ms = clock.monotonic_ms()
        repeated = any(attempt.output == reply.text for attempt in progress.attempts)
        progress.attempts.append(
            _attempt(
                reply,
                judgement,
                iteration=iteration,
                told=told,
                span_id=times.span_id,
                duration_ms=int(times.ended_ms - times.started_ms),
            )
        )
        progress.grounded = judgement.grounded
        if judgement.accepted:
            return "accepted"
        if repeated and strategy.changed:
            return "max_iter_exhausted"
        strategy = strategy.after(reply, repeated=repeated)
        told = told_after(judgement.findings, task.reprompt)
        messages = (*first, *later_turns(progress.attempts, told, task.settings.history))
    return "max_iter_exhausted"


async def _judge(
    task: SessionTask,
    reply: ChatReply,
    tables: TableSnapshot,
    times: AttemptTimes,
    *,
    clock: Clock,
    budget: Budget,
) -> Judgement:
    judging = judge(
        reply.text,
        known_reason(reply.finish_reason),
        kind=task.kind,
        schema=task.schema,
        sources=task.sources,
        tables=tables,
        times=times,
        clock=clock,
        reasoning_marks=task.model.reasoning_marks,
    )
    if not task.kind.grounding and not task.kind.rules:
        return await judging  # it waits for nothing
    too_long = partial(_checks_too_long, task)
    async with budget.bound(too_long, grace_ms=CHECK_GRACE_MS):
        return await judging


def _request(task: SessionTask, messages: tuple[Message, ...], strategy: Strategy) -> ChatRequest:
    return ChatRequest(
        model=task.model.name,
        messages=messages,
        schema=task.kind.schema if task.settings.constrain == "auto" else NULL,
        temperature=strategy.temperature,
        max_tokens=strategy.max_tokens,
        seed=strategy.seed,
        top_p=task.sampling.top_p,
        stop=task.sampling.stop,
        # An endpoint may refuse what the strategy changed.
        fallback=None if strategy == first_strategy(task) else task.sampling,
    )


def _attempt(
    reply: ChatReply,
    judgement: Judgement,
    *,
    iteration: int,
    told: str | None,
    span_id: str,
    duration_ms: int,
) -> Attempt:
    return Attempt(
        iteration=iteration,
        outcome="accepted" if judgement.accepted else "rejected",
        findings=judgement.findings,
        told=told,
        output=reply.text,
        thinking=reply.thinking if reply.thinking is not None else judgement.thinking,
        artifact=judgement.artifact,
        repairs=judgement.repairs,
        finish_reason=reply.finish_reason,
        usage=reply.usage,
        duration_ms=duration_ms,
        span_id=span_id,
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
        "against the kind's tables and rules.",
        hint="Make the kind's rules cheaper, or raise deadline_ms.",
    )
