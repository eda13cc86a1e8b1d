"""ONNX files of a run's networks, and what ties them to the weights beside them.

``RUN/onnx/`` holds the motion network and the heads, a few megabytes, and ``model.json``, which describes
them. The image encoder, tens to hundreds of megabytes and the same for all runs with its weights, lies once
in the cache (:mod:`.encoder_files`). ``moclip_lite.export.engine`` writes them.

``model.json`` names digests of the weights files, the settings and the labels that the files were made from,
and of the files: others are refused, never used.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from ..errors import CheckpointError
from ..experiment.config import Experiment
from ..experiment.settings.portable import portable_sections
from ..results.fold_folder import ONNX_FOLDER, ONNX_PARTS, FoldFolder
from ..results.int8 import Int8Comparison
from ..storage.digest import digest_file
from ..streams import ANSWERS, Stream
from ..training.weights_file import labels_digest
from .encoder_files import encoder_file, file_digest
from .model_json import INT8, MODEL_JSON, read_model_json

__all__ = [
    "DRAFT",
    "SECTIONS",
    "EngineFiles",
    "OtherSettings",
    "answering_heads",
    "drafts_of",
    "int8_by_default",
    "int8_is_undecided",
    "is_exported",
    "made_from",
    "of_other_settings",
    "onnx_folder",
]

DRAFT: Final = ".export-"
"""Start of the names of folders in which files are being written."""

_KEY: Final = re.compile(r"[0-9a-f]{16,128}", re.ASCII)
_VERSION: Final = 1
"""Of the files' inputs, outputs and description; raise it when an older file must not be used."""

SECTIONS: Final = ("motion", "clip", "fusion", "test")
"""Sections of the configuration that decide the content of the files."""


def onnx_folder(folder: FoldFolder) -> Path:
    """Where the ONNX files of a run folder lie."""
    return folder.path / ONNX_FOLDER


def is_exported(folder: FoldFolder) -> bool:
    """Whether a run folder holds ONNX files."""
    return (onnx_folder(folder) / MODEL_JSON).is_file()


def drafts_of(folder: FoldFolder) -> list[Path]:
    """What a killed export left."""
    return sorted(onnx_folder(folder).glob(f"{DRAFT}*"))


def answering_heads(folder: FoldFolder) -> list[Stream]:
    """The streams whose heads answer and have weights in the folder."""
    return [stream for stream in ANSWERS if stream.sources and folder.has(stream)]


def made_from(folder: FoldFolder, experiment: Experiment, labels: Sequence[str]) -> dict[str, Any]:
    """What decides the content of the files: version, settings without paths, digests of labels and weights.

    Raises:
        OSError: weights can't be read.
    """
    stages = [stage for stage in (Stream.MOTION, *answering_heads(folder)) if folder.has(stage)]
    return {
        "version": _VERSION,
        "settings": _settings(experiment),
        "labels": labels_digest(labels),
        "weights": {str(stage): digest_file(folder.weights(stage)) for stage in stages},
    }


def of_other_settings(folder: FoldFolder, experiment: Experiment) -> bool:
    """Whether a folder holds ONNX files that were written for other settings; False where it holds none."""
    try:
        origin = dict(read_model_json(onnx_folder(folder) / MODEL_JSON)["made_from"])
        written = portable_sections(origin["settings"])
    except (AttributeError, CheckpointError, KeyError, TypeError, ValueError):
        return False
    return written != _settings(experiment)


def _settings(experiment: Experiment) -> dict[str, Any]:
    """The settings that decide the content of the files, without paths."""
    return portable_sections(experiment.model_dump(mode="json", include=set(SECTIONS)))


_DIFFERENCES: Final = {
    "version": "were written by another version of this program",
    "settings": "were written for other settings",
    "labels": "were written for other labels",
    "weights": "belong to other weights than those beside them",
}


class OtherSettings(CheckpointError):
    """ONNX files were written for other settings than those asked for."""


