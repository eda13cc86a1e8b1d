"""Settings of a data set: which clips, and how they are divided."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator
from typing_extensions import Self

from ..settings import Settings, UrlPath, UserPath, refuse_repeats

__all__ = ["DataSettings"]


class DataSettings(Settings):
    """Which clips, and how they are divided."""

    kind: Literal["folder", "ucf101", "synthetic", "table", "features", "shards"] = Field(
        "folder", description="layout of the data"
    )
    root: UrlPath | None = Field(
        None,
        description="folder of the clips (of a table: the table's own by default), "
        "file of features, or folder of shards",
    )
    table: UrlPath | None = Field(
        None, description="annotation table (kind table); for other kinds a table of groups and splits"
    )
    appearance: UserPath | None = Field(
        None,
        description="precomputed appearance features by clip "
        "(.npz, .safetensors, .parquet), in place of clip.model",
    )
    recipe: str | None = Field(None, description="sub-folder of root: one encoding of several")
    train_recipes: tuple[str, ...] = Field(
        (),
        description="encodings to train on, drawn in each epoch, the first validated on; sub-folders of root",
    )
    group_pattern: str | None = Field(None, description="regular expression with one group, on file names")
    protocol: Literal["holdout", "kfold", "leave-one-group-out", "official"] = Field(
        "holdout", description="how test is set apart"
    )
    folds: int | None = Field(
        None,
        ge=2,
        le=1000,
        description="kfold: parts, 5 by default; leave-one-group-out: at most so many groups",
    )
    test_fraction: float = Field(0.25, gt=0, lt=1, description="share of clips for test (holdout)")
    val_fraction: float = Field(0.2, gt=0, lt=1, description="share of train for validation")
    train_per_class: int | None = Field(
        None,
        ge=1,
        le=1_000_000_000,
        description="at most so many clips of a class to train on, and as many more to validate on; "
        "refit trains on both",
    )
    splits_dir: UserPath | None = Field(
        None, description="folder of UCF101's lists; none for a prepared folder"
    )
    splits: tuple[Annotated[int, Field(ge=1, le=1000)], ...] = Field(
        (1,), min_length=1, description="official splits to run"
    )
    shared_groups: bool = Field(False, description="continue where train, validation and test share groups")
    skip_missing: bool = Field(False, description="continue without absent clips and empty classes")
    buffer: int | None = Field(
        None,
        ge=2,
        le=1_000_000_000,
        description="clips in memory and in the shuffle buffer: "
        "shards, 65,536 by default; features, all by default",
    )
    clips_per_class: int = Field(20, ge=4, le=100_000, description="synthetic: clips to generate per class")
    frames: int = Field(24, ge=2, le=10_000, description="synthetic: frames per clip")

    _splits_once = field_validator("splits", "train_recipes")(refuse_repeats)

    @model_validator(mode="after")
    def _one_source_of_features(self) -> Self:
        if self.kind in ("features", "shards") and self.appearance is not None:
            raise ValueError(
                f"data.kind={self.kind} has features of its own; data.appearance joins them to videos"
            )
        return self

    @model_validator(mode="after")
    def _shards_are_alone(self) -> Self:
        if self.kind == "shards" and (self.recipe or self.train_recipes or self.table):
            raise ValueError("data.kind=shards knows its clips; leave out recipe, train_recipes and table")
        return self

    @model_validator(mode="after")
    def _check_recipes(self) -> Self:
        if self.train_recipes and self.recipe is None:
            raise ValueError("train_recipes need recipe, the encoding that is tested on; name it too")
        return self
