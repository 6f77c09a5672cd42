"""Writes frames as an animated WebP and as an MP4 video."""

from __future__ import annotations

import io
import pathlib
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from tasks.data_dir.atomic_files import write_file

H264 = "libx264"


def write_video(
    path: pathlib.Path, frames: UInt8[np.ndarray, "n h w 3"], fps: int = 16
) -> tuple[list[str], str | None]:
    """Write frames as an animated WebP, and as MP4 (H.264) if PyAV can.

    Args:
        path: Path of the files, without an ending.
        frames: Frames of any size.
        fps: Frames a second.

    Returns:
        Names of the files, and the reason that there is no MP4; None if there is one.
    """
    images = [Image.fromarray(frame) for frame in frames]
    out = io.BytesIO()
    images[0].save(
        out, format="WEBP", save_all=True, append_images=images[1:], duration=round(1000 / fps), loop=0, quality=90
    )
    write_file(path.with_name(f"{path.name}.webp"), out.getvalue(), sync=False)
    try:
        import av
    except ImportError:
        return [f"{path.name}.webp"], "no MP4: PyAV is not installed (pip install av); the WebP shows the same"
    try:
        write_file(path.with_name(f"{path.name}.mp4"), mp4(frames, fps), sync=False)
    except (av.FFmpegError, ValueError) as error:  # an FFmpeg without x264, or one that refuses
        return [f"{path.name}.webp"], f"no MP4: PyAV could not write it ({error}); the WebP shows the same"
    return [f"{path.name}.mp4", f"{path.name}.webp"], None


def mp4(frames: UInt8[np.ndarray, "n h w 3"], fps: int) -> bytes:
    """Encode frames as H.264 in 4:2:0, which every browser plays; an odd side loses its last pixel."""
    import av

    height, width = (size - size % 2 for size in frames.shape[1:3])
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as container:
        stream: Any = container.add_stream(H264, rate=fps, options={"crf": "17"})
        stream.width = width
        stream.height = height
        stream.pix_fmt = "yuv420p"
        for frame in frames[:, :height, :width]:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        container.mux(stream.encode())
    return out.getvalue()
