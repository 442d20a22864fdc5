"""Write the tables of docs/reference/ from the code, between their markers.

    python tools/build_reference.py          # rewrites the pages
    python tools/build_reference.py --check  # exit 1 if a page differs

What a user can set, meet or type is defined once, in the code; these pages only show it.
"""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import msgspec
import typer
from openai_api_reference import openai_api
from python_reference import python_api

from lakehouse.cli.commands import COMMANDS
from lakehouse.config.load import load_config
from lakehouse.config.settings import (
    DaemonSettings,
    GatewaySettings,
    KindSettings,
    LogSettings,
    OpenAiApiSettings,
    SessionSettings,
    TracingSettings,
    UiSettings,
)
from lakehouse.core.errors import (
    INFRA_HINT,
    INFRA_STATUS,
    PROBLEM_STATUS,
    InfraError,
    ProblemCode,
    Refusal,
)
from lakehouse.core.finding import FindingCode
from lakehouse.core.kind import GroundingRule, SqlRule
from lakehouse.core.type_words import type_words
from lakehouse.daemon import Daemon
from lakehouse.grounding.settings import TableSettings
from lakehouse.providers.provider import ModelSettings
from lakehouse.providers.registry import PROVIDERS
from lakehouse.sessionlog.writing.memory import MemoryLog
from lakehouse.tracing.attributes import ATTRIBUTES
from lakehouse.tracing.span import SpanName
from lakehouse.transport.openapi import problem_statuses

SPANS = set(get_args(SpanName))
PAGES = Path(__file__).parents[1] / "docs" / "reference"
SECTIONS: dict[str, type[msgspec.Struct]] = {
    "log": LogSettings,
    "gateway": GatewaySettings,
    "gateway.openai": OpenAiApiSettings,
    "ui": UiSettings,
    "chatd": DaemonSettings,
    "validatord": DaemonSettings,
    "session": SessionSettings,
    "tracing": TracingSettings,
    "models.NAME": ModelSettings,
    "tables.NAME": TableSettings,
    "kinds.NAME": KindSettings,
    "[kinds.NAME.grounding]": GroundingRule,
    "[kinds.NAME.rules]": SqlRule,
}
# A problem's own `hint` depends on what was wrong; here is what holds for all of a code.
PROBLEMS: dict[ProblemCode, str] = {
    "invalid_request": "Correct the field or parameter that `detail` names; see /openapi.json.",
    "unknown_kind": "Name a kind of GET /v1/kinds, or send `schema`.",
    "unknown_model": "Name a model of GET /v1/models, or configure it.",
    "invalid_schema": "Use JSON Schema 2020-12, references inside the document, RE2 patterns "
    "of at most 256 characters.",
    "invalid_config": "Correct what `detail` names; what was served before still is.",
    "unauthorized": "Send `Authorization: Bearer KEY`; `lakehouse keys new NAME` makes keys.",
    "not_found": "Check the path, or the id: GET /v1/sessions lists the sessions.",
    "method_not_allowed": "Use the method that /openapi.json names.",
    "idempotency_key_reuse": "The key belongs to a request with another body: send a new "
    "`Idempotency-Key`.",
    "ambiguous_session": "Say which row is meant with `row_id`; `detail` names them.",
    "too_large": "Make the body or the headers smaller; `detail` names the limit.",
    "unsupported_media_type": "Send `Content-Type: application/json` without a content encoding.",
    "rate_limited": "Send it again shortly, or raise gateway.sessions_at_once_max.",
    "log_unavailable": "Check the disk behind the session log: `lakehouse doctor`.",
}
FINDINGS = {
    "no_json": "nothing that begins like an object or array",
    "invalid_json": "something does, and does not parse: duplicates, NaN and lone surrogates too",
    "ambiguous": "the answer holds several different JSON values that pass the schema",
    "truncated": "the text ended in the middle and holds no whole candidate",
    "refused": "the provider says that it refused",
    "empty": "no text",
    "too_large": "over 1 MiB, or too many values or characters for a schema of this size",
    "schema": "the JSON Schema does not hold at `path`",
    "rule": "a SQL rule did not give TRUE, or a validator of a Python kind rejects",
    "ungrounded": "a value is not in its column, or a quote not in the text",
}


def default_of(field: msgspec.inspect.Field) -> str:
    """Show a field's default as TOML, or that there is none."""
    if field.required:
        return "needed"
    if field.default is msgspec.NODEFAULT:
        return "empty"
    if field.default is None:
        return "none"
    if isinstance(field.type, msgspec.inspect.StructType):
        return "below"
    if field.default in ((), {}):
        return "empty"
    return f"`{msgspec.json.encode(field.default).decode()}`"


def field_rows(kind: type[msgspec.Struct]) -> list[str]:
    """Show every field of a section, in the order of its type."""
    struct = msgspec.inspect.type_info(kind)
    assert isinstance(struct, msgspec.inspect.StructType)
    return [
        f"| `{field.encode_name}` | {type_words(field.type)} | {default_of(field)} |"
        for field in struct.fields
    ]


def section(heading: str, kind: type[msgspec.Struct], rows: list[str]) -> str:
    """Show a section with what its type, and what that is a kind of, say of it."""
    told = [one.__doc__ or "" for one in kind.__mro__ if one not in {*ModelSettings.__mro__}]
    text = " ".join(" ".join(told or [kind.__doc__ or ""]).split())
    table = "\n".join(["| field | type | default |", "| --- | --- | --- |", *rows])
    return f"## {heading}\n\n{text}\n\n{table}"


