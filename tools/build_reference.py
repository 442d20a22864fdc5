"""Write the tables of docs/reference/ from the code, between their markers.

    python tools/build_reference.py          # rewrites the pages
    python tools/build_reference.py --check  # exit 1 if a page differs

What a user can set, meet or type is defined once, in the code; these pages only show it.
"""

import sys
from pathlib import Path
from typing import get_args

import msgspec

from lakehouse.cli.main import COMMANDS
from lakehouse.config.settings import (
    DaemonSettings,
    GatewaySettings,
    KindSettings,
    LogSettings,
    SessionSettings,
    TracingSettings,
)
from lakehouse.core.errors import INFRA_HINT, INFRA_STATUS, PROBLEM_STATUS, InfraError, Refusal
from lakehouse.core.finding import FindingCode
from lakehouse.core.kind import GroundingRule, SqlRule
from lakehouse.grounding.settings import TableSettings
from lakehouse.providers.provider import ModelSettings

PAGES = Path(__file__).parents[1] / "docs" / "reference"
SECTIONS = {
    "log": LogSettings,
    "gateway": GatewaySettings,
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
FINDINGS = {
    "no_json": "nothing that begins like an object or array",
    "invalid_json": "something does, and does not parse: duplicates, NaN and lone surrogates too",
    "truncated": "the text ended in the middle and holds no whole candidate",
    "refused": "the provider says that it refused",
    "empty": "no text",
    "too_large": "over 1 MiB",
    "schema": "the JSON Schema does not hold at `path`",
    "rule": "a SQL rule did not give TRUE",
    "ungrounded": "a value is not in its column, or a quote not in the text",
}


def type_name(kind: object) -> str:
    """Name a field's type as a person writing TOML would."""
    if isinstance(kind, msgspec.inspect.UnionType):
        names = [type_name(one) for one in kind.types]
        return " or ".join(name for name in names if name != "nothing")
    if isinstance(kind, msgspec.inspect.LiteralType):
        return ", ".join(f"`{value}`" for value in kind.values)
    names = {
        "StrType": "text",
        "IntType": "integer",
        "FloatType": "number",
        "BoolType": "true or false",
        "NoneType": "nothing",
        "DictType": "table of texts",
        "VarTupleType": "list of tables",
        "StructType": "table",
    }
    return names[type(kind).__name__]


def default_of(field: msgspec.inspect.Field) -> str:
    """Show a field's default as TOML, or that there is none."""
    if field.required:
        return "needed"
    if field.default is msgspec.NODEFAULT:
        return "empty"
    if field.default is None:
        return "none"
    if field.default in ((), {}):
        return "empty"
    return f"`{msgspec.json.encode(field.default).decode()}`"


def configuration() -> str:
    """Every section with every field."""
    parts = []
    for name, kind in SECTIONS.items():
        text = " ".join((kind.__doc__ or "").split())
        rows = [
            f"| `{field.encode_name}` | {type_name(field.type)} | {default_of(field)} |"
            for field in msgspec.inspect.type_info(kind).fields  # type: ignore[union-attr]  # structs
        ]
        table = "\n".join(["| field | type | default |", "| --- | --- | --- |", *rows])
        parts.append(f"## `[{name}]`\n\n{text}\n\n{table}")
    return "\n\n".join(parts)


def errors() -> str:
    """Every code that a program may meet."""
    lines = ["## Problems", "", "| code | HTTP | retryable |", "| --- | --- | --- |"]
    for code, status in PROBLEM_STATUS.items():
        retryable = "yes" if Refusal(code, "").retryable else "no"
        lines.append(f"| `{code}` | {status} | {retryable} |")
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
    lines += ["", "## Findings", "", "| code | when |", "| --- | --- |"]
    lines += [f"| `{code}` | {FINDINGS[code]} |" for code in get_args(FindingCode)]
    return "\n".join(lines)


def commands() -> str:
    """Every command with its line of help."""
    lines = ["| command | does |", "| --- | --- |"]
    lines += [f"| `lakehouse {name}` | {text} |" for name, (_, text) in COMMANDS.items()]
    return "\n".join(lines)


BUILDERS = {"configuration.md": configuration, "errors.md": errors, "cli.md": commands}


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
