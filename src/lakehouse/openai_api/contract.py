"""What structure an OpenAI client asks for: the answer's schema, and how the answer is told."""

import re
from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from lakehouse.core.json_text import ENCODER, NULL, JsonValue, compact, dumps, null, parse_bytes
from lakehouse.core.limits import FUNCTION_NAME_CHARS_MAX, FUNCTIONS_MAX, SCHEMA_BYTES_MAX
from lakehouse.core.suggestion import did_you_mean
from lakehouse.core.wording import shown
from lakehouse.openai_api.fault import RequestFault, beside_the_type, missing
from lakehouse.openai_api.look_ahead import without_look_ahead
from lakehouse.openai_api.subschemas import in_newest_dialect, moved

Told = Literal["content", "tool_call", "function_call"]
"""How an answer is told: as the message's text, as a call, or as a call of the older form."""
FormatType = Literal["text", "json_object", "json_schema"]

_ANY_OBJECT: Final = msgspec.Raw(b'{"type":"object"}')
_NAME: Final = re.compile(rf"[a-zA-Z0-9_.-]{{1,{FUNCTION_NAME_CHARS_MAX}}}")
_NO_ARGUMENTS: Final = b'{"type":"object","properties":{},"additionalProperties":false}'


class OfferedFunction(msgspec.Struct, frozen=True):
    """One function of `tools` or `functions`; `parameters` is raw `null` where it has none."""

    name: str
    description: str | None = None
    parameters: msgspec.Raw = msgspec.field(default_factory=null)


class FunctionChoice(msgspec.Struct, frozen=True):
    """`mode` is none, auto or required. `names` are the functions it is about; None: all."""

    mode: str = "auto"
    names: tuple[str, ...] | None = None

    @classmethod
    def of(cls, mode: str | None, param: str, modes: Sequence[str]) -> "FunctionChoice | None":
        """Read a choice that names no function; None if there is none."""
        if mode is not None and mode not in modes:
            allowed = ", ".join(map(shown, modes))
            raise RequestFault(
                f"`{param}` is {shown(mode)}{did_you_mean(mode, modes)}; allowed are {allowed}, or "
                "an object with the name of a function.",
                "invalid_value",
                param,
            )
        return None if mode is None else cls(mode)

    @classmethod
    def allowed(cls, mode: str, names: Sequence[str]) -> "FunctionChoice":
        return cls(mode, tuple(dict.fromkeys(names)))


class ClientContract(msgspec.Struct, frozen=True, kw_only=True):
    """What the answer must satisfy for the client.

    `schema` is raw `null` if the client asks for no structure: then only a kind's own schema
    applies. `param` is the schema's place in the body. `function` is the name of the call; it is
    None if there is no call, and if there are several functions: then the artifact is
    `{"name", "arguments"}`, and these are the call. `format` is what the client calls it.
    """

    schema: msgspec.Raw = msgspec.field(default_factory=null)
    param: str | None = None
    told: Told = "content"
    function: str | None = None
    format: FormatType = "text"

    @property
    def several(self) -> bool:
        return self.told != "content" and self.function is None


NO_STRUCTURE: Final = ClientContract()


class AnswerFormat(msgspec.Struct, frozen=True):
    """`response_format` or `text.format`, both of which mean the same members."""

    type: str
    schema: msgspec.Raw = msgspec.field(default_factory=null)
    description: str | None = None


def format_contract(wanted: AnswerFormat | None, param: str) -> ClientContract:
    """Read a format; `param` is the place of its schema.

    Raises:
        RequestFault: It has no schema, or one that its type would leave out.
    """
    if wanted is None:
        return NO_STRUCTURE
    if wanted.type != "json_schema" and wanted.schema != NULL:
        raise beside_the_type(param, wanted.type)
    if wanted.type == "text":
        return NO_STRUCTURE
    if wanted.type == "json_object":
        place = param.partition(".")[0]
        return ClientContract(schema=_ANY_OBJECT, param=place, format="json_object")
    if wanted.schema == NULL:
        raise missing(param)
    schema = _with(_schema_of(wanted.schema, param), description=wanted.description)
    return ClientContract(schema=msgspec.Raw(schema), param=param, format="json_schema")


def contract_of(
    wanted: ClientContract,
    functions: Sequence[OfferedFunction],
    choice: FunctionChoice | None,
    *,
    told: Told,
    places: Sequence[str],
) -> ClientContract:
    """Return what applies: a format, or the parameters of the functions that may be called.

    Args:
        wanted: What the format asks for.
        functions: Those that are offered.
        choice: Which of them are called; None if the request does not say.
        told: How a call is told.
        places: Where the list of functions, their choice, and the parameters of one with the
            number `{}` stand in the body.

    Raises:
        RequestFault: The functions are unfit, or the request leaves open what is asked for.
    """
    listed, chosen, inner = places
    numbers = _numbers(functions, listed)
    if choice is not None and choice.names is not None:
        _check_known(choice.names, list(numbers), chosen)
    if not functions:
        if choice is not None and choice.mode == "required":
            raise RequestFault(
                f"`{chosen}` asks for a call, but `{listed}` is missing.", "invalid_value", chosen
            )
        return wanted
    choice = choice or FunctionChoice()
    if choice.mode == "none":
        return wanted
    open_to = [numbers[name] for name in (numbers if choice.names is None else choice.names)]
    if not open_to:
        raise RequestFault(f"`{chosen}` names no function.", "invalid_value", chosen)
    if choice.mode == "auto":
        _check_decided(wanted, len(open_to), chosen)
    if len(open_to) > 1:
        return ClientContract(
            schema=_union(functions, open_to, listed, inner), param=listed, told=told
        )
    [index] = open_to
    place = inner.format(index)
    return ClientContract(
        schema=msgspec.Raw(_arguments_schema(functions[index], place)),
        param=place,
        told=told,
        function=functions[index].name,
    )


