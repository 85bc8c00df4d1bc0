"""What a record is made of: models that take nothing but what they name, and numbers in their bounds."""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Natural = Annotated[int, Field(ge=0)]


_STRICT = json.JSONEncoder(allow_nan=False)


def _finite(value: dict[str, Any]) -> dict[str, Any]:
    if value:  # most plugins have no parameters, and records are read by the thousand
        _STRICT.encode(value)
    return value


Plain = Annotated[dict[str, Any], AfterValidator(_finite)]
"""A JSON object of any shape, whose numbers are finite."""


class Strict(BaseModel):
    """Unknown fields are errors, values are frozen, numbers are finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