def configuration() -> str:
    """Every section with every field; of a model, each provider's own fields and defaults."""
    parts = []
    for name, kind in SECTIONS.items():
        rows = field_rows(kind)
        if name != "models.NAME":
            parts.append(section(f"`[{name}]`", kind, rows))
            continue
        names = ", ".join(f"`{provider}`" for provider in PROVIDERS)
        parts.append(section(f"`[{name}]`", kind, [f"| `provider` | {names} | needed |", *rows]))
        for provider, settings in PROVIDERS.items():
            own = [row for row in field_rows(settings) if row not in rows]
            parts.append(section(f'`[{name}]` with `provider = "{provider}"`', settings, own))
    return "\n\n".join(parts)


def errors() -> str:
    """Every code that a program may meet."""
    lines = [
        "## Problems",
        "",
        "| code | HTTP | retryable | what to do |",
        "| --- | --- | --- | --- |",
    ]
    for code, status in PROBLEM_STATUS.items():
        retryable = "yes" if Refusal(code, "").retryable else "no"
        lines.append(f"| `{code}` | {status} | {retryable} | {PROBLEMS[code]} |")
    lines += [
        "",
        "## Infra errors",
        "",
        "| code | HTTP | retryable | hint |",
        "| --- | --- | --- | --- |",
    ]
    for infra_code, status in INFRA_STATUS.items():
        retryable = "yes" if InfraError(infra_code, "").retryable else "no"
        lines.append(f"| `{infra_code}` | {status} | {retryable} | {INFRA_HINT[infra_code]} |")
    lines += [
        "",
        "## Findings",
        "",
        "A finding has no HTTP status of its own: it rejects an answer, and the model is asked",
        "again. If the last answer is rejected too, the session ends as `max_iter_exhausted`,",
        "422. Its hint is in its `expected` and `nearest`.",
        "",
        "| code | when |",
        "| --- | --- |",
    ]
    lines += [f"| `{code}` | {FINDINGS[code]} |" for code in get_args(FindingCode)]
    return "\n".join(lines)


def leaves(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    """Give a command, or each command of a group, under its full name."""
    inner = getattr(command, "commands", None)
    if inner is None or command.invoke_without_command:
        yield name, command
    if inner is None:
        return
    for inner_name, one in inner.items():
        yield from leaves(f"{name} {inner_name}", one)


def option_row(option: Any) -> str:
    """Show one option or argument; a default that says nothing is left out."""
    if option.param_type_name == "argument":
        spelled = option.metavar or option.name.upper()
    else:
        spelled = ", ".join([*option.opts, *option.secondary_opts])
    default = option.default
    shown = "needed" if option.required else f"`{default}`"
    if not option.required and (default is None or default is False or default == ""):
        shown = ""
    return f"| `{spelled}` | {option.help or ''} | {shown} |"


def commands() -> str:
    """Every command with its line of help, then its options."""
    lines = ["| command | does |", "| --- | --- |"]
    lines += [f"| `lakehouse {name}` | {text} |" for name, (_, text) in COMMANDS.items()]
    for name, (module_name, _) in COMMANDS.items():
        module = importlib.import_module(f"lakehouse.cli.{module_name}")
        whole = typer.main.get_command(getattr(module, f"{name}_app"))
        for full_name, command in leaves(name, whole):
            rows = [option_row(one) for one in command.params if one.name != "help"]
            lines += ["", f"## `lakehouse {full_name}`", ""]
            lines += ["| option | means | default |", "| --- | --- | --- |", *rows]
    return "\n".join(lines)


def tracing() -> str:
    """Every attribute, on which spans it stands, and whether it is content."""
    lines = [
        "## Attributes",
        "",
        "| attribute | on | what it is | only with `content` |",
        "| --- | --- | --- | --- |",
    ]
    for attribute in ATTRIBUTES:
        spans = "all" if set(attribute.spans) == SPANS else ", ".join(attribute.spans)
        content = "yes" if attribute.content else ""
        lines.append(f"| `{attribute.name}` | {spans} | {attribute.meaning} | {content} |")
    return "\n".join(lines)


def routes() -> str:
    """List the gateway's routes, as they say it themselves."""
    daemon = Daemon(load_config(None, {}), {}, "up", sink=MemoryLog())
    lines = ["| route | does | takes | errors |", "| --- | --- | --- | --- |"]
    for route in daemon.routes:
        names = [each.name for each in route.query or ()]
        if route.request is not None:
            names = list(route.request.__struct_encode_fields__)
        needs = "" if route.access == "key" else " No key is needed."
        statuses = ", ".join(map(str, sorted({*route.others, *problem_statuses(route)})))
        lines.append(
            f"| `{route.method} {route.path}` | {route.summary}{needs} "
            f"| {', '.join(f'`{name}`' for name in names)} | {statuses} |"
        )
    return "\n".join(lines)


BUILDERS = {
    "openai-api.md": openai_api,
    "python.md": python_api,
    "http.md": routes,
    "configuration.md": configuration,
    "errors.md": errors,
    "cli.md": commands,
    "tracing.md": tracing,
}


def rebuilt(page: Path) -> str:
    """Give a page with its generated part made anew."""
    before, begin, rest = page.read_text("utf-8").partition("<!-- generated -->\n")
    _, end, after = rest.partition("<!-- end of generated -->")
    if not begin or not end:
        raise SystemExit(f"{page}: the markers are missing")
    return f"{before}{begin}\n{BUILDERS[page.name]()}\n\n{end}{after}"


def main() -> None:
    differing = []
    for name in BUILDERS:
        page = PAGES / name
        text = rebuilt(page)
        if text != page.read_text("utf-8"):
            differing.append(name)
            if "--check" not in sys.argv:
                page.write_text(text, "utf-8")
    if differing:
        print(f"changed: {', '.join(differing)}")
    sys.exit(bool(differing) and "--check" in sys.argv)


if __name__ == "__main__":
    main()
