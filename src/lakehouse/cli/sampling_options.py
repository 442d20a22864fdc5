"""Options of a command that asks a model: what a request may say of its sampling and its time."""

import math
from typing import Annotated

import msgspec
import typer

from lakehouse.core.errors import SetupError
from lakehouse.core.json_text import null
from lakehouse.core.limits import DEADLINE_MS_MAX, SEED_MAX, TEMPERATURE_MAX, TOKENS_MAX

TemperatureOption = Annotated[
    float | None,
    typer.Option(min=0, max=TEMPERATURE_MAX, help="Instead of the kind's or the model's own."),
]
MaxTokensOption = Annotated[
    int | None, typer.Option(min=1, max=TOKENS_MAX, help="Of one answer, at most.")
]
SeedOption = Annotated[int | None, typer.Option(min=0, max=SEED_MAX, help="Of the sampling.")]
SystemOption = Annotated[
    str | None, typer.Option(help="The system text, instead of the kind's.", metavar="TEXT")
]
DeadlineOption = Annotated[
    int | None,
    typer.Option(
        "--deadline",
        min=1,
        max=DEADLINE_MS_MAX,
        help="Milliseconds of one session, loading aside.",
        metavar="MS",
    ),
]


def raw_temperature(temperature: float | None) -> msgspec.Raw:
    """Write a temperature as a request carries it.

    Raises:
        SetupError: It is no number; the command line's own check lets NaN pass.
    """
    if temperature is not None and math.isnan(temperature):
        raise SetupError(f"--temperature is nan; allowed is 0 to {TEMPERATURE_MAX:g}.")
    return null() if temperature is None else msgspec.Raw(msgspec.json.encode(temperature))
