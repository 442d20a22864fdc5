"""Options for sampling and deadlines, shared by commands that call a model."""

import math
from typing import Annotated

import msgspec
import typer

from lakehouse.core.errors import SetupError
from lakehouse.core.json_text import null
from lakehouse.core.limits import (
    DEADLINE_MS_MAX,
    SEED_MAX,
    STOPS_MAX,
    TEMPERATURE_MAX,
    TOKENS_MAX,
    TOP_P_MAX,
)

TemperatureOption = Annotated[
    float | None,
    typer.Option(
        min=0,
        max=TEMPERATURE_MAX,
        help="Sampling temperature, instead of the kind's or the model's.",
    ),
]
TopPOption = Annotated[
    float | None,
    typer.Option(
        min=0,
        max=TOP_P_MAX,
        help="Share of the likeliest tokens to sample from, instead of the kind's or the model's.",
    ),
]
MaxTokensOption = Annotated[
    int | None, typer.Option(min=1, max=TOKENS_MAX, help="Maximum tokens of one answer.")
]
SeedOption = Annotated[int | None, typer.Option(min=0, max=SEED_MAX, help="Sampling seed.")]
StopOption = Annotated[
    list[str] | None,
    typer.Option(
        help="Text that ends an answer, instead of the kind's or the model's; repeatable, at most "
        f"{STOPS_MAX}.",
        metavar="TEXT",
    ),
]
SystemOption = Annotated[
    str | None, typer.Option(help="System prompt, instead of the kind's.", metavar="TEXT")
]
DeadlineOption = Annotated[
    int | None,
    typer.Option(
        "--deadline",
        min=1,
        max=DEADLINE_MS_MAX,
        help="Deadline of one session in milliseconds, not counting model loading.",
        metavar="MS",
    ),
]


def raw_temperature(temperature: float | None) -> msgspec.Raw:
    """Encode a temperature as a request sends it.

    Raises:
        SetupError: It is NaN, which the command line's own check accepts.
    """
    _refuse_nan("--temperature", temperature, TEMPERATURE_MAX)
    return null() if temperature is None else msgspec.Raw(msgspec.json.encode(temperature))


def checked_top_p(top_p: float | None) -> float | None:
    """Return a `top_p` as a request sends it; raises likewise."""
    _refuse_nan("--top-p", top_p, TOP_P_MAX)
    return top_p


def checked_stop(stop: list[str] | None) -> tuple[str, ...] | None:
    """Return the texts of `--stop` as a request sends them.

    Raises:
        SetupError: One is empty, or there are too many.
    """
    if not stop:
        return None
    if len(stop) > STOPS_MAX or not all(stop):
        raise SetupError(f"--stop is {stop!r}; allowed are at most {STOPS_MAX} texts, none empty.")
    return tuple(stop)


def _refuse_nan(option: str, value: float | None, high: float) -> None:
    if value is not None and math.isnan(value):
        raise SetupError(f"{option} is nan; allowed is 0 to {high:g}.")
