"""Requests that the server refuses: a status code and a sentence."""

from __future__ import annotations

from ...errors import MoclipError

__all__ = ["Refusal"]


class Refusal(MoclipError):
    """A request that is not carried out.

    Args:
        status: of the HTTP response.
        sentence: what was wrong and what to do.
        retry_after: seconds after which trying again makes sense.
    """

    def __init__(self, status: int, sentence: str, retry_after: int | None = None) -> None:
        super().__init__(sentence)
        self.status, self.sentence, self.retry_after = status, sentence, retry_after

    @property
    def headers(self) -> dict[str, str]:
        """Headers of the response."""
        headers = {} if self.retry_after is None else {"retry-after": str(self.retry_after)}
        if self.status == 401:
            headers["www-authenticate"] = 'Bearer realm="moclip"'
        return headers
