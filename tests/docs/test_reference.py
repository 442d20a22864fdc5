"""The reference pages show what the code defines, all of it, and nothing else."""

import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import get_args

import msgspec
import pytest

import lakehouse
import lakehouse.testing
from lakehouse.cli.commands import COMMANDS
from lakehouse.config.settings import (
    Config,
    DaemonSettings,
    GatewaySettings,
    KindSettings,
    LogSettings,
    OpenAiApiSettings,
    SessionSettings,
    TracingSettings,
    UiSettings,
)
from lakehouse.core.errors import INFRA_HINT, INFRA_STATUS, PROBLEM_STATUS
from lakehouse.core.finding import FindingCode
from lakehouse.core.kind import GroundingRule, SqlRule
from lakehouse.core.metadata import OWN_MEMBERS
from lakehouse.grounding.settings import TableSettings
from lakehouse.library.many import ManyOptions
from lakehouse.library.request import CreateOptions, IterateFields
from lakehouse.openai_api.door import PATHS
from lakehouse.openai_api.failure import OUTCOMES
from lakehouse.openai_api.parameters import PARAMETERS, ApiRoute
from lakehouse.openai_api.reply_headers import ReplyHeaders
from lakehouse.openai_api.request import LakehouseOptions
from lakehouse.openai_api.told_answer import SessionFacts, UncheckedFacts
from lakehouse.providers.provider import ModelSettings
from lakehouse.providers.registry import PROVIDERS

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"
# What a section's heading is, by the configuration's own field; the rest of Config is no section.
HEADINGS = {
    "log": ("[log]", LogSettings),
    "gateway": ("[gateway]", GatewaySettings),
    "ui": ("[ui]", UiSettings),
    "chatd": ("[chatd]", DaemonSettings),
    "validatord": ("[validatord]", DaemonSettings),
    "session": ("[session]", SessionSettings),
    "tracing": ("[tracing]", TracingSettings),
    "models": ("[models.NAME]", ModelSettings),  # and a section for each provider
    "tables": ("[tables.NAME]", TableSettings),
    "kinds": ("[kinds.NAME]", KindSettings),
}
NESTED = {
    "[gateway.openai]": OpenAiApiSettings,
    "[[kinds.NAME.grounding]]": GroundingRule,
    "[[kinds.NAME.rules]]": SqlRule,
}
NO_SECTION = {"source", "base", "digest"}


def page(name: str) -> str:
    return (REFERENCE / name).read_text("utf-8")


def section(text: str, heading: str) -> str:
    """Give what stands under a heading of the second level."""
    found = re.search(
        rf"^## {re.escape(heading)}\n(.*?)(?=^## |^<!-- end)", text, re.MULTILINE | re.DOTALL
    )
    assert found is not None, heading
    return found[1]


def first_cells(text: str) -> list[str]:
    """List what the first column of a section's table holds in code type."""
    return re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE)


