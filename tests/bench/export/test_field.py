"""A ball rendered from all sides and asked at points; parameters that a store gives back."""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from bench.errors import UsageError
from bench.export import field as field_module
from bench.suites.trial import Trial
from models.dream_fields.presets import DREAM_FIELDS_2022, DREAM_FIELDS_SHAPE
from models.nerf import NERF
from tasks.budgets import BUDGETS, sized
from tests.fixtures.balls import AXES_COLORS, RADIUS, Ball, ball
from tests.fixtures.toys import ToyMethod, ToyTask


def turntable(field, background=1.0, **sizes):
    return field_module.render_path(field, field_module.choose_path(field, **sizes), background=background)


class TestTurntable:
    def test_frames(self):
        frames = turntable(ball(), num_frames=4, image_px=40)
        assert frames.shape == (4, 40, 40, 3)
        assert (frames[:, 0, 0] == 255).all()  # white, though the field renders on grey
        # A ball of radius 0.7 seen from 4: the angle of its edge is asin(0.7 / 4), the image spans 40 degrees.
        wide = np.tan(np.arcsin(RADIUS / 4)) / np.tan(np.radians(40 / 2 * 39.6 / 40))
        covered = np.mean(frames.min(axis=-1) < 240)
        np.testing.assert_allclose(covered, np.pi / 4 * wide**2, rtol=0.05)

    def test_turns_from_x_toward_y(self):
        frames = turntable(ball(), num_frames=4, image_px=41, elevation_deg=0.0)
        middle = frames[:, 20, 20] / 255
        np.testing.assert_allclose(middle, [AXES_COLORS[i] for i in (0, 1, 0, 1)], atol=0.01)
        above = turntable(ball(), num_frames=1, image_px=41, elevation_deg=89.9)[0, 20, 20] / 255
        np.testing.assert_allclose(above, AXES_COLORS[2], atol=0.01)

    def test_any_grey_behind(self):
        for grey in (0.0, 0.5, 1.0):
            frame = turntable(ball(), num_frames=1, image_px=16, background=grey)[0]
            assert (frame[0, 0] == round(255 * grey)).all()
            assert (frame[8, 8] != frame[0, 0]).any()


def test_videos_of_captions_have_more_samples_than_scored_views(monkeypatch):
    made, photographed = (sized(method, BUDGETS["fine"]) for method in (DREAM_FIELDS_SHAPE, NERF))
    published = sized(DREAM_FIELDS_2022, BUDGETS["paper"])
    assert field_module.video_samples(made) == 64
    monkeypatch.setattr(field_module.devices, "is_cpu", lambda: False)
    assert field_module.video_samples(made) == 256
    assert field_module.video_samples(published) == 512  # enough as it is
    assert field_module.video_samples(photographed) is None  # it has importance samples


def test_one_program_for_any_number_of_points(monkeypatch):
    monkeypatch.setitem(field_module.POINTS_AT_ONCE, "cpu", 100)
    points = np.random.RandomState(0).uniform(-1, 1, (257, 3)).astype(np.float32)
    before = len(field_module.devices._PROGRAMS)
    density, color = field_module.at_points(ball(), points)
    some = field_module.at_points(ball(), points[:30])
    assert len(field_module.devices._PROGRAMS) == before + 1
    expected = Ball().field_at({"radius": RADIUS}, {}, {}, jnp.asarray(points))
    np.testing.assert_allclose(density, expected[0], rtol=1e-5, atol=1e-3)
    np.testing.assert_allclose(color, expected[1], rtol=1e-5)
    np.testing.assert_array_equal(some[0], density[:30])


class TestFieldOf:
    TRIAL = Trial(task=ToyTask(), method=ToyMethod(), budget=BUDGETS["smoke"], seed=0, variant="toy")

    def test_a_state_that_holds_nothing_is_not_stored(self):
        trial = dataclasses.replace(self.TRIAL, method=Ball())
        assert field_module.field_of(trial, {"params/radius": np.asarray(0.5, np.float32)}).state == {}

    def test_stored_parameters(self):
        stored = {"params/mean": np.float32([0.1, 0.2, 0.3]), "state/num_seen": np.asarray(7, np.int32)}
        field = field_module.field_of(self.TRIAL, stored)
        np.testing.assert_array_equal(field.params["mean"], stored["params/mean"])
        assert int(field.state["num_seen"]) == 7
        assert (field.near, field.far, field.background) == (2.0, 6.0, 1.0)
        assert field.half_width == pytest.approx(2 / 3**0.5)
        assert turntable(field, num_frames=1, image_px=4).shape == (1, 4, 4, 3)

    @pytest.mark.parametrize(
        ("stored", "told"),
        [
            ({"params/mean": np.zeros(3, np.float32)}, "state/num_seen of () shape, got none"),
            (
                {"params/mean": np.zeros(4, np.float32), "state/num_seen": np.asarray(7, np.int32)},
                r"of (3,) shape, got (4,)",
            ),
        ],
    )
    def test_those_of_another_version_are_refused(self, stored, told):
        with pytest.raises(UsageError) as caught:
            field_module.field_of(self.TRIAL, stored)
        assert told in str(caught.value) and "train it again" in str(caught.value)
