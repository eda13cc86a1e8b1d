"""Models of a run, loaded from its folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...datasets import Clip
from ...errors import CheckpointError
from ...fusion import build_head
from ...fusion.heads.base import Head
from ...fusion.streamed import StreamedTable
from ...fusion.tables import FeatureTable
from ...motion.network import MotionNet, build_motion_net
from ...results.fold_folder import FoldFolder
from ...results.fold_result import FoldResult
from ...results.trained_on import check_sources
from ...storage.files import read_tensors
from ...streams import Stream
from ...training.checkpoint import load_weights
from ...training.freeze import freeze
from ..config import Experiment
from .features import FoldFeatures

__all__ = ["StoredModels", "load_head", "load_motion_network"]


def load_motion_network(
    folder: FoldFolder, experiment: Experiment, labels: Sequence[str]
) -> MotionNet | None:
    """Load the motion network of a folder, frozen; None if it holds none.

    Raises:
        CheckpointError: damaged, or made for other labels.
    """
    if not folder.has(Stream.MOTION):
        return None
    network = build_motion_net(experiment.motion, len(labels), pretrained=False)
    load_weights(folder.weights(Stream.MOTION), network, labels)
    freeze(network)
    return network


def load_head(folder: FoldFolder, stream: Stream, experiment: Experiment, labels: Sequence[str]) -> Head:
    """Load the head of a stream, frozen.

    Raises:
        CheckpointError: missing, damaged, or made for other labels.
    """
    path = folder.weights(stream)
    arrays, _ = read_tensors(path)
    try:
        motion_dim, appearance_dim = (len(arrays[f"{name}_norm.mean"]) for name in ("motion", "appearance"))
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"{path} does not hold a head") from error
    head = build_head(experiment.fusion, experiment.head_of(stream), motion_dim, appearance_dim, len(labels))
    load_weights(path, head, labels)
    freeze(head)
    return head


class StoredModels:
    """Models of a fold that are loaded from its folder.

    Args:
        features: of the fold.
        folder: holds the weights.
    """

    def __init__(self, features: FoldFeatures, folder: FoldFolder) -> None:
        self._features, self._folder, self._session = features, folder, features.session
        self.result = FoldResult(features.fold.name)

    def motion_network(self) -> MotionNet | None:
        """Load the motion network; None if there is none.

        Raises:
            CheckpointError: see :func:`load_motion_network`.
        """
        network = load_motion_network(self._folder, self._session.experiment, self._features.labels)
        return None if network is None else network.to(self._session.device)

    def head(
        self,
        stream: Stream,
        tables: Mapping[str, FeatureTable | StreamedTable],
        clips: Mapping[str, Sequence[Clip]],
    ) -> Head:
        """Load a head.

        Raises:
            CheckpointError: see :func:`load_head`; or trained on other features.
        """
        check_sources(self._folder, stream, self._features.source_digests(stream.sources))
        head = load_head(self._folder, stream, self._session.experiment, self._features.labels)
        return head.to(self._session.device)

    def validation_scores(self, stream: Stream) -> None:
        """None: only the weights that answer are loaded."""