@pytest.mark.parametrize("tool", ["build_reference.py", "build_clients.py"])
def test_the_generated_tables_are_up_to_date(tool: str):
    """The tool would change nothing."""
    done = subprocess.run(
        [sys.executable, f"tools/{tool}", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_section_of_the_configuration_is_known_here():
    """A section that is added to the configuration must be added to the page."""
    assert set(Config.__struct_fields__) - NO_SECTION == set(HEADINGS)


@pytest.mark.parametrize(
    ("heading", "struct"),
    [*HEADINGS.values(), *NESTED.items()],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_a_section_shows_every_field(heading: str, struct: type[msgspec.Struct]):
    """Under the names that stand in the file, in the order of the struct."""
    shown = first_cells(section(page("configuration.md"), f"`{heading}`"))
    tag = struct.__struct_config__.tag_field
    assert shown == [*([tag] if tag else []), *struct.__struct_encode_fields__]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_provider_s_section_shows_what_is_its_own(provider: str):
    """Every field that not all providers have, and every default that is another here."""
    heading = f'`[models.NAME]` with `provider = "{provider}"`'
    shown = first_cells(section(page("configuration.md"), heading))
    settings, shared = PROVIDERS[provider](model="m"), ModelSettings(model="m")
    own = [
        name
        for name in settings.__struct_encode_fields__
        if name not in shared.__struct_fields__ or getattr(settings, name) != getattr(shared, name)
    ]
    assert shown == own
    text = section(page("configuration.md"), "`[models.NAME]`")
    assert f"`{provider}`" in text


def test_every_problem_code_has_its_status_and_what_to_do():
    """Compared with the code's own table."""
    text = section(page("errors.md"), "Problems")
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \| (?:yes|no) \| \S.* \|$", text, re.MULTILINE)
    assert {code: int(status) for code, status in rows} == PROBLEM_STATUS


def test_every_infra_code_has_its_status_and_hint():
    """Compared with the code's own tables."""
    text = section(page("errors.md"), "Infra errors")
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \| (?:yes|no) \| (.*) \|$", text, re.MULTILINE)
    assert {code: int(status) for code, status, _ in rows} == INFRA_STATUS
    assert {code: hint for code, _, hint in rows} == INFRA_HINT


def test_every_finding_code_is_told():
    """In the order of the closed list."""
    assert first_cells(section(page("errors.md"), "Findings")) == list(get_args(FindingCode))


@pytest.mark.parametrize("route", get_args(ApiRoute))
@pytest.mark.parametrize("fate", ["used", "ignored", "refused"])
def test_every_parameter_of_openai_is_told_by_its_fate(route: ApiRoute, fate: str):
    """Under the heading of its route; there is no other fate in the table."""
    heading = f"{fate.capitalize()} parameters of `{PATHS[route]}`"
    told = first_cells(section(page("openai-api.md"), heading))
    assert told == [one.path for one in PARAMETERS[route] if one.fate == fate]
    assert len(told) > 5
    assert all(one.fate in {"used", "ignored", "refused"} for one in PARAMETERS[route])


def test_every_error_of_openai_s_api_has_its_status_and_says_whether_to_repeat():
    """All codes but the one that only feedback gives."""
    text = section(page("openai-api.md"), "Errors")
    found = re.findall(
        r"^\| `(\w+)` \| (\d+) \| `(\w+)` \| (true|false) \| \S.* \|$", text, re.MULTILINE
    )
    assert {code: (int(s), kind, again == "true") for code, s, kind, again in found} == {
        code: (one.status, one.type, one.repeat)
        for code, one in OUTCOMES.items()
        if code != "ambiguous_session"
    }


def test_openai_s_page_names_every_option_header_and_member():
    """What only Lakehouse has cannot be read up elsewhere."""
    headers = ReplyHeaders(
        session_id="s", processing_ms=1, verdict="accepted", iterations=1, retry_after_s=1
    )
    names = {
        *LakehouseOptions.__struct_encode_fields__,
        *SessionFacts.__struct_encode_fields__,
        *UncheckedFacts.__struct_encode_fields__,
        *(name.decode() for name, _ in headers.fields()),
        *("x-lakehouse-ignored", "x-lakehouse-replayed", "verdict"),
        *OWN_MEMBERS,
    }
    assert {name for name in names if f"`{name}`" not in page("openai-api.md")} == set()


@pytest.mark.parametrize("package", [lakehouse, lakehouse.testing], ids=lambda one: one.__name__)
def test_every_public_name_of_python_is_described(package: ModuleType):
    """Once, with more than its heading."""
    told = re.findall(r"^### `(\w+)`\n\n(?=[^#])", page("python.md"), re.MULTILINE)
    assert len(told) == len(set(told)) > 25
    assert set(package.__all__) <= set(told)


@pytest.mark.parametrize("options", [CreateOptions, ManyOptions, IterateFields])
def test_every_option_of_python_is_told(options: type):
    """In the order of its class, each with its words."""
    (table,) = re.findall(
        rf"^### `{options.__name__}`\n(.*?)(?=^##)", page("python.md"), re.MULTILINE | re.DOTALL
    )
    told = re.findall(r"^\| `(\w+)` \| `[^`]+` \| \S.* \|$", table, re.MULTILINE)
    shared = CreateOptions.__annotations__ if options is ManyOptions else {}
    assert told == [name for name in options.__annotations__ if name not in shared]
    assert len(told) > 2


def test_every_method_of_both_clients_is_described():
    """`AsyncLake` has the methods of `Lake`, and no others."""
    told = set(re.findall(r"^#### `Lake\.(\w+)`$", page("python.md"), re.MULTILINE))
    of_lake, of_async = (
        {name for name, one in vars(client).items() if callable(one) and not name.startswith("_")}
        for client in (lakehouse.Lake, lakehouse.AsyncLake)
    )
    assert told == of_lake - {"abandon_in_child"} == of_async - {"batch"}
    assert len(told) > 8


def test_every_command_is_listed_and_described():
    """Once in the overview, and with its options, or those of its own commands, below."""
    text = page("cli.md")
    overview = text.partition("\n## ")[0]
    assert first_cells(overview) == [f"lakehouse {name}" for name in COMMANDS]
    headings = re.findall(r"^## `lakehouse (.+)`$", text, re.MULTILINE)
    described = {name.split()[0] for name in headings}
    assert described == set(COMMANDS)


def anchors(target: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", target.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in headings}


def test_every_link_between_our_pages_leads_somewhere():
    """Relative links of every page, the README's too, to a page and to a heading in it."""
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "benchmarks" / "README.md"]
    broken = []
    for one in pages:
        for name, anchor in re.findall(r"\]\(([^)#]*)#?([^)]*)\)", one.read_text("utf-8")):
            target = (one.parent / name) if name else one
            if "://" not in name and not (
                target.exists() and (not anchor or anchor in anchors(target))
            ):
                broken.append(f"{one.relative_to(ROOT)}: {name}#{anchor}")
    assert len(pages) > 20
    assert broken == []
