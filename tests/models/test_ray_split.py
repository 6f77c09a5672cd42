"""Rays that several devices share: the same results, the fused kernels on each device's part, and nothing elsewhere."""

import json
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest

from models import ray_split

ON_TWO_DEVICES = """
import json

import jax
import jax.numpy as jnp

from models import ray_split
from models.fields.fused_block import forward_kernel, input_gradient_kernel, weight_gradient_kernel
from models.fields.fused_block.operation import fused_block, settings_for
from tests.fixtures import residual_blocks

def gradients(block, rows, parameters):
    loss = residual_blocks.loss_of(block)
    split = lambda rows, parameters: loss(ray_split.split_rays(rows), parameters)
    return jax.vmap(jax.grad(split, (0, 1)))(rows, parameters)

def kernel_block(rows, parameters):
    return fused_block(rows, parameters, settings_for(64))

mesh = ray_split.ray_mesh(jax.local_devices())
rows, parameters = residual_blocks.draw(64, (3, 37), fields=(3,))
whole = jax.tree.map(lambda x: x.astype(jnp.bfloat16), (rows, parameters))
with jax.set_mesh(mesh):
    traced = jax.jit(gradients, static_argnums=0).trace(kernel_block, whole[0], parameters)
    text = traced.lower(lowering_platforms=("cuda",)).as_text()

forward_kernel.forward = residual_blocks.array_forward
input_gradient_kernel.input_gradient = residual_blocks.array_input_gradient
weight_gradient_kernel.weight_gradient = residual_blocks.array_weight_gradient
alone = jax.jit(gradients, static_argnums=0)(kernel_block, rows, parameters)
with jax.set_mesh(mesh):
    together = jax.jit(gradients, static_argnums=0)(kernel_block, rows, parameters)
print(json.dumps({
    "kernels": text.count("@mosaic_gpu_v2("),
    "error": max(map(float, residual_blocks.errors(together, alone))),
    "devices": len(together[0].sharding.device_set),
}))
"""


def test_one_device_computes_all_rays():
    rows = jnp.ones((4, 2))
    assert ray_split.current_mesh() is None
    assert ray_split.split_rays(rows) is ray_split.join_rays(rows) is rows
    assert ray_split.compute_row_parts(lambda a, b: (a, b), [rows], [rows], adds_up=True)[0] is rows


def test_only_the_context_of_a_row_of_devices_splits():
    with jax.set_mesh(ray_split.ray_mesh(jax.local_devices())):
        assert ray_split.current_mesh().axis_names == ("ray",)
    assert ray_split.current_mesh() is None


@pytest.mark.slow
def test_fused_kernels_compute_a_part_of_the_rows_on_each_device(tmp_path):
    env = os.environ | {
        "XLA_FLAGS": "--xla_force_host_platform_device_count=2 --xla_backend_optimization_level=0",
        "BENCH_DATA_DIR": str(tmp_path),
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": os.getcwd(),
    }
    done = subprocess.run([sys.executable, "-c", ON_TWO_DEVICES], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["error"] == pytest.approx(0, abs=1e-5)
    assert (found["kernels"], found["devices"]) == (3, 2)
