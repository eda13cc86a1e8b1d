"""Exports to ONNX without what torch and onnxscript compute anew for each network and always find alike.

PYTEST_DONT_REWRITE: a plugin.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session")
def quick_exports() -> Iterator[None]:
    """From here on a process reads the 500 translations of operators to ONNX once; the files are the same.

    Versions of torch that have other internals take their time.
    """
    import torch._export.utils as operators
    from torch.onnx._internal.exporter._registration import ONNXRegistry

    with pytest.MonkeyPatch.context() as patch:
        for owner, name in ((ONNXRegistry, "from_torchlib"), (operators, "_materialize_cpp_cia_ops")):
            if hasattr(owner, name):
                patch.setattr(owner, name, staticmethod(functools.cache(getattr(owner, name))))
        yield
