"""Builds kinds from the configuration: schema compiled, digest computed, all checked once."""

from collections.abc import Mapping
from typing import Final, cast

import msgspec

from lakehouse.artifact_models.checker import ModelChecker
from lakehouse.artifact_models.declared import DeclaredModel, declared_model
from lakehouse.config.columns import check_columns, place_of
from lakehouse.config.settings import Config, KindSettings
from lakehouse.core.errors import Refusal, SetupError
from lakehouse.core.json_text import JsonError, compact, parse, parse_bytes
from lakehouse.core.kind import GROUNDING_KEYWORD, FormatMode, GroundingRule, Kind, kind_digest
from lakehouse.engine.carried import with_carried
from lakehouse.validation.keywords import idle_keywords
from lakehouse.validation.pointers import doubts_of, null_fault
from lakehouse.validation.schema import CompiledSchema, SchemaCache
from lakehouse.validation.schema_rules import without_rules

# Settings that decide a verdict or a prompt and came after the first digests were written.
_GROWN: Final = ("repair", "history", "reprompt", "assert_formats", "candidates")


def load_kinds(config: Config, schemas: SchemaCache) -> Mapping[str, Kind]:
    """Load every configured kind.

    Raises:
        SetupError: Naming the kind, its file or model, and what is wrong.
    """
    return {name: _kind(name, kind, config, schemas) for name, kind in config.kinds.items()}


def _kind(name: str, settings: KindSettings, config: Config, schemas: SchemaCache) -> Kind:
    model_of, formats = _declared(name, settings, config)
    try:
        if model_of is None:
            raw, carried = without_rules(_from_file(name, config))
        else:
            raw, carried = model_of.schema, model_of.rules
        value = parse_bytes(raw)
        schema = schemas.get(raw, formats)
    except (JsonError, Refusal, SetupError) as error:
        message, hint = f"not valid JSON: {error}", ""
        if not isinstance(error, JsonError):
            message, hint = error.public, error.hint
        raise SetupError(
            f"kinds.{name}: the schema cannot be used: {message}", hint=hint
        ) from error
    rules = (*settings.rules, *(rule for rule in carried if rule not in settings.rules))
    grounding = _grounding(name, settings, schema, config)
    model = settings.model or next(iter(config.models))
    max_iterations = settings.max_iterations or config.session.max_iterations
    grown = _grown(settings, model_of)
    kind = Kind(
        name=name,
        schema=msgspec.Raw(raw),
        system=settings.system,
        grounding=grounding,
        rules=rules,
        max_iterations=max_iterations,
        model=model,
        digest=kind_digest(
            value,
            system=settings.system,
            grounding=grounding,
            rules=rules,
            max_iterations=max_iterations,
            model=model,
            grown=grown,
        ),
        repair=settings.repair,
        history=settings.history,
        reprompt=settings.reprompt,
        sampling=settings.sampling(),
        formats=formats,
        candidates=settings.candidates,
        model_check=ModelChecker(settings.python) if settings.python is not None else None,
        grown=grown,
    )
    _check_carried(kind, schema, config)
    check_columns(kind, schema, config)
    return kind


def _grounding(
    name: str, settings: KindSettings, schema: CompiledSchema, config: Config
) -> tuple[GroundingRule, ...]:
    """Return the configured rules, then those that the schema carries beside them.

    Raises:
        SetupError: One cannot apply, or both say something about one place, and not the same.
    """
    for index, rule in enumerate(settings.grounding):
        place = f"{config.source}: kinds.{name}.grounding[{index}]"
        for doubt in doubts_of(schema, rule):
            if doubt.fatal:
                raise SetupError(
                    f"{place}.{doubt.member}: {doubt.message}.",
                    hint="Correct the pointer, or name the member in the kind's schema.",
                )
        fault = null_fault(schema, rule.path) if rule.candidates_required else None
        if fault is not None:
            raise SetupError(
                f"{place}.candidates_required: {fault}.",
                hint="With candidates_required, null is the answer where the text names no value.",
            )
    configured = {rule.path for rule in settings.grounding}
    carried = [rule for rule in schema.grounding if rule not in settings.grounding]
    for rule in carried:
        if rule.path in configured:
            raise SetupError(
                f"{config.source}: kinds.{name}: `{GROUNDING_KEYWORD}` in the schema and "
                f"[[kinds.{name}.grounding]] say different things about {rule.path!r}.",
                hint="Keep one of them.",
            )
    return (*settings.grounding, *carried)


def _check_carried(kind: Kind, schema: CompiledSchema, config: Config) -> None:
    try:
        with_carried(kind, schema, config.tables)
    except Refusal as error:
        message = f"{config.source}: kinds.{kind.name}.schema: {error.public}"
        raise SetupError(message, hint=error.hint) from error


def _declared(
    name: str, settings: KindSettings, config: Config
) -> tuple[DeclaredModel | None, FormatMode]:
    if settings.python is None:
        return None, "all" if settings.assert_formats else "off"
    try:
        # Formats that only Pydantic knows are for the model's own validators.
        return declared_model(settings.python), "known"
    except SetupError as error:
        raise SetupError(
            f"{config.source}: kinds.{name}.python: {error.public}.", hint=error.hint
        ) from error


def doubts_about(kinds: Mapping[str, Kind], schemas: SchemaCache) -> list[str]:
    """List the checks of loaded kinds that their schemas do not guarantee to apply."""
    found = []
    for name, kind in kinds.items():
        idle = idle_keywords(parse_bytes(bytes(kind.schema)))
        found += [f"kinds.{name}.schema: {keyword}" for keyword in idle]
        for index, rule in enumerate(kind.grounding):
            schema = schemas.of(kind)
            place, doubts = place_of(kind, index, schema), doubts_of(schema, rule)
            found += [f"{place}.{doubt.member}: {doubt.message}" for doubt in doubts]
    return found


def _grown(settings: KindSettings, model: DeclaredModel | None) -> dict[str, object]:
    """Return the settings of `_GROWN` that differ from their defaults, for the kind's digest.

    What is set of the sampling is one of them, under one name; so is what judges beyond them: a
    model's validators, by its name and the code of its module.
    """
    default = KindSettings()
    grown: dict[str, object] = {
        name: getattr(settings, name)
        for name in _GROWN
        if getattr(settings, name) != getattr(default, name)
    }
    sampling = msgspec.structs.asdict(settings.sampling())
    asked = {name: value for name, value in sampling.items() if value is not None}
    if asked:
        grown["sampling"] = asked
    if model is not None:
        grown["assert_formats"] = True
        grown["checks"] = [{"python": settings.python, "source": model.source}]
    return grown


def _from_file(name: str, config: Config) -> bytes:
    file = config.path(cast("str", config.kinds[name].schema))
    try:
        text = file.read_text("utf-8")
        parse(text)
        return compact(text)
    except (OSError, UnicodeDecodeError, JsonError) as error:
        cause = error.strerror if isinstance(error, OSError) else error
        raise SetupError(
            f"{config.source}: kinds.{name}.schema: {file}: {cause}.",
            hint="The path is relative to the configuration file.",
        ) from error
