"""Label a clip with what `moclip export RUN --out FOLDER` wrote; ONNX Runtime, NumPy and Pillow, no PyTorch.

python docs/examples/predict_onnx.py FOLDER clip.mp4
"""

import json
import sys
from pathlib import Path

import numpy as np
from onnxruntime import InferenceSession
from PIL import Image

from moclip_lite.appearance.extract import read_clip_frames
from moclip_lite.appearance.settings import AppearanceSettings
from moclip_lite.motion.read import read_motion_clip
from moclip_lite.motion.settings import MotionSpec

folder, clip = Path(sys.argv[1]), Path(sys.argv[2])
about = json.loads((folder / "model.json").read_text())
networks = {name: InferenceSession(folder / name) for name in about["files"]}
rules = about["preprocessing"]  # what is read of a clip, and how its pictures are resized


def prepare(picture):
    """uint8 [H, W, 3] -> float32 [3, S, S] in 0..1: the short side resized, then the middle square, or the reverse."""
    image, size, how = Image.fromarray(picture), rules["pictures"]["size"], rules["pictures"]["resize"]
    kind, short = Image.Resampling[rules["pictures"]["interpolation"].upper()], min(image.size)
    if how == "shortest":
        image = image.resize([size * side // short for side in image.size], kind)
        left, top = (round((side - size) / 2) for side in image.size)
        image = image.crop((left, top, left + size, top + size))
    else:
        left, top = ((side - short) / 2 for side in image.size)
        image = image.resize((size, size), kind, (left, top, left + short, top + short))
    return np.asarray(image, np.float32).transpose(2, 0, 1) / 255


motion = read_motion_clip(clip, MotionSpec(**rules["motion"])) if "motion.onnx" in networks else None
if motion is not None:
    scores, tokens = networks["motion.onnx"].run(None, {"motion": motion.motion[None].astype(np.float32)})
if "pictures.onnx" in networks:
    frames = AppearanceSettings(**{key: rules["pictures"][key] for key in ("frames", "positions")})
    pictures = np.stack([prepare(picture) for picture in read_clip_frames(clip, frames)])
    clips = len(networks["pictures.onnx"].get_inputs()[0].shape) == 5  # of an encoder that sees whole clips
    (features,) = networks["pictures.onnx"].run(None, {"pictures": pictures[None] if clips else pictures})
    moving = motion is not None and not motion.empty and "fusion.onnx" in networks
    head = networks["fusion.onnx" if moving else "appearance.onnx"]
    shape = head.get_inputs()[0].shape[1:]  # the appearance head takes motion tokens and ignores them
    tokens = tokens if moving else np.zeros((1, *shape), np.float32)
    (scores,) = head.run(None, {"motion_tokens": tokens, "appearance_features": features[None]})
weights = np.exp(scores[0] - scores.max())
for index in np.argsort(-weights)[:5]:
    print(f"{about['labels'][index]}\t{weights[index] / weights.sum():.5f}")  # noqa: T201
