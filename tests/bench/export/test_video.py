"""Frames become an MP4 and a WebP, and only the WebP where PyAV cannot."""

from __future__ import annotations

import builtins

import numpy as np
import pytest
from PIL import Image

from bench.export import field as field_module
from bench.export import video
from tests.fixtures.balls import ball


def turntable(field, background=1.0, **sizes):
    return field_module.render_path(field, field_module.choose_path(field, **sizes), background=background)


def test_video(tmp_path):
    av = pytest.importorskip("av")
    frames = turntable(ball(), num_frames=6, image_px=33)
    assert video.write_video(tmp_path / "turn", frames, fps=16) == (["turn.mp4", "turn.webp"], None)
    with av.open(str(tmp_path / "turn.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        read = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
        assert stream.average_rate == 16
    assert len(read) == 6 and read[0].shape == (32, 32, 3)
    assert np.abs(np.float32(read) - frames[:, :32, :32]).mean() < 8
    with Image.open(tmp_path / "turn.webp") as image:
        image.load()
        assert (image.n_frames, image.size, image.info["duration"]) == (6, (33, 33), 62)


def test_without_pyav_there_is_still_a_webp(tmp_path, monkeypatch):
    def import_module(name, *rest):
        if name == "av":
            raise ImportError(name)
        return found(name, *rest)

    found = builtins.__import__
    monkeypatch.setattr(builtins, "__import__", import_module)
    frames = np.zeros((2, 8, 8, 3), np.uint8)
    written, why = video.write_video(tmp_path / "turn", frames)
    assert written == ["turn.webp"] and [path.name for path in tmp_path.iterdir()] == written
    assert why == "no MP4: PyAV is not installed (pip install av); the WebP shows the same"


def test_what_ffmpeg_refuses_is_said(tmp_path, monkeypatch):
    pytest.importorskip("av")
    monkeypatch.setattr(video, "H264", "no-such-codec")
    written, why = video.write_video(tmp_path / "turn", np.zeros((2, 8, 8, 3), np.uint8))
    assert written == ["turn.webp"] and why.startswith("no MP4: PyAV could not write it (")
    assert [path.name for path in tmp_path.iterdir()] == written
