"""The model card: README.md of a repository, made from metrics.json and the configuration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import yaml

from ..experiment.config import Experiment
from ..results.metrics import Metrics
from ..results.report.markdown import markdown_table
from ..results.report.tables import COSTS, SCORES, interval_words, stream_table
from ..streams import ANSWERS
from .address import HubAddress

__all__ = ["model_card"]

_LISTED: Final = 40  # labels that a card lists
_PROTOCOLS: Final = {
    "holdout": "Test clips were set apart once, by group where groups are known.",
    "official": "The official splits of the data set.",
    "kfold": "Cross-validation by groups; scores are pooled over the folds.",
    "leave-one-group-out": "Leave one group out; scores are pooled over the folds.",
}


def model_card(
    address: HubAddress,
    experiment: Experiment,
    labels: Sequence[str],
    metrics: Metrics | None,
    *,
    fold: str | None = None,
    licence: str | None = None,
) -> str:
    """The card in Markdown with its header in YAML.

    Args:
        address: of the repository, with the revision that is pushed to.
        experiment: configuration of the run.
        labels: class names.
        metrics: content of the published metrics.json; None where the run was not tested.
        fold: the fold whose weights are published, where the run has several.
        licence: identifier of the licence of the weights, such as "mit"; None where it is not stated.
    """
    parts = [
        _header(address.name, metrics, licence),
        f"# {address.name}",
        "Action recognition in video from the motion vectors of the compressed stream (moclip-lite): "
        f"{_streams(experiment)}. It tells {len(labels)} classes apart.",
        "## Use",
        _use(address),
        "## Labels",
        _labels(labels),
        "## Data and protocol",
        _data(experiment, metrics, fold),
        *_scores(metrics),
        "## Limits",
        _limits(metrics),
    ]
    return "\n\n".join(parts) + "\n"


def _header(name: str, metrics: Metrics | None, licence: str | None) -> str:
    values: dict[str, Any] = {
        "library_name": "moclip-lite",
        "pipeline_tag": "video-classification",
        "tags": ["action-recognition", "motion-vectors", "compressed-video", "moclip-lite"],
    }
    if licence:
        values["license"] = licence
    best = next((stream for stream in ANSWERS if metrics and stream in metrics.streams), None)
    if metrics and best:
        scores = metrics.streams[best]
        results = [
            {"type": "accuracy", "name": "top-1 %", "value": round(scores.top1, 1)},
            {"type": "accuracy", "name": "mean over classes %", "value": round(scores.macro, 1)},
        ]
        entry = {
            "task": {"type": "video-classification"},
            "dataset": {"name": "the authors' test clips", "type": "custom"},
            "metrics": results,
        }
        values["model-index"] = [{"name": name, "results": [entry]}]
    return f"---\n{yaml.safe_dump(values, sort_keys=False, allow_unicode=True)}---"


def _streams(experiment: Experiment) -> str:
    clip = experiment.clip
    streams = experiment.run.streams
    motion = f"a motion network ({experiment.motion.net})"
    image = f"{clip.frames} frame(s) through a frozen image encoder ({clip.model}, {clip.pretrained})"
    if "fusion" in streams or {"motion", "appearance"} <= set(streams):
        return f"{motion}, {image}, and a fusion head ({experiment.fusion.head})"
    return image if "appearance" in streams else motion


def _use(address: HubAddress) -> str:
    return f"""```bash
pip install "moclip-lite[train,hub]"
moclip predict clip.mp4 --model hf://{address}
moclip pull {address} -o model
```

```python
from moclip_lite import Classifier

Classifier.load("hf://{address}").predict("clip.mp4", top_k=5)
```

A motion-only model needs `moclip-lite[predict,hub]` alone. Weights are safetensors and ONNX files;
nothing is unpickled."""


def _labels(labels: Sequence[str]) -> str:
    table = markdown_table(["number", "label"], [[str(i), name] for i, name in enumerate(labels[:_LISTED])])
    rest = len(labels) - _LISTED
    return table if rest <= 0 else f"{table}\n\nand {rest} more in `labels.json`."


def _data(experiment: Experiment, metrics: Metrics | None, fold: str | None) -> str:
    data = experiment.data
    lines = [f"- Data set: {data.kind}" + (f", re-encoded as {data.recipe}" if data.recipe else "")]
    if metrics and metrics.clips:
        lines.append("- Clips: " + ", ".join(f"{count} {part}" for part, count in metrics.clips.items()))
    lines.append(f"- Protocol: {data.protocol}. {_PROTOCOLS.get(data.protocol, '')}".rstrip())
    if metrics and len(metrics.folds) > 1:
        lines.append(f"- Folds: {len(metrics.folds)}")
    if fold:
        lines.append(f"- The weights are those of one fold, {fold!r}; the scores are over all of them.")
    if metrics and metrics.appearance_weights:
        lines.append(f"- Image encoder: {metrics.appearance_weights}")
    return "\n".join(_plain(line) for line in lines)


def _scores(metrics: Metrics | None) -> list[str]:
    if metrics is None:
        return ["## Scores", "The model was not tested."]
    return [
        "## Scores",
        markdown_table(*stream_table(SCORES, metrics)),
        interval_words(metrics),
        "## Costs of one clip",
        markdown_table(*stream_table(COSTS, metrics)),
    ]


def _limits(metrics: Metrics | None) -> str:
    lines = [
        "It always answers with one of its labels, also for actions that are none of them.",
        "It was trained on clips of one length and kind of camera; "
        "for other cameras, codecs and lengths, test it first.",
        "Motion vectors depend on the encoder: strong compression "
        "and long distances between references make them rough.",
    ]
    if metrics:
        tests = max((scores.n for scores in metrics.streams.values()), default=0)
        lines.append(f"The scores are of {tests} test clips; the intervals say how far they can be trusted.")
        lines += metrics.notes
        if "RANDOM" in (metrics.appearance_weights or ""):
            lines.append(
                "The image encoder has random weights: the appearance stream means nothing on real videos."
            )
    return "\n".join(f"- {_plain(line)}" for line in lines)


def _plain(text: str) -> str:
    """A line in which nothing is markup or a tag."""
    return " ".join(text.split()).replace("<", "&lt;").replace("[", "\\[")
