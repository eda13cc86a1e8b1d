"""Optional packages: which extra of moclip-lite brings each, and the sentence where one is not installed.

``pip install moclip-lite`` brings what motion vectors, data set listings and the cache need. All else is
imported by the functions that use it; where it is missing,
the command line prints one sentence with the pip command.
"""

from __future__ import annotations

from typing import Final

__all__ = ["EXTRAS", "TRAINING", "install_hint", "missing_sentence", "pip_command"]

EXTRAS: Final = {
    "aiohttp": "cloud",
    "faiss": "faiss",
    "fastapi": "web",
    "ffmpeg": "transcode",
    "fsspec": "cloud",
    "huggingface_hub": "hub",
    "imageio_ffmpeg": "transcode",
    "jinja2": "predict",
    "matplotlib": "train",
    "multipart": "web",
    "onnx": "train",
    "onnxruntime": "predict",
    "onnxscript": "train",
    "open_clip": "train",
    "optuna": "tune",
    "paho": "mqtt",
    "pandas": "train",
    "prometheus_client": "web",
    "pyarrow": "parquet",
    "ray": "ray",
    "s3fs": "cloud",
    "scipy": "train",
    "sklearn": "train",
    "starlette": "web",
    "tensorboard": "train",
    "threadpoolctl": "train",
    "timm": "train",
    "torch": "train",
    "torchvision": "train",
    "uvicorn": "web",
}
"""Name that is imported -> extra that brings it; pyproject.toml lists the packages of each extra."""

TRAINING: Final = ("torch", "sklearn", "scipy", "matplotlib", "jinja2", "tensorboard")
"""Packages that every training and its report need."""


def pip_command(extra: str) -> str:
    """The command that installs an extra."""
    return f"pip install 'moclip-lite[{extra}]'"


def install_hint(error: BaseException) -> str | None:
    """What to install for a failed import; None for any other error, such as a package that is damaged."""
    name = error.name if isinstance(error, ModuleNotFoundError) else None
    if name not in EXTRAS:
        return None
    return missing_sentence(name)


def missing_sentence(name: str) -> str:
    """What to install for a package that is not there."""
    return f"this needs the package {name}, which is not installed: {pip_command(EXTRAS[name])}"
