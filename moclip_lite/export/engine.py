"""ONNX files of a run folder, used by ``predict`` without importing PyTorch.

They are those of ``moclip export``, with digests of what they were made from, at the places that
:mod:`moclip_lite.engine.files` reads; the image encoder is written once for all runs that share it.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..engine.encoder_files import encoder_file, file_digest, keep_encoder, kept_encoder
from ..engine.files import DRAFT, drafts_of, made_from, onnx_folder
from ..engine.pictures import PictureRules
from ..errors import CheckpointError
from ..predict.classifier import Classifier
from ..progress import Reporter, Silent
from ..results.fold_folder import FoldFolder
from ..results.run_folder import RunFolder
from ..storage.digest import digest_bytes
from .classifier import MAX_BYTES, describe, export_heads, export_motion, export_segments
from .compare import compare_files
from .install import install
from .network import OPSET, Exported, export_network
from .pictures import picture_network

__all__ = ["export_engine"]


def export_engine(run: Path, reporter: Reporter | None = None) -> list[Exported]:
    """Write the ONNX files of a run folder beside its weights, and the image encoder into the cache.

    All are compared with PyTorch one by one, and together with what ``predict`` computes.

    Args:
        run: the run folder, or the folder of a fold.
        reporter: told what is left out and why.

    Returns:
        The files written; an image encoder that was there already is not among them.

    Raises:
        CheckpointError: not a run folder, or damaged.
        WeightsUnavailable: the image encoder's weights can't be loaded.
        MoclipError: packages are missing, the disk is full, or the files answer otherwise than PyTorch.
    """
    folder = RunFolder(run)
    folder.require()
    with folder.locked():
        return _export(run, reporter or Silent())


def _export(run: Path, reporter: Reporter) -> list[Exported]:
    classifier = Classifier.load(run, device="cpu", engine="torch")
    folder, place = FoldFolder(run), onnx_folder(FoldFolder(run))
    origin = made_from(folder, classifier.experiment, classifier.labels)
    place.mkdir(exist_ok=True)
    for draft in drafts_of(folder):  # of an export that was killed; this one holds the folder
        shutil.rmtree(draft, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=place, prefix=DRAFT) as name:
        drafts = Path(name)
        metadata = describe(classifier)
        exported = export_motion(classifier, drafts, metadata)
        exported += export_segments(classifier, drafts, metadata)
        exported += export_heads(classifier, drafts, metadata)
        encoder: dict[str, Any] = {}
        pictures: list[Exported] = []
        if classifier.heads:
            encoder, pictures = _export_encoder(classifier, metadata, drafts, reporter)
        files = {file.path.stem: file.path for file in exported}
        if encoder:
            files["pictures"] = encoder_file(classifier.experiment, encoder["key"])
        difference = compare_files(classifier, folder, metadata, files)
        ties = {"difference_from_predict": difference, "made_from": origin, "encoder": encoder}
        return [*install(exported, place, {**metadata, **ties}), *pictures]


def _export_encoder(
    classifier: Classifier, metadata: dict[str, Any], drafts: Path, reporter: Reporter
) -> tuple[dict[str, Any], list[Exported]]:
    """The image encoder in the cache, written if it is not there.

    Returns:
        (its key and digest, the file if it was written). Without one, `metadata` says why, and so does the
        reporter: then PyTorch answers.
    """
    if classifier.own_appearance is not None:
        metadata["no_encoder"] = "the appearance features are precomputed"
        return {}, []
    network, example, rules = picture_network(classifier.encoder, classifier.experiment.clip)
    metadata["preprocessing"]["pictures"] = rules
    try:
        PictureRules.of(rules)
        if sum(p.numel() * p.element_size() for p in network.parameters()) > MAX_BYTES:
            raise CheckpointError("it is too large for an ONNX file")
    except CheckpointError as error:
        metadata["no_encoder"] = str(error)
        reporter.warn(f"no ONNX file of {classifier.encoder.describe()}: {error}; PyTorch will answer")
        return {}, []
    settings = [rules, network.normalize, OPSET, classifier.encoder.weights_digest]
    origin = digest_bytes([json.dumps(settings, sort_keys=True).encode()])
    key = kept_encoder(classifier.experiment, origin)
    description = {"weights": classifier.encoder.weights_digest, "preprocessing": {"pictures": rules}}
    written: list[Exported] = []
    if key is None:
        reporter.say(f"writing {classifier.encoder.describe()} as ONNX into the cache")
        names = {"inputs": ["pictures"], "outputs": ["features"]}
        draft = drafts / "pictures.onnx"
        exported = export_network(network, [example], draft, metadata=description, **names)
        key = keep_encoder(classifier.experiment, origin, draft)
        written = [replace(exported, path=encoder_file(classifier.experiment, key))]
    path = encoder_file(classifier.experiment, key)
    return {"key": key, "digest": file_digest(path), "bytes": path.stat().st_size}, written
