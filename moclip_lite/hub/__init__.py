"""Run folders on the Hugging Face hub: push, pull, and ``hf://USER/NAME`` in the place of a run folder.

huggingface_hub is the extra ``[hub]``; it is imported where it is used.
"""

from .address import HubAddress
from .card import model_card
from .pull import local_run, pull
from .push import push

__all__ = ["HubAddress", "local_run", "model_card", "pull", "push"]
