"""Every parameter of the OpenAI routes and what becomes of it: the table behind code and reference.

Four fates. Used: it has effect. Ignored: it has none, cannot make the answer wrong, and is named in
the reply. Refused: without it the answer would not be what was asked for. Unknown: it is not here.
"""

from typing import Final, Literal

import msgspec

from lakehouse.core.json_text import JsonValue
from lakehouse.openai_api.fault import FaultCode

ApiRoute = Literal["chat", "responses"]
Fate = Literal["used", "ignored", "refused", "unknown"]


class ApiParameter(msgspec.Struct, frozen=True, kw_only=True):
    """One parameter. `path` names places inside others: `tools[].type`, of each element of a list.

    `only` are the values that are taken, whatever the fate; of a refused parameter they are those
    that ask for nothing. `reason` is a clause for the reference page and for the error.
    """

    path: str
    fate: Fate
    reason: str
    only: tuple[JsonValue, ...] = ()
    code: FaultCode | None = None
    hint: str = ""

    @property
    def restricted(self) -> bool:
        return self.fate == "refused" or bool(self.only)


_ONE_ANSWER = "one session gives one answer"
_CHECKED = "every answer is checked against the schema, strict or not"
_CACHE = "caching belongs to the model's endpoint"
_REASONING = "reasoning is set in the model's configuration"
_WORDING = "Lakehouse does not send it to models"
_NO_TOOLS = "only functions can be called here; custom and built-in tools are not run"
_NO_LOGPROBS = "log probabilities are not reported"
_TEXT_ONLY = "only text is read"
_NOT_LIVE = "nothing is streamed before it is checked"
_NO_MEMORY = "nothing is kept between requests"
_AS_TEXT = "Send what it says as text."
_PAST = "it belongs to an earlier answer"
_SENDER = "a message has a role but no name"
_SAME_TOOLS = "Lakehouse does not run functions"
_SEND_AGAIN = "Send the whole conversation with each request."
_TEXTS: Final = ("text", "input_text", "output_text", "refusal", "reasoning_text", "summary_text")


def _table(fate: Fate, reasons: dict[str, str]) -> tuple[ApiParameter, ...]:
    return tuple(ApiParameter(path=p, fate=fate, reason=reason) for p, reason in reasons.items())


def _refused(path: str, reason: str, *only: JsonValue, hint: str = "") -> ApiParameter:
    return ApiParameter(path=path, fate="refused", reason=reason, only=only, hint=hint)


def _chosen(path: str, reason: str, *only: JsonValue, hint: str = "") -> ApiParameter:
    return ApiParameter(path=path, fate="used", reason=reason, only=only, hint=hint)


def _content(path: str, reason: str, *only: JsonValue, hint: str = _AS_TEXT) -> ApiParameter:
    return ApiParameter(
        path=path, fate="used", reason=reason, only=only, code="unsupported_content", hint=hint
    )


_BOTH: Final = (
    *_table(
        "used",
        {
            "model": "a kind, a kind@model, or a model",
            "temperature": "sampling",
            "top_p": "sampling",
            "stream": "the checked answer is streamed",
            "metadata": "written into the row",
            "user": "written into the row",
            "tools": "functions whose parameters the answer must satisfy",
            "tool_choice": "which function the answer is for",
            "lakehouse": "options of Lakehouse itself",
            "lakehouse.max_iterations": "how many answers are judged",
            "lakehouse.constrain": "whether the model decodes under the schema",
            "lakehouse.deadline_ms": "the session's deadline",
            "lakehouse.conversation_id": "joins the sessions of a conversation",
        },
    ),
    *_table(
        "ignored",
        {
            "stream_options.include_obfuscation": _NOT_LIVE,
            "parallel_tool_calls": "an answer has one call at most",
            "store": "every session has its row, whatever this says",
            "service_tier": "it belongs to the model's endpoint",
            "safety_identifier": "Lakehouse does not look for abuse",
            "prompt_cache_key": _CACHE,
            "prompt_cache_options": _CACHE,
            "prompt_cache_options.mode": _CACHE,
            "prompt_cache_options.ttl": _CACHE,
            "prompt_cache_retention": _CACHE,
        },
    ),
    _chosen("tools[].type", _NO_TOOLS, "function"),
    _chosen("tool_choice.type", _NO_TOOLS, "function", "allowed_tools"),
    _refused("moderation", "content is not moderated here"),
    _refused("top_logprobs", _NO_LOGPROBS, 0),
)