def no_contract(param: str) -> RequestFault:
    """Describe a request that asks for no structure of a model that is no kind."""
    return RequestFault(
        "The request asks for no structure: an answer could not be checked.",
        "no_contract",
        param,
        f"Name a kind in `model`, or send a JSON Schema in `{param}`.",
    )


def _numbers(functions: Sequence[OfferedFunction], listed: str) -> dict[str, int]:
    """Return where each function stands in the list, by its name."""
    numbers: dict[str, int] = {}
    for index, function in enumerate(functions):
        place = f"{listed}[{index}]"
        if _NAME.fullmatch(function.name) is None:
            raise RequestFault(
                f"The name of `{place}` is {shown(function.name)}; allowed are 1 to "
                f"{FUNCTION_NAME_CHARS_MAX} of the characters a-z, A-Z, 0-9, `_`, `-` and `.`.",
                "invalid_value",
                place,
            )
        if function.name in numbers:
            message = f"The name of `{place}`, {shown(function.name)}, is another's too."
            raise RequestFault(message, "invalid_value", place)
        numbers[function.name] = index
    return numbers


def _check_known(chosen: Sequence[str], names: Sequence[str], param: str) -> None:
    for name in chosen:
        if name not in names:
            there = ", ".join(map(shown, names[:FUNCTIONS_MAX])) or "none"
            near = did_you_mean(name, names)
            message = f"`{param}` names {shown(name)}{near}; the functions are {there}."
            raise RequestFault(message, "invalid_value", param)


def _check_decided(wanted: ClientContract, count: int, param: str) -> None:
    if wanted.schema != NULL:
        raise RequestFault(
            f"`{param}` leaves open whether the answer is a call or has the format asked for.",
            "unsupported_value",
            param,
            f"Set `{param}` to `required` for a call, or to `none` for the format.",
        )
    if count > 1:
        raise RequestFault(
            f"`{param}` leaves open whether one of {count} functions is called.",
            "unsupported_value",
            param,
            f"Set `{param}` to `required`, or to one of the functions.",
        )


def _union(
    functions: Sequence[OfferedFunction], open_to: Sequence[int], listed: str, inner: str
) -> msgspec.Raw:
    if len(open_to) > FUNCTIONS_MAX:
        message = (
            f"`{listed}` leaves {len(open_to)} functions to choose from; at most {FUNCTIONS_MAX}."
        )
        raise RequestFault(message, "invalid_value", listed, "Name fewer in `tool_choice`.")
    branches: list[JsonValue] = []
    for index in open_to:
        function, place = functions[index], inner.format(index)
        schema = parse_bytes(_arguments_schema(function, place))
        assert isinstance(schema, dict)
        try:
            arguments = moved(schema, f"/anyOf/{len(branches)}/properties/arguments")
        except ValueError as error:
            raise RequestFault(
                f"`{place}` has an `$id` inside; among several functions none may have one.",
                "invalid_schema",
                place,
                "Write references as `#/$defs/…`.",
            ) from error
        branches.append(
            {
                "type": "object",
                "properties": {"name": {"const": function.name}, "arguments": arguments},
                "required": ["name", "arguments"],
                "additionalProperties": False,
            }
        )
    return msgspec.Raw(ENCODER.encode({"anyOf": branches}))


def _arguments_schema(function: OfferedFunction, place: str) -> bytes:
    """Return the schema of a function's arguments, which are an object whatever it says."""
    if function.parameters == NULL:
        return _with(_NO_ARGUMENTS, description=function.description)
    raw = _schema_of(function.parameters, place)
    schema = parse_bytes(raw)
    if not isinstance(schema, dict):
        message = f"`{place}` is {shown(schema)}; it must be a JSON Schema of an object."
        raise RequestFault(message, "invalid_type", place)
    if schema.get("type", "object") != "object":
        message = f"`{place}.type` is {shown(schema['type'])}; arguments are always an object."
        raise RequestFault(message, "invalid_schema", place)
    return _with(raw, type="object", description=function.description)


def _schema_of(schema: msgspec.Raw, place: str) -> bytes:
    raw = compact(bytes(schema).decode("utf-8"))
    if len(raw) > SCHEMA_BYTES_MAX:
        message = f"`{place}` takes {len(raw):,} bytes; at most {SCHEMA_BYTES_MAX:,} are allowed."
        raise RequestFault(message, "invalid_schema", place)
    return without_look_ahead(in_newest_dialect(raw))


def _with(raw: bytes, **members: str | None) -> bytes:
    """Add members in front that a schema does not have, so that all other bytes stay."""
    added = {name: value for name, value in members.items() if value}
    schema = parse_bytes(raw) if added else None
    if not isinstance(schema, dict) or schema.keys() >= added.keys():
        return raw
    added = {name: value for name, value in added.items() if name not in schema}
    return f"{dumps(added)[:-1]}{',' if schema else ''}".encode() + raw[1:]
