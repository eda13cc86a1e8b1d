"""Write a clip with PyAV, and read its motion vectors from the stream: what a new wheel must do on its platform."""

import tempfile
from pathlib import Path

import av
import numpy as np

import mv_tools

texture = np.random.default_rng(7).integers(0, 255, (64, 96 + 3 * 8, 3), dtype=np.uint8)
texture = np.kron(texture[::4, ::4], np.ones((4, 4, 1), np.uint8))
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "clip.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"g": "12", "bf": "0"})
        stream.width, stream.height = 96, 64
        for i in range(8):
            frame = av.VideoFrame.from_ndarray(
                np.ascontiguousarray(texture[:, 3 * i : 3 * i + 96]), format="rgb24"
            )
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    decoder = mv_tools.MotionDecoder(path)
    frames = list(decoder)
    assert decoder.backend == "native", decoder.backend
    assert max(int(abs(frame.mv).max()) for frame in frames) > 0
    print(f"{len(frames)} pictures through {decoder.backend}: {frames[4]}")
    del decoder  # Windows removes no file that is open
