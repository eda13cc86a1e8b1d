"""Label a clip with what `moclip export RUN --out FOLDER` wrote; ONNX Runtime, NumPy and Pillow, no PyTorch.

python docs/examples/predict_onnx.py FOLDER clip.mp4
"""

import json
import sys
from pathlib import Path

import numpy as np
from onnxruntime import InferenceSession
from PIL import Image

from moclip_lite.appearance.pooling import pool_frames
from moclip_lite.appearance.settings import AppearanceSettings
from moclip_lite.motion.settings import MotionSpec
from moclip_lite.predict.read_file import FileReader

folder, clip = Path(sys.argv[1]), Path(sys.argv[2])
description = json.loads((folder / "model.json").read_text())
networks = {name: InferenceSession(folder / name) for name in description["files"]}
preprocessing = description["preprocessing"]  # which motion is read, how frames are resized


def prepare(picture):
    """Resize and crop a picture, uint8 [H, W, 3] -> float32 [3, S, S] in 0..1."""
    rules = preprocessing["pictures"]
    image, size = Image.fromarray(picture), rules["size"]
    resample, short = Image.Resampling[rules["interpolation"].upper()], min(image.size)
    if rules["resize"] == "shortest":
        target = rules.get("short_side") or size
        image = image.resize([target * side // short for side in image.size], resample)
        left, top = (round((side - size) / 2) for side in image.size)
        image = image.crop((left, top, left + size, top + size))
    else:
        left, top = ((side - short) / 2 for side in image.size)
        image = image.resize((size, size), resample, (left, top, left + short, top + short))
    return np.asarray(image, np.float32).transpose(2, 0, 1) / 255


# Frames may be chosen, cropped and pooled by the motion of the clip: the settings of the run say how.
spec = MotionSpec(**preprocessing["motion"]) if "motion.onnx" in networks else None
looks = AppearanceSettings(**description["clip"]) if "pictures.onnx" in networks else None
read = FileReader(clip, spec, looks).both()
motion = read.motion
if motion is not None:
    scores, tokens = networks["motion.onnx"].run(None, {"motion": motion.motion[None].astype(np.float32)})
if looks is not None:
    pictures = np.stack([prepare(picture) for picture in read.pictures])
    takes_clips = len(networks["pictures.onnx"].get_inputs()[0].shape) == 5  # a video encoder
    pictures = pictures[None] if takes_clips else pictures
    (features,) = networks["pictures.onnx"].run(None, {"pictures": pictures})
    features = pool_frames(features, looks.pooling, read.facts)
    has_motion = motion is not None and not motion.empty and "fusion.onnx" in networks
    head = networks["fusion.onnx" if has_motion else "appearance.onnx"]
    size = head.get_inputs()[0].shape[-1]  # the appearance head takes motion tokens and ignores them
    tokens = tokens if has_motion else np.zeros((1, 1, size), np.float32)
    (scores,) = head.run(None, {"motion_tokens": tokens, "appearance_features": features[None]})
weights = np.exp(scores[0] - scores.max())
for index in np.argsort(-weights)[:5]:
    print(f"{description['labels'][index]}\t{weights[index] / weights.sum():.5f}")  # noqa: T201
