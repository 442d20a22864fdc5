"""Options for sampling and deadlines, shared by commands that call a model."""

import math
from typing import Annotated

import msgspec
import typer

from lakehouse.core.errors import SetupError
from lakehouse.core.json_text import null
from lakehouse.core.limits import DEADLINE_MS_MAX, SEED_MAX, TEMPERATURE_MAX, TOKENS_MAX

TemperatureOption = Annotated[
    float | None,
    typer.Option(
        min=0,
        max=TEMPERATURE_MAX,
        help="Sampling temperature, instead of the kind's or the model's.",
    ),
]
MaxTokensOption = Annotated[
    int | None, typer.Option(min=1, max=TOKENS_MAX, help="Maximum tokens of one answer.")
]
SeedOption = Annotated[int | None, typer.Option(min=0, max=SEED_MAX, help="Sampling seed.")]
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
    if temperature is not None and math.isnan(temperature):
        raise SetupError(f"--temperature is nan; allowed is 0 to {TEMPERATURE_MAX:g}.")
    return null() if temperature is None else msgspec.Raw(msgspec.json.encode(temperature))