_CHAT: Final = (
    *_BOTH,
    *_table(
        "used",
        {
            "messages": "the conversation",
            "messages[].content": "text, or parts of text",
            "messages[].content[].text": "text",
            "messages[].content[].refusal": "text",
            "messages[].refusal": "text",
            "messages[].tool_call_id": "finds the session of an earlier answer",
            "messages[].tool_calls": "their arguments are the assistant's text",
            "messages[].tool_calls[].id": "finds the session of an earlier answer",
            "messages[].tool_calls[].function": "see its members",
            "messages[].tool_calls[].function.name": "the function that was called, among several",
            "messages[].tool_calls[].function.arguments": "text",
            "messages[].function_call": "its arguments are the assistant's text",
            "messages[].function_call.name": "the function that was called, among several",
            "messages[].function_call.arguments": "text",
            "seed": "sampling",
            "stop": "sampling",
            "max_tokens": "the length of one answer",
            "max_completion_tokens": "the length of one answer",
            "stream_options": "see its members",
            "stream_options.include_usage": "a last chunk with the tokens",
            "response_format": "the structure of the answer",
            "response_format.json_schema": "see its members",
            "response_format.json_schema.schema": "the answer must satisfy it",
            "response_format.json_schema.name": "it may be any; nothing follows from it",
            "response_format.json_schema.description": "shown to the model with the schema",
            "response_format.json_schema.strict": _CHECKED,
            "tools[].function": "see its members",
            "tools[].function.name": "the name of the call",
            "tools[].function.description": "shown to the model with the schema",
            "tools[].function.parameters": "the answer must satisfy it",
            "tools[].function.strict": _CHECKED,
            "tool_choice.function": "see its members",
            "tool_choice.function.name": "the function to call",
            "tool_choice.allowed_tools": "see its members",
            "tool_choice.allowed_tools.tools": "the functions that may be called",
            "tool_choice.allowed_tools.tools[].function": "see its members",
            "tool_choice.allowed_tools.tools[].function.name": "a function that may be called",
            "functions": "the older form of `tools`",
            "functions[].name": "the name of the call",
            "functions[].description": "shown to the model with the schema",
            "functions[].parameters": "the answer must satisfy it",
            "function_call": "the older form of `tool_choice`",
            "function_call.name": "the function to call",
        },
    ),
    *_table(
        "ignored",
        {
            "messages[].name": _SENDER,
            "messages[].annotations": _PAST,
            "messages[].parsed": _PAST,
            "messages[].reasoning": _PAST,
            "messages[].reasoning_content": _PAST,
            "messages[].reasoning_details": _PAST,
            "messages[].thinking_blocks": _PAST,
            "messages[].provider_specific_fields": _PAST,
            "messages[].cache_control": _CACHE,
            "messages[].content[].cache_control": _CACHE,
            "messages[].content[].prompt_cache_breakpoint": _CACHE,
            "messages[].tool_calls[].index": _PAST,
            "messages[].tool_calls[].function.parsed_arguments": _PAST,
            "frequency_penalty": _WORDING,
            "presence_penalty": _WORDING,
            "verbosity": _WORDING,
            "prediction": "it changes only the speed",
            "reasoning_effort": _REASONING,
        },
    ),
    _chosen(
        "messages[].role",
        "it is not a role",
        *("system", "developer", "user", "assistant", "tool", "function"),
    ),
    _content("messages[].content[].type", _TEXT_ONLY, *_TEXTS),
    _content("messages[].tool_calls[].type", _NO_TOOLS, "function"),
    ApiParameter(
        path="messages[].audio", fate="refused", reason=_TEXT_ONLY, code="unsupported_content"
    ),
    _chosen("response_format.type", "it is not a format", "text", "json_object", "json_schema"),
    _chosen("tool_choice.allowed_tools.mode", "it is not a mode", "auto", "required"),
    _chosen("tool_choice.allowed_tools.tools[].type", _NO_TOOLS, "function"),
    _refused("n", _ONE_ANSWER, 1),
    _refused("logprobs", _NO_LOGPROBS, False),
    _refused("logit_bias", "tokens cannot be banned or forced", {}),
    _refused("audio", "answers are text"),
    _refused("modalities", "answers are text", ["text"]),
    _refused("web_search_options", "nothing is searched on the web"),
)

