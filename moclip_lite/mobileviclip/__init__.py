"""MobileViCLIP (ICCV 2025, arXiv 2508.07312): videos and sentences in one space, small enough for a phone.

As published:

* the image encoder of MobileCLIP-S0 (tiny) or S2 (small), 8 frames at 256 x 256, 512 numbers, the mean over
  frames without parameters; the text tower frozen;
* a depthwise convolution over time before each 2-D RepMixer, folded into one kernel for inference;
* a temporal position embedding beside the last stage's convolutional one, and attention over space and time
  jointly with the image model's weights;
* symmetric InfoNCE, learned temperature with floor 0.01, and the schedule of :mod:`.fit`;
* frames at the midpoints of equal parts, the last one repeated in short clips; prompts averaged.

Decided here, where upstream is unknown:

* the temporal branch is x + BN(DWConv1D(x)), norm behind the convolution: the published order does not
  fold exactly on a clip's first and last frame. Kernel 3 in every RepMixer block, zeros beyond the ends;
* that norm's scale and the temporal embedding [1, T, C] begin at zero: a new model is the image model,
  frame by frame, and on a still clip exactly so through the attention too;
* parameters in training form, folded, and without temporal modules: tiny 53.87, 53.80 and 53.85 M, small
  99.30, 99.15 and 99.24 M. Published are 54 and 99 M in the table, 53.9 and 99.2 M to one digit: no branch of three
  taps in every block leaves both in one form;
* pictures from 0 to 1 are not normalised, as MobileCLIP's; the published MobileViCLIP's weights
  get ImageNet's statistics, as their users give them. It is a field of the configuration;
* captions that say the same are no negatives of each other; a flip spares captions with left and right;
* folding goes on to the convolutions' norms and the layer scales, and the folded form is channels-last.
"""

from .config import VARIANTS, MobileViClipConfig
from .importers import ImportReport, import_checkpoint
from .model import MobileViCLIP, build, variant
from .weights import (
    TAGS,
    create_mobileviclip,
    load_model,
    save_model,
)

__all__ = [
    "TAGS",
    "VARIANTS",
    "ImportReport",
    "MobileViCLIP",
    "MobileViClipConfig",
    "build",
    "create_mobileviclip",
    "import_checkpoint",
    "load_model",
    "save_model",
    "variant",
]