@dataclass(frozen=True)
class EngineFiles:
    """The checked ONNX files of a run folder.

    Attributes:
        networks: "motion" and the heads' streams -> file.
        encoder: file of the image encoder; None where there is no head.
        description: the content of model.json.
        parts: the motion network in two, see ``results.fold_folder.ONNX_PARTS``; empty in folders of older
            versions.
        int8: whether the image encoder is the one in 8-bit integers.
    """

    networks: Mapping[str, Path]
    encoder: Path | None
    description: Mapping[str, Any]
    parts: Mapping[str, Path] = field(default_factory=dict)
    int8: bool = False

    @classmethod
    def find(
        cls, folder: FoldFolder, experiment: Experiment, labels: Sequence[str], int8: bool = False
    ) -> EngineFiles:
        """The files of a run folder.

        Args:
            folder: of the run, or of a fold.
            experiment: the configuration.
            labels: class names.
            int8: take the image encoder in 8-bit integers.

        Raises:
            CheckpointError: there are none, they are damaged or incomplete, or they belong to something else;
                the message is a sentence about them.
        """
        files = cls.without_encoder(folder, experiment, labels)
        if not set(files.networks) - {str(Stream.MOTION)}:
            return files
        try:
            encoder = _encoder(experiment, files.description, int8)
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"{onnx_folder(folder) / MODEL_JSON} is damaged") from error
        return replace(files, encoder=encoder, int8=int8)

    @property
    def digests(self) -> dict[str, str]:
        """Digests by name, which the files were checked with; none of files that are being written."""
        entries = dict(self.description.get("files", {}))
        if self.encoder is not None:
            entries["pictures.onnx"] = self.description.get(INT8 if self.int8 else "encoder", {})
        names = [path.name for path in (*self.networks.values(), *self.parts.values())]
        return {
            name: str(entries[name]["digest"])
            for name in (*names, "pictures.onnx")
            if "digest" in entries.get(name, {})
        }

    @classmethod
    def without_encoder(
        cls, folder: FoldFolder, experiment: Experiment, labels: Sequence[str]
    ) -> EngineFiles:
        """The files in a run folder, without the image encoder, which lies in the cache.

        Raises:
            CheckpointError: see :meth:`find`.
        """
        place = onnx_folder(folder)
        if not is_exported(folder):
            raise CheckpointError(f"{folder.path} has no ONNX files of its networks")
        description = read_model_json(place / MODEL_JSON)
        expected = made_from(folder, experiment, labels)
        try:
            origin, written = dict(description["made_from"]), dict(description["files"])
            origin["settings"] = portable_sections(origin["settings"])  # older versions wrote paths
            for part, words in _DIFFERENCES.items():
                if origin.get(part) != expected[part]:
                    kind = OtherSettings if part == "settings" else CheckpointError
                    raise kind(f"the ONNX files in {place} {words}")
            stages = list(expected["weights"])
            networks = {stage: place / f"{stage}.onnx" for stage in stages}
            parts = {name: place / f"{name}.onnx" for name in ONNX_PARTS if f"{name}.onnx" in written}
            for path in (*networks.values(), *parts.values()):
                _check(path, str(written[path.name]["digest"]), digest_file(path) if path.is_file() else None)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"{place / MODEL_JSON} is damaged") from error
        return cls(networks, None, description, parts)


def _encoder(experiment: Experiment, description: Mapping[str, Any], int8: bool) -> Path:
    """The image encoder in the cache."""
    encoder = description.get("encoder")
    if int8 and encoder:
        encoder = description.get(INT8)
        if not encoder or "key" not in encoder:
            reason = f": {str(encoder['refused'])[:300]}" if encoder and "refused" in encoder else ""
            raise CheckpointError(
                f"the image encoder {experiment.clip.model} has no ONNX file in int8{reason}"
            )
    if not encoder:
        raise CheckpointError(
            f"no ONNX file of the image encoder {experiment.clip.model} could be written: "
            f"{description.get('no_encoder') or 'unknown reason'}"
        )
    if not _KEY.fullmatch(str(encoder["key"])):
        raise ValueError("not a key")
    path = encoder_file(experiment, str(encoder["key"]))
    if not path.is_file():
        raise CheckpointError(f"the ONNX file of the image encoder is missing in the cache ({path})")
    _check(path, str(encoder["digest"]), file_digest(path))
    return path


def int8_by_default(description: Mapping[str, Any]) -> tuple[bool, str]:
    """Whether the image encoder in int8 answers by default, by the figures of its comparison with float32.

    Args:
        description: the content of model.json.

    Returns:
        (whether it does, why: a sentence; "" where int8 was not considered).

    Raises:
        CheckpointError: the figures are damaged.
    """
    entry = description.get(INT8)
    if not entry or not description.get("encoder"):
        return False, ""
    try:
        if "refused" in entry:
            return False, f"the image encoder computes in float32: {str(entry['refused'])[:300]}"
        figures = Int8Comparison.of(entry.get("comparison"))
    except (AttributeError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{MODEL_JSON} is damaged: the figures of the encoder in int8: {error}"
        ) from error
    if figures.default_problem:
        return False, f"the image encoder computes in float32: {figures.default_problem}"
    return True, f"the image encoder computes in int8: {figures.words}; --engine onnx computes in float32"


def int8_is_undecided(folder: FoldFolder) -> bool:
    """Whether there is an image encoder as ONNX file that was not yet compared with one in int8.

    Raises:
        CheckpointError: the description of the files is damaged.
    """
    if not is_exported(folder):
        return False
    description = read_model_json(onnx_folder(folder) / MODEL_JSON)
    return bool(description.get("encoder")) and INT8 not in description


def _check(path: Path, expected: str, found: str | None) -> None:
    if found is None:
        raise CheckpointError(f"{path} is missing")
    if found != expected:
        raise CheckpointError(f"{path} is damaged or was replaced")
