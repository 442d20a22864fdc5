"""What `lakehouse doctor` says of candidates: how each grounding rule offers them to its model."""

from collections.abc import Iterator

from lakehouse.cli.doctor_check import Check
from lakehouse.core.chat import SchemaLimits
from lakehouse.core.json_text import pointer_parts
from lakehouse.core.kind import GroundingRule, Kind, mode_of
from lakehouse.core.limits import CANDIDATES_MAX, HINT_BYTES_MAX, HINT_VALUES_MAX
from lakehouse.core.ports import TableSnapshot
from lakehouse.core.wording import counted
from lakehouse.providers.access import HttpSettings
from lakehouse.providers.provider import ModelSettings
from lakehouse.validation.narrowing import stand_together
from lakehouse.validation.schema import CompiledSchema


def candidate_checks(
    kind: Kind, schema: CompiledSchema, model: ModelSettings, snapshot: TableSnapshot
) -> Iterator[Check]:
    """Tell for each grounding rule whether its candidates go into the schema or the prompt."""
    for rule in kind.grounding:
        takes_null = schema.narrowing.takes_null(rule.path)
        told, fix = _why_off(rule, kind, snapshot), ""
        if told is not None and rule.candidates_required:
            fix = "leave candidates_required out: it has no effect here"
        if told is None:
            told, fix = _how(rule, kind, model, takes_null=takes_null)
        where = f"{rule.path!r} from {rule.column or 'the text'}"
        yield Check(f"candidates {kind.name}", "warning" if fix else "ok", f"{where}: {told}", fix)


def _why_off(rule: GroundingRule, kind: Kind, snapshot: TableSnapshot) -> str | None:
    if rule.column is None and rule.candidates is None:
        return "off: a quote may be any phrase of the text"
    if mode_of(rule, kind) == "off":
        whose = f"kinds.{kind.name}" if rule.candidates is None else "this rule"
        return f"off: candidates is 'off' for {whose}"
    if rule.column is not None and snapshot.columns[rule.column].holds == "boolean":
        return "off: the column contains booleans, which no text names"
    return None


def _how(
    rule: GroundingRule, kind: Kind, model: ModelSettings, *, takes_null: bool
) -> tuple[str, str]:
    """Return how a rule offers its candidates, and what to change if that is not what it asks."""
    mode, limits = mode_of(rule, kind), model.decoding()
    prompt = f"in the prompt, at most {HINT_VALUES_MAX} values or {HINT_BYTES_MAX:,} bytes"
    if mode == "hint":
        return f"{prompt}: candidates is 'hint'", ""
    if limits is None:
        cannot = f"model {kind.model!r} does not decode under a schema"
        change = "name a model that decodes under a schema"
        if isinstance(model, HttpSettings):
            cannot += f" (its response_format is {model.response_format!r})"
            change = f'write response_format = "json_schema" under [models.{kind.model}]'
        if mode == "decode":
            return f"off: {cannot}", f"{change}, or write candidates = 'auto'"
        if rule.candidates_required:
            only = "; candidates_required is only asked for there, not kept"
            return f"{prompt}: {cannot}{only}", change
        return f"{prompt}: {cannot}", ""
    if mode == "auto" and rule.match == "within" and not takes_null:
        why = "a number within a tolerance may be another one, and the place may not be null"
        return f"{prompt}: {why}", ""
    return _decoded(rule, kind, model, limits), ""


def _decoded(rule: GroundingRule, kind: Kind, model: ModelSettings, limits: SchemaLimits) -> str:
    auto = mode_of(rule, kind) == "auto"
    told = (
        f"in the schema that model {kind.model!r} decodes under, at most {CANDIDATES_MAX} values "
        "of this rule"
    )
    bounds = [
        counted(limit, noun)
        for limit, noun in (
            (limits.values_max, "value"),
            (limits.characters_max, "character"),
            (limits.bytes_max, "byte"),
        )
        if limit is not None
    ]
    if bounds:
        told += f", in a schema of at most {', '.join(bounds)} in all"
    places = [tuple(pointer_parts(at)) for at in (rule.path, *rule.with_)]
    if len(places) > 1 and not stand_together(places, root_union=True):
        told += "; each column by itself, as not all are in one element, and the rows in the prompt"
    elif rule.with_ and not limits.root_union:
        told += "; at the root of the schema each column by itself, and the rows in the prompt"
    prompt = f"in the prompt, the first {HINT_VALUES_MAX}"
    told += f"; if there are more, {prompt}" if auto else "; with more, any value can be written"
    if isinstance(model, HttpSettings):  # only its answer to a call says what it takes
        told += "; if the endpoint refuses the schema, "
        told += prompt if auto else "not at all"
    return told
