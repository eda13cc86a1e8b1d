"""The client of the hub, and its errors as sentences."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from ..errors import MissingPackage, MoclipError
from ..extras import pip_command

__all__ = ["HubError", "HubOffline", "client", "endpoint", "explained", "token"]

_TRANSPORT: Final = ("httpx", "httpx2", "httpcore", "requests")
_LOGIN: Final = "set HF_TOKEN, or run `hf auth login`"


class HubError(MoclipError):
    """The hub refuses a request or answers it wrongly; the message says what to do."""


class HubOffline(HubError):
    """The hub can't be reached."""


def endpoint() -> str:
    """Address of the hub: ``$HF_ENDPOINT``, else that of Hugging Face."""
    return (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")


def token() -> str | None:
    """The token of the environment, or of an earlier login."""
    _require()
    from huggingface_hub import get_token

    return get_token()


def client() -> Any:
    """huggingface_hub's client of :func:`endpoint`, without bars: the command line draws its own."""
    _require()
    from huggingface_hub import HfApi
    from huggingface_hub.utils.tqdm import disable_progress_bars

    disable_progress_bars()
    return HfApi(endpoint=endpoint(), token=token() or False, library_name="moclip-lite")


def _require() -> None:
    try:
        import huggingface_hub  # noqa: F401
    except ImportError as error:
        raise MissingPackage(f"the hub needs huggingface_hub: {pip_command('hub')}") from error


@contextmanager
def explained(action: str) -> Iterator[None]:
    """Turn errors of the client into sentences, without its addresses, which may hold signatures.

    Args:
        action: what was tried, such as "push to user/name".

    Raises:
        HubOffline: no connection.
        HubError: any other error of the client.
    """
    from huggingface_hub import errors

    try:
        yield
    except errors.OfflineModeIsEnabled as error:
        raise HubOffline(f"can't {action}: HF_HUB_OFFLINE is set") from error
    except errors.HfHubHTTPError as error:
        raise HubError(f"can't {action}: {_reason(error)}") from error
    except errors.HFValidationError as error:
        raise HubError(f"can't {action}: the hub's client refuses the name") from error
    except (errors.FileMetadataError, errors.LocalEntryNotFoundError, ConnectionError, TimeoutError) as error:
        raise HubOffline(f"can't {action}: {_unreachable()}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise HubError(f"can't {action}: {endpoint()} does not answer as the hub does") from error
    except Exception as error:
        # Transport errors are of httpx or httpx2, by the version of the client;
        # hf_xet raises plain RuntimeErrors.
        if type(error).__module__.partition(".")[0] in _TRANSPORT:
            raise HubOffline(f"can't {action}: {_unreachable()}") from error
        if isinstance(error, RuntimeError):
            cause = error.__cause__
            reason = _reason(cause) if isinstance(cause, errors.HfHubHTTPError) else "the transfer failed"
            raise HubError(f"can't {action}: {reason}; the same command resumes") from error
        raise


def _unreachable() -> str:
    return f"{endpoint()} can't be reached, or the connection broke off; the same command resumes"


def _reason(error: Any) -> str:
    """Why the hub refuses, from the status code and its own words."""
    status = getattr(getattr(error, "response", None), "status_code", 0)
    said = " ".join(str(getattr(error, "server_message", None) or "").split())[:200]
    secret = token()
    if secret:
        said = said.replace(secret, "***")
    suffix = f" ({said})" if said else ""
    known = {
        401: f"there is no such repository, or the hub does not accept the token; {_LOGIN}",
        403: "the token does not allow it; it needs the permission to write for a push",
        404: "there is no such repository, revision or file",
        409: "it exists already",
        413: "the hub takes no file as large as this",
        429: "too many requests; wait some minutes",
    }
    return known.get(status, f"the hub answered with status {status}") + suffix
