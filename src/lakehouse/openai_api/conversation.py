"""The conversation of an OpenAI client in the words of a session: a system text, and turns of text.

What has no text has no turn: an empty message, and a reasoning item.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

from lakehouse.core.chat import Message, Role
from lakehouse.core.limits import MESSAGES_MAX
from lakehouse.openai_api.fault import RequestFault, missing
from lakehouse.openai_api.parameters import ApiRoute

_OURS = re.compile(r"call_([0-9a-f]{32})")
_ROLES: Final[dict[str, Role]] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "user",
    "function": "user",
}
_PARAM: Final[dict[ApiRoute, str]] = {"chat": "messages", "responses": "input"}


class ContentPart(msgspec.Struct, frozen=True):
    """One part of a message: `text`, or why the model did not answer."""

    type: str
    text: str | None = None
    refusal: str | None = None


Content = str | tuple[ContentPart, ...] | None


class PastCall(msgspec.Struct, frozen=True):
    """A function that an assistant called; `arguments` is JSON as text."""

    name: str = ""
    arguments: str | None = None


class PastToolCall(msgspec.Struct, frozen=True):
    """One call of an assistant's message."""

    function: PastCall
    id: str | None = None


class ChatMessage(msgspec.Struct, frozen=True):
    """One entry of `messages`."""

    role: str
    content: Content = None
    refusal: str | None = None
    tool_calls: tuple[PastToolCall, ...] | None = None
    function_call: PastCall | None = None
    tool_call_id: str | None = None


class InputItem(msgspec.Struct, frozen=True):
    """One entry of `input`: a message, a call, or the result of one."""

    type: str | None = None
    role: str | None = None
    content: Content = None
    name: str = ""
    arguments: str | None = None
    call_id: str | None = None
    output: Content = None


class Conversation(msgspec.Struct, frozen=True):
    """`system` is None if no system text was sent. `row_ids` are of our answers that it goes on."""

    system: str | None
    messages: tuple[Message, ...]
    row_ids: tuple[str, ...]


def chat_conversation(messages: Sequence[ChatMessage], *, named: bool) -> Conversation:
    """Read `messages`; `named`: a call is shown with its function's name, not its arguments alone.

    Raises:
        RequestFault: There is no text of a user, or too much of all.
    """
    turns: list[tuple[Role, str]] = []
    calls: list[str | None] = []
    for message in messages:
        turns.append((_ROLES[message.role], _chat_text(message, named=named)))
        if message.tool_calls:
            calls += [call.id for call in message.tool_calls]
        if message.tool_call_id:
            calls.append(message.tool_call_id)
    return _conversation(turns, calls, "chat")


def responses_conversation(
    instructions: str | None, items: str | Sequence[InputItem], *, named: bool
) -> Conversation:
    """Read `instructions` and `input`; likewise.

    Raises:
        RequestFault: Likewise, or an item is neither a message nor a call.
    """
    if isinstance(items, str):
        items = (InputItem(role="user", content=items),)
    system: tuple[Role, str] = "system", instructions or ""
    turns = [_turn(item, index, named=named) for index, item in enumerate(items)]
    calls = [item.call_id for item in items if item.call_id]
    return _conversation((system, *turns), calls, "responses")


def _conversation(
    turns: Iterable[tuple[Role, str]], call_ids: Sequence[str | None], route: ApiRoute
) -> Conversation:
    system: list[str] = []
    messages: list[Message] = []
    asked = False
    for role, text in turns:
        if not text:
            continue
        if role == "system":
            system.append(text)
        else:
            messages.append(Message(role, text))
            asked = asked or role == "user"
    param = _PARAM[route]
    if len(messages) > MESSAGES_MAX:
        message = f"`{param}` has {len(messages)} turns; at most {MESSAGES_MAX} are allowed."
        raise RequestFault(message, "invalid_value", param, "Leave out the oldest ones.")
    if not asked:
        raise RequestFault(
            f"`{param}` has no text of a user.",
            "invalid_value",
            param,
            "Send the text to work on with role `user`.",
        )
    ours = (_OURS.fullmatch(name) for name in call_ids if name is not None)
    row_ids = dict.fromkeys(match[1] for match in ours if match is not None)
    return Conversation("\n\n".join(system) or None, tuple(messages), tuple(row_ids))


def _chat_text(message: ChatMessage, *, named: bool) -> str:
    beside = message.refusal or message.tool_calls or message.function_call
    if isinstance(message.content, str) and not beside:  # as nearly all are
        return message.content
    calls = [call.function for call in message.tool_calls or ()]
    if message.function_call is not None:
        calls.append(message.function_call)
    called = (_call_text(call, named=named) for call in calls)
    return _joined((_text(message.content), message.refusal, *called))


def _turn(item: InputItem, index: int, *, named: bool) -> tuple[Role, str]:
    if item.type == "function_call":
        return "assistant", _call_text(PastCall(item.name, item.arguments), named=named)
    if item.type == "function_call_output":
        return "user", _text(item.output)
    if item.type == "reasoning":
        return "assistant", ""
    if item.role is None:
        raise missing(f"input[{index}].role")
    return _ROLES[item.role], _text(item.content)


def _call_text(call: PastCall, *, named: bool) -> str:
    arguments = call.arguments or "{}"
    if not named:
        return arguments
    name = msgspec.json.encode(call.name).decode("utf-8")
    return f'{{"name":{name},"arguments":{arguments}}}'


def _text(content: Content) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    return _joined(_parts(content))


def _parts(content: Sequence[ContentPart]) -> Iterator[str | None]:
    for part in content:
        yield part.text
        yield part.refusal


def _joined(texts: Iterable[str | None]) -> str:
    return "\n".join(filter(None, texts))
