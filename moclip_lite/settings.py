"""What all sections of a configuration have in common: frozen, checked, and no unknown keys."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Final, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, PlainSerializer
from pydantic_core import PydanticCustomError

from mv_tools.errors import ArgumentError
from mv_tools.urls import is_url, spelled, url_of

__all__ = ["CREDENTIALS", "Settings", "UrlPath", "UserPath", "refuse_repeats"]


CREDENTIALS: Final = "credentials"
"""Type of the error of a URL with credentials, whose value must not be repeated."""


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


def _refuse_credentials(value: Any) -> Any:
    """Refuse a URL with credentials."""
    if isinstance(value, (str, Path)):
        try:
            url_of(value)
        except ArgumentError as error:
            raise PydanticCustomError(CREDENTIALS, "{reason}", {"reason": str(error)}) from None
    return value


def _refuse_url(path: Path) -> Path:
    if is_url(path):
        raise ValueError("a path on this machine is expected; copy what is at the URL here first")
    return path


UrlPath: TypeAlias = Annotated[
    Path,
    BeforeValidator(_refuse_credentials),
    BeforeValidator(_refuse_empty),
    AfterValidator(_expand_home),
    PlainSerializer(spelled, return_type=str, when_used="json"),
]
"""A path as people write it, or a URL; ``~`` is the home folder."""

UserPath: TypeAlias = Annotated[UrlPath, AfterValidator(_refuse_url)]
"""A path on this machine as people write it; ``~`` is the home folder."""


def refuse_repeats(value: tuple[Any, ...]) -> tuple[Any, ...]:
    """Validator of lists whose items must differ."""
    repeated = [str(item) for place, item in enumerate(value) if item in value[:place]]
    if repeated:
        raise ValueError(f"{repeated[0]} is given twice")
    return value
