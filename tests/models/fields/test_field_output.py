import flax.linen as nn
import jax.numpy as jnp
import pytest

from models.fields.field_output import check_field_output
from models.rendering.ray_sampling import samples_at_points

SAMPLES = samples_at_points(jnp.zeros((2, 5, 3)))
DENSITY = jnp.zeros((2, 5))
COLOR = jnp.zeros((2, 5, 3))


def test_a_value_for_every_sample_passes():
    density, color = check_field_output(nn.Dense(4), (DENSITY, COLOR), SAMPLES)
    assert density is DENSITY and color is COLOR


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (COLOR, r"got one array of \(2, 5, 3\); return density, colour"),
        (None, "got one NoneType; return density, colour"),
        ((DENSITY, COLOR, COLOR), "got 3 values; return density, colour"),
        ((COLOR, DENSITY), r"got \(2, 5, 3\) and \(2, 5\); return density first"),
        ((DENSITY[..., None], COLOR), r"got \(2, 5, 1\) and .*; a density has no last axis: take \[..., 0\]"),
        ((DENSITY, COLOR[..., :1]), r"got \(2, 5\) and \(2, 5, 1\); a colour has a last axis of 3"),
        ((DENSITY, jnp.zeros((2, 5, 4))), r"got \(2, 5\) and \(2, 5, 4\); a colour has a last axis of 3"),
        ((DENSITY.mean(), COLOR), r"got \(\) and .*; give one density and three numbers of colour for every sample"),
        ((DENSITY, None), r"got \(2, 5\) and \(\)"),
    ],
)
def test_wrong_shapes_are_told_with_what_to_mend(found, told):
    wanted = r"Dense: expected density of shape \(2, 5\) and colour of shape \(2, 5, 3\) for samples.means of "
    with pytest.raises(ValueError, match=wanted + r"\(2, 5, 3\), " + told):
        check_field_output(nn.Dense(4), found, SAMPLES)
