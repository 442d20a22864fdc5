"""Loads `lakehouse.toml` and the environment into a `Config`, or raises one clear message.

Order: `--config FILE`, `$LAKEHOUSE_CONFIG`, `lakehouse.toml` in the working directory, built-in
defaults. `LAKEHOUSE_<SECTION>__<FIELD>` overrides one field; for models, tables and kinds it is
`LAKEHOUSE_MODELS__<NAME>__<FIELD>`.
"""

import io
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from lakehouse.artifact_models.declared import reference_of
from lakehouse.config.checks import check
from lakehouse.config.lines import line_of
from lakehouse.config.model_checks import settings_of
from lakehouse.config.settings import (
    Config,
    DaemonSettings,
    GatewaySettings,
    KindSettings,
    LogSettings,
    SessionSettings,
    TracingSettings,
    UiSettings,
)
from lakehouse.config.texts import find_fault, parse_toml
from lakehouse.core.errors import SetupError
from lakehouse.core.kind import digest_of
from lakehouse.core.suggestion import did_you_mean
from lakehouse.core.type_words import names_of, type_at, type_words
from lakehouse.core.wording import shown
from lakehouse.grounding.settings import TableSettings
from lakehouse.providers.provider import ModelSettings
from lakehouse.providers.registry import default_models

FILE_NAME: Final = "lakehouse.toml"
FILE_VARIABLE: Final = "LAKEHOUSE_CONFIG"
PREFIX: Final = "LAKEHOUSE_"
_FILE_BYTES_MAX: Final = 4 << 20
BUILT_IN: Final = "built-in defaults"
IN_PYTHON: Final = "the given configuration"

