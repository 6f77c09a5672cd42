"""Views as pictures and back."""

import numpy as np

from bench.storage import archived_pictures


def views(num=17):
    color = np.linspace(0, 1, num * 8 * 8 * 3).reshape(num, 8, 8, 3).astype(np.float16)
    strip = {"strip": color[:3], "strip_steps": np.asarray([10, 20, 30], np.int32)}
    return {"color": color, "opacity": color[..., 0], "ids": np.arange(num, dtype=np.int32), **strip}


def test_a_few_views_and_the_strip_are_kept_as_pictures():
    kept = archived_pictures.encode_views(views())
    assert sorted(kept) == ["strip-10-20-30.webp", "views-1-5.webp"]
    back = archived_pictures.decode_views(kept | {"record.json": b"{}"})
    assert back["ids"].tolist() == [1, 5] and back["strip_steps"].tolist() == [10, 20, 30]
    np.testing.assert_allclose(back["color"], views()["color"][[1, 5]], atol=0.05)
    np.testing.assert_allclose(back["strip"], views()["strip"], atol=0.05)
    assert "opacity" not in back
    assert list(archived_pictures.encode_views({"color": views()["color"][:1], "ids": np.asarray([3])})) == []


def test_a_view_that_is_set_against_photographs_loses_no_shade():
    kept = archived_pictures.encode_views(views(), (7,), lossless=True)
    assert "views-7.webp" in kept
    back = archived_pictures.decode_views(kept)["color"][0].astype(np.float32)
    np.testing.assert_allclose(back, views()["color"][7].astype(np.float32), atol=0.5 / 255 + 1e-3)
