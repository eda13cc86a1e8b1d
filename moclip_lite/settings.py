"""What all sections of a configuration have in common: frozen, checked, and no unknown keys."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict

__all__ = ["Settings", "UserPath", "refuse_repeats"]


class Settings(BaseModel):
    """Base of the sections. A section holds the one default of each of its settings."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)


def _refuse_empty(value: Any) -> Any:
    if isinstance(value, str) and not value.strip():
        raise ValueError("a path must not be empty")
    return value


def _expand_home(path: Path) -> Path:
    if "\0" in str(path):
        raise ValueError("a path holds no zero byte")
    return Path(os.path.expanduser(path))


UserPath: TypeAlias = Annotated[Path, BeforeValidator(_refuse_empty), AfterValidator(_expand_home)]
"""A path as people write it; ``~`` is the home folder."""


def refuse_repeats(value: tuple[Any, ...]) -> tuple[Any, ...]:
    """Validator of lists whose items must differ."""
    repeated = [str(item) for place, item in enumerate(value) if item in value[:place]]
    if repeated:
        raise ValueError(f"{repeated[0]} is given twice")
    return value