_T = TypeVar("_T", bound=msgspec.Struct)
_SECTIONS: Final[Mapping[str, type[msgspec.Struct]]] = {
    "log": LogSettings,
    "gateway": GatewaySettings,
    "ui": UiSettings,
    "chatd": DaemonSettings,
    "validatord": DaemonSettings,
    "session": SessionSettings,
    "tracing": TracingSettings,
}
_NAMED: Final[Mapping[str, type[msgspec.Struct]]] = {
    "models": ModelSettings,
    "tables": TableSettings,
    "kinds": KindSettings,
}
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_AT = re.compile(r"(?P<what>.*?)(?: - at `\$(?P<path>.*)`)?", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(?P<name>.*)`")
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<name>.*)`")


def load_config(path: Path | None, environment: Mapping[str, str]) -> Config:
    """Read and check the configuration. Nothing has been started when it fails.

    Raises:
        SetupError: Naming file and line, or the variable; the field; and what is allowed.
    """
    file, text = _find(path, environment)
    data = _parse(file, text)
    overrides = _override(data, environment)
    source = _Source(str(file) if file is not None else BUILT_IN, text, overrides)
    return _config(data, source, base=file.parent if file is not None else Path())


def config_of_values(sections: Mapping[str, Any], *, base: Path | None = None) -> Config:
    """Check a configuration given in Python, in the shape that `lakehouse.toml` has.

    So `{"kinds": {"event": {"python": Event}}}`: a kind's `python` may be the class itself.
    Relative paths start at `base`, the working directory by default. No variable overrides a field.

    Raises:
        SetupError: Naming the field and what is allowed; or a class cannot be imported by its name.
    """
    data = {name: _with_references(name, content) for name, content in sections.items()}
    return _config(data, _Source(IN_PYTHON, "", {}), base=base or Path())


def _with_references(section: str, content: object) -> object:
    """Write the classes of kinds as `package.module:Model`, as a file names them."""
    if section != "kinds" or not isinstance(content, Mapping):
        return content
    return {
        name: {**kind, "python": reference_of(kind["python"])}
        if isinstance(kind, Mapping) and isinstance(kind.get("python"), type)
        else kind
        for name, kind in content.items()
    }


def _config(data: dict[str, Any], source: "_Source", *, base: Path) -> Config:
    fault = find_fault(data)
    if fault is not None:
        raise source.error(*fault)
    values: dict[str, Any] = {}
    for section, content in data.items():
        if section in _SECTIONS:
            values[section] = source.convert(content, _SECTIONS[section], section)
        elif section in _NAMED:
            values[section] = _named(source, section, content)
        else:
            names = sorted([*_SECTIONS, *_NAMED])
            allowed = ", ".join(names)
            raise source.error(
                section,
                f"unknown section {section!r}{did_you_mean(section, names)}; allowed are {allowed}",
            )
    if not values.get("models"):
        values["models"] = default_models()
    config = Config(source=source.name, base=base, **values)
    check(config, source.error)
    return msgspec.structs.replace(config, digest=_digest(config))


class _Source:
    """The file that is read and the variables over it, for naming places in them."""

    def __init__(self, name: str, text: str, overrides: Mapping[str, str]) -> None:
        self.name = name
        self._text = text
        self._overrides = overrides

    def error(self, field: str, message: str) -> SetupError:
        return SetupError(
            f"{self._place(field)}: {field}: {message}.",
            hint="The fields are described in docs/reference/configuration.md.",
        )

    def convert(self, content: object, kind: type[_T], field: str) -> _T:
        if not isinstance(content, dict):
            raise self.error(field, f"is {shown(content)}; it must be a table")
        for name in content:
            fields = kind.__struct_encode_fields__
            if name not in fields and name != kind.__struct_config__.tag_field:
                allowed = ", ".join(sorted(fields))
                near = did_you_mean(name, sorted(fields))
                raise self.error(f"{field}.{name}", f"unknown field{near}; allowed are {allowed}")
        try:
            return msgspec.convert(content, kind)
        except msgspec.ValidationError as error:
            raise self._invalid(str(error), content, kind, field) from error

    def _invalid(
        self, message: str, content: object, kind: type[msgspec.Struct], field: str
    ) -> SetupError:
        match = _AT.fullmatch(message)
        assert match is not None
        inner = match["path"] or ""
        missing = _MISSING.fullmatch(match["what"])
        if missing is not None:
            inner += f".{missing['name']}"
            return self.error(
                field + inner, f"is missing; allowed: {type_words(type_at(kind, inner))}"
            )
        found = type_at(kind, inner)
        unknown = _UNKNOWN.fullmatch(match["what"])
        if unknown is not None and isinstance(found, msgspec.inspect.StructType):
            names = sorted(one.encode_name for one in found.fields)
            near = did_you_mean(unknown["name"], names)
            name = f"{field}{inner}.{unknown['name']}"
            return self.error(name, f"unknown field{near}; allowed are {', '.join(names)}")
        value = _value_at(content, inner)
        near = did_you_mean(value, names_of(found)) if isinstance(value, str) else ""
        told = f"is {shown(value)}{near}; allowed: {type_words(found)}"
        return self.error(field + inner, told)

    def _place(self, field: str) -> str:
        for path, variable in self._overrides.items():
            if field == path or field.startswith((path + ".", path + "[")):
                return variable
        line = line_of(self._text, field)
        if line is not None:
            return f"{self.name}, line {line}"
        # A section or a model that only variables speak of stands in no file.
        for table in (field, field.rpartition(".")[0]):
            for path, variable in self._overrides.items():
                if table and path.startswith(table + "."):
                    return variable
        return self.name


def _find(path: Path | None, environment: Mapping[str, str]) -> tuple[Path | None, str]:
    named = path or (Path(environment[FILE_VARIABLE]) if environment.get(FILE_VARIABLE) else None)
    file = named or Path(FILE_NAME)
    try:
        with file.open("rb") as opened:
            data = opened.read(_FILE_BYTES_MAX + 1)
        if len(data) > _FILE_BYTES_MAX:
            raise SetupError(
                f"{file}: is larger than {_FILE_BYTES_MAX >> 20} MiB.",
                hint="Keep schemas, prompts and tables in separate files.",
            )
        return file, io.TextIOWrapper(io.BytesIO(data), "utf-8").read()
    except FileNotFoundError:
        if named is None:
            return None, ""
        raise SetupError(
            f"{file}: there is no such file.", hint="`lakehouse init` writes a working one."
        ) from None
    except (OSError, ValueError) as error:  # ValueError: not UTF-8, or no path at all
        raise SetupError(f"{file}: cannot be read: {error}.") from error


def _parse(file: Path | None, text: str) -> dict[str, Any]:
    try:
        return parse_toml(text, str(file))
    except tomllib.TOMLDecodeError as error:
        raise SetupError(f"{file}: not valid TOML: {error}.") from error


def _override(data: dict[str, Any], environment: Mapping[str, str]) -> dict[str, str]:
    """Set the fields that variables name; gives the variable of each such field."""
    overrides: dict[str, str] = {}
    for variable, value in sorted(environment.items()):
        if not variable.startswith(PREFIX) or "__" not in variable:
            continue
        *tables, field = variable.removeprefix(PREFIX).lower().split("__")
        place = data
        for table in tables:
            place = place.setdefault(table, {})
            if not isinstance(place, dict):
                raise SetupError(f"{variable}: {table!r} is not a table of the configuration.")
        place[field] = _scalar(value, variable)
        overrides[".".join([*tables, field])] = variable
    return overrides


def _scalar(text: str, variable: str) -> object:
    """Read an override as a TOML value where it is one, else as text."""
    try:
        return parse_toml(f"value = {text}", variable)["value"]
    except tomllib.TOMLDecodeError:
        return text


def _named(source: _Source, section: str, content: object) -> dict[str, msgspec.Struct]:
    if not isinstance(content, dict):
        raise source.error(section, f"is {shown(content)}; it must be a table of tables")
    for name in content:
        if _NAME.fullmatch(name) is None:
            raise source.error(
                f"{section}.{name}",
                "names are 1 to 64 lowercase letters, digits, '_' and '-', and do not begin "
                "with '_' or '-'",
            )
    found: dict[str, msgspec.Struct] = {}
    for name, value in content.items():
        kind, field = _NAMED[section], f"{section}.{name}"
        if kind is ModelSettings and isinstance(value, dict):
            kind = settings_of(field, value, source.error)
        found[name] = source.convert(value, kind, field)
    return found


def _value_at(content: object, path: str) -> object:
    for name, index in re.findall(r"\.(\w+)|\[(\d+)\]", path):
        if isinstance(content, dict):
            content = content.get(name)
        elif isinstance(content, list) and index:
            content = content[int(index)]
    return content


def _digest(config: Config) -> str:
    builtins = msgspec.to_builtins(msgspec.structs.replace(config, base="", source=""))
    del builtins["ui"]  # no session depends on it, and older digests stay
    for name in ("api_keys_file", "admin_keys"):
        del builtins["gateway"][name]  # likewise
    return digest_of(builtins)
