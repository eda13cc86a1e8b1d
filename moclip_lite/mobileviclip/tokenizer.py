"""Tokenizer of both text towers: OpenAI's byte pair encoding."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

from mv_tools import ArgumentError

from ..storage.names import is_blank
from .config import CONTEXT

__all__ = ["tokenize"]

log = logging.getLogger("moclip.text")


def tokenize(texts: Sequence[str], warn: Callable[[str], None] = log.warning) -> Tensor:
    """Encode texts as int64 [N, 77]; longer texts are cut.

    Args:
        texts: the texts.
        warn: told of each text that is cut.

    Raises:
        ValueError: an empty text, or no text.
    """
    texts = list(texts)
    if not texts:
        raise ArgumentError("there is no text to encode")
    for number, text in enumerate(texts, start=1):
        if not isinstance(text, str) or is_blank(text):
            raise ArgumentError(f"text {number} of {len(texts)} is empty; say what to look for")
    tokenizer = _tokenizer()
    rows = torch.zeros(len(texts), CONTEXT, dtype=torch.int64)
    for row, text in zip(rows, texts, strict=True):
        tokens = tokenizer.encode(text)
        if len(tokens) > CONTEXT - 2:
            beginning = text.strip()[:40]
            warn(f"the text {beginning!r}... has {len(tokens)} tokens; cut to {CONTEXT - 2}")
        tokens = [tokenizer.sot_token_id, *tokens[: CONTEXT - 2], tokenizer.eot_token_id]
        row[: len(tokens)] = torch.tensor(tokens)
    return rows


@cache
def _tokenizer() -> Any:
    from open_clip.tokenizer import SimpleTokenizer

    return SimpleTokenizer()  # reads its vocabulary
