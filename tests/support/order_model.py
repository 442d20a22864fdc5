"""A kind as a Python type, for tests that give it by value."""

from pydantic import BaseModel, model_validator


class Order(BaseModel):
    """An order, whose own validator refuses thirteen."""

    total: int

    @model_validator(mode="after")
    def check(self) -> "Order":
        """Refuse thirteen."""
        if self.total == 13:
            raise ValueError("13 is not allowed")
        return self