_RESPONSES: Final = (
    *_BOTH,
    *_table(
        "used",
        {
            "input": "the conversation",
            "input[].content": "text, or parts of text",
            "input[].content[].text": "text",
            "input[].content[].refusal": "text",
            "input[].name": "the function that was called, among several",
            "input[].arguments": "the assistant's text",
            "input[].call_id": "finds the session of an earlier answer",
            "input[].output": "text of the user",
            "input[].output[].text": "text",
            "instructions": "the system text",
            "max_output_tokens": "the length of one answer",
            "text": "see its members",
            "text.format": "the structure of the answer",
            "text.format.schema": "the answer must satisfy it",
            "text.format.name": "it may be any; nothing follows from it",
            "text.format.description": "shown to the model with the schema",
            "text.format.strict": _CHECKED,
            "tools[].name": "the name of the call",
            "tools[].description": "shown to the model with the schema",
            "tools[].parameters": "the answer must satisfy it",
            "tools[].strict": _CHECKED,
            "tool_choice.name": "the function to call",
            "tool_choice.tools": "the functions that may be called",
            "tool_choice.tools[].name": "a function that may be called",
        },
    ),
    *_table(
        "ignored",
        {
            "access_programs": "they belong to OpenAI's own models",
            "background_options": "no request runs in the background",
            "context_management": "a conversation that is too long is an error",
            "image": "there are no images",
            "include": "a session has none of what it adds",
            "input[].id": _PAST,
            "input[].status": _PAST,
            "input[].phase": _PAST,
            "input[].namespace": _SAME_TOOLS,
            "input[].async": _PAST,
            "input[].caller": _PAST,
            "input[].summary": _PAST,
            "input[].encrypted_content": _PAST,
            "input[].content[].annotations": _PAST,
            "input[].content[].logprobs": _PAST,
            "input[].content[].prompt_cache_breakpoint": _CACHE,
            "input[].output[].prompt_cache_breakpoint": _CACHE,
            "max_tool_calls": "built-in tools are not run",
            "prompt_cache_options.comparison_response_id": _CACHE,
            "reasoning": _REASONING,
            "reasoning.context": _REASONING,
            "reasoning.effort": _REASONING,
            "reasoning.generate_summary": _REASONING,
            "reasoning.mode": _REASONING,
            "reasoning.summary": _REASONING,
            "stream_options": _NOT_LIVE,
            "text.verbosity": _WORDING,
            "tools[].allowed_callers": _SAME_TOOLS,
            "tools[].async": _SAME_TOOLS,
            "tools[].defer_loading": _SAME_TOOLS,
            "tools[].output_schema": _SAME_TOOLS,
            "truncation": "a conversation that is too long is an error",
        },
    ),
    _chosen("input[].role", "it is not a role", "system", "developer", "user", "assistant"),
    _content(
        "input[].type",
        "only messages, and calls of functions with their results, are read",
        *("message", "function_call", "function_call_output", "reasoning"),
        hint="An item_reference needs an answer that the server kept: send the item itself.",
    ),
    _content("input[].content[].type", _TEXT_ONLY, *_TEXTS),
    _content("input[].output[].type", _TEXT_ONLY, *_TEXTS),
    _chosen("text.format.type", "it is not a format", "text", "json_object", "json_schema"),
    _chosen("tool_choice.mode", "it is not a mode", "auto", "required"),
    _chosen("tool_choice.tools[].type", _NO_TOOLS, "function"),
    ApiParameter(
        path="include[]",
        fate="ignored",
        reason=_NO_LOGPROBS,
        only=(
            "code_interpreter_call.outputs",
            "computer_call_output.output.image_url",
            "file_search_call.results",
            "message.input_image.image_url",
            "reasoning.encrypted_content",
            "web_search_call.action.sources",
            "web_search_call.results",
        ),
    ),
    _refused("background", "a request waits for its answer", False),
    _refused("conversation", _NO_MEMORY, hint=_SEND_AGAIN),
    _refused("previous_response_id", _NO_MEMORY, hint=_SEND_AGAIN),
    _refused("prompt", "Lakehouse keeps no prompts"),
    _refused("prompt_cache_options.prewarm", "every request is answered", False),
)

PARAMETERS: Final[dict[ApiRoute, tuple[ApiParameter, ...]]] = {
    "chat": tuple(sorted(_CHAT, key=lambda one: one.path)),
    "responses": tuple(sorted(_RESPONSES, key=lambda one: one.path)),
}
"""The parameters of each route, by path."""


def fate_of(path: str, route: ApiRoute) -> Fate:
    """Return what becomes of a parameter, by its path in the table."""
    return next((one.fate for one in PARAMETERS[route] if one.path == path), "unknown")
