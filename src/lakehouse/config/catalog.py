"""Builds the catalog that sessions are planned from: the kinds, models and limits that are set."""

from collections.abc import Mapping

from lakehouse.config.kinds import load_kinds
from lakehouse.config.settings import Config
from lakehouse.core.chat import ModelName
from lakehouse.engine.task import Catalog
from lakehouse.validation.schema import SchemaCache


def model_names(config: Config) -> Mapping[str, ModelName]:
    """Return the configured models by alias, the default one first."""
    return {name: settings.named(name) for name, settings in config.models.items()}


def catalog(config: Config, *, own: bool = False) -> Catalog:
    """Build the catalog that sessions are planned from; reads the kinds' schemas.

    `own`: requests are this process's own, which may use every table.

    Raises:
        SetupError: A kind cannot be used.
    """
    schemas = SchemaCache()
    return Catalog(
        kinds=load_kinds(config, schemas),
        models=model_names(config),
        config_digest=config.digest,
        schemas=schemas,
        tables=config.tables,
        private=frozenset(name for name, one in config.tables.items() if one.private and not own),
        deadline_ms=config.session.deadline_ms,
        load_budget_ms=config.session.load_budget_ms,
        max_iterations=config.session.max_iterations,
    )
