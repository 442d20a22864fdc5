"""What `lakehouse doctor` warns of before OpenAI's clients call."""

from collections.abc import Iterator
from typing import Final

from lakehouse.cli.doctor_check import Check
from lakehouse.config.settings import Config

_READ_BY_CLIENTS: Final = ("gpt-5", "gpt-6", "o1", "o3")


def openai_checks(config: Config) -> Iterator[Check]:
    """Warn of names that change what clients send, and of answers that nothing checks."""
    for table, names in (("kinds", config.kinds), ("models", config.models)):
        for name in names:
            start = next((one for one in _READ_BY_CLIENTS if name.startswith(one)), None)
            if start is not None:
                yield Check(
                    "openai names",
                    "warning",
                    f"{table}.{name}: OpenAI's clients send other parameters, or call another "
                    f"route, if `model` begins with {start}",
                    f"give it a name that does not begin with {start}",
                )
    if config.gateway.openai.unchecked == "pass":
        yield Check(
            "openai unchecked",
            "warning",
            'gateway.openai.unchecked is "pass": requests without a kind or a schema are answered '
            "with what the model says, and leave no row",
            'set it to "refuse", unless these answers may be wrong',
        )
