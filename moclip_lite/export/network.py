"""Export of one network to ONNX, compared with PyTorch before it is written."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from ..engine.network_file import described_network
from ..engine.runtime import open_session
from ..errors import MissingPackage, MoclipError
from ..extras import pip_command
from ..progress import logger_level
from ..storage.files import atomic_path

__all__ = ["OPSET", "TOLERANCE", "Exported", "export_network"]

OPSET: Final = 20
TOLERANCE: Final = 1e-4
"""Largest difference from PyTorch, relative to the largest output where that exceeds 1."""


@dataclass(frozen=True)
class Exported:
    """A file, its input and output names, and how far ONNX Runtime's outputs are from PyTorch's."""

    path: Path
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    difference: float


def export_network(
    network: nn.Module,
    examples: Sequence[Tensor],
    path: Path,
    *,
    inputs: Sequence[str],
    outputs: Sequence[str],
    metadata: Mapping[str, Any] | None = None,
    counted: Sequence[str] = (),
) -> Exported:
    """Write a network and compare it with PyTorch on the examples, and on fewer in each dynamic dimension.

    Args:
        network: in evaluation mode.
        examples: inputs with a batch of at least 2 in front.
        path: of the .onnx file.
        inputs, outputs: their names in the file.
        metadata: what a user of the file must know, in plain values; each is stored as JSON.
        counted: names of the second dimension of each input, if it may have any length; else it is fixed.

    Raises:
        MoclipError: packages are missing, or ONNX Runtime answers otherwise than PyTorch.
    """
    _require_packages()
    batch = torch.export.Dim("batch", min=1, max=4096)
    shapes: tuple[dict[int, Any], ...] = tuple({0: batch} for _ in examples)
    for shape, name in zip(shapes, counted, strict=False):
        shape[1] = torch.export.Dim(name, min=1, max=4096)
    with atomic_path(path) as draft, torch.no_grad():
        silent = redirect_stdout(io.StringIO())  # older versions of onnxscript print what they rewrote
        with silent, warnings.catch_warnings(), logger_level("torch.onnx", logging.ERROR):
            warnings.simplefilter("ignore")  # the exporter warns of its own deprecations
            torch.onnx.export(
                network,
                tuple(examples),
                str(draft),
                opset_version=OPSET,
                dynamo=True,
                external_data=False,
                input_names=list(inputs),
                output_names=list(outputs),
                dynamic_shapes=shapes,
                verbose=False,
            )
        draft.write_bytes(described_network(draft, metadata or {}))
        tried = [examples, [x[:1] for x in examples]]
        if counted:
            tried += [[x[:, :1] for x in examples], [x[:1].repeat_interleave(3, dim=1) for x in examples]]
        difference = max(_difference(network, rows, draft) for rows in tried)
        if not difference <= TOLERANCE:
            raise MoclipError(
                f"{path}: ONNX Runtime's outputs differ from PyTorch's by {difference:.1e}, "
                f"more than {TOLERANCE:.0e}; not written"
            )
    return Exported(path, tuple(inputs), tuple(outputs), difference)


def _difference(network: nn.Module, examples: Sequence[Tensor], path: Path) -> float:
    session = open_session(path)
    feed = {entry.name: x.numpy() for entry, x in zip(session.get_inputs(), examples, strict=True)}
    expected = network(*examples)
    outputs = session.run(None, feed)
    differences = []
    for one, other in zip(expected if isinstance(expected, tuple) else (expected,), outputs, strict=True):
        scale = max(1.0, float(one.abs().max()))
        differences.append(float(np.abs(one.numpy() - other).max()) / scale)
    return max(differences)


def _require_packages() -> None:
    try:
        import onnx  # noqa: F401 - the exporter needs it
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise MissingPackage(f"export needs ONNX and its runtime: {pip_command('train')}") from error
