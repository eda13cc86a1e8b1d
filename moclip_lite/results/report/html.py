"""Reports as pages that need nothing but themselves: no scripts, no fonts, no network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import yaml

from ...streams import TABLE_ORDER
from .markdown import (
    OPERATIONS,
    about,
    difference_words,
    fold_table,
    how,
)
from .tables import (
    COSTS,
    PUBLISHED,
    cost_rows,
    score_table,
)

if TYPE_CHECKING:
    from .content import ClassRow, Content

__all__ = ["page", "report_page"]


def page(template: str, **values: Any) -> str:
    """Fill a template of this package; every value is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("moclip_lite.results.report"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.globals["numeric"] = _numeric
    return environment.get_template(template).render(**values) + "\n"


def report_page(content: Content) -> str:
    """The page of a run."""
    run, metrics = content.run, content.run.metrics
    has_folds = len(metrics.folds) > 1
    return page(
        "run.html",
        title=run.folder.resolve().name,
        about=about(content),
        content=content,
        run=run,
        metrics=metrics,
        streams=TABLE_ORDER,
        top5="top-5 %" in score_table(metrics)[0],
        differences=[[words, *difference_words(d)] for words, d in content.differences],
        how=how(content.differences[0][1]) if content.differences else "",
        folds=fold_table(content) if has_folds else ([], []),
        class_header=["class", "clips", *run.streams, "gained", "lost"],
        class_rows=[_class_row(row, run.streams) for row in content.classes],
        cost_header=COSTS,
        costs=cost_rows(metrics),
        operations=OPERATIONS,
        published=PUBLISHED,
        seconds=[[stage, f"{value:.1f}"] for stage, value in metrics.seconds.items()],
        failures=[[f["name"], f["stage"], f["reason"]] for f in metrics.failures],
        settings=yaml.safe_dump(_settings(content), sort_keys=False, allow_unicode=True),
    )


def _settings(content: Content) -> dict[str, Any]:
    """The configuration, less the encoder where no stream saw pictures."""
    return {key: value for key, value in content.run.config.items() if key != "clip" or content.looked}


def _class_row(row: ClassRow, streams: Sequence[str]) -> list[str]:
    shares = [row.accuracy.get(stream) for stream in streams]
    cells = ["" if share is None else f"{share:.0f}" for share in shares]
    return [row.label, str(row.clips), *cells, str(row.gained or ""), str(row.lost or "")]


def _numeric(rows: Sequence[Sequence[Any]]) -> set[int]:
    """Columns that hold numbers only, to be set right."""
    if not rows:
        return set()
    plain = str.maketrans("", "", "+-.,%M <±")
    return {
        column
        for column in range(len(rows[0]))
        if all(
            (text := str(row[column]).replace(" to ", "").translate(plain)).isdigit() or not text
            for row in rows
        )
    }
