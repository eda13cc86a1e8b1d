"""Run folders on the Hugging Face hub: push, pull, and ``hf://USER/NAME`` in the place of a run folder.

huggingface_hub is the extra ``[hub]``; it is imported where it is used.
"""

from .address import HubAddress
from .local import local_run, run_name

__all__ = ["HubAddress", "local_run", "run_name"]
