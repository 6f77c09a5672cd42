"""Inception for FID: its file, and its features against PyTorch's network."""

import builtins
import pathlib
import pickle
import sys
import types

import jax
import numpy as np
import pytest
import safetensors.numpy

from bench.errors import UsageError
from bench.metrics import inception


def random_tensors(seed=0):
    """Weights that keep activations near 1 in size."""
    random = np.random.default_rng(seed)
    made = {}
    for name, shape in inception.inception_shapes().items():
        if name.endswith("conv.weight"):
            made[name] = random.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape)
        elif name.endswith("running_var"):
            made[name] = random.uniform(0.5, 1.5, shape)
        else:
            made[name] = random.normal(float(name.endswith("bn.weight")), 0.1, shape)
    return {name: value.astype(np.float32) for name, value in made.items()}


def test_sizes_are_those_of_the_published_network():
    """torchvision's Inception3 without its classifiers has 21,785,568 parameters, and 94 convolutions."""
    shapes = inception.inception_shapes()
    counted = sum(int(np.prod(shape)) for name, shape in shapes.items() if "running" not in name)
    assert counted == 21_785_568
    assert sum(name.endswith("conv.weight") for name in shapes) == 94


@pytest.mark.parametrize("size", [20, 299, 401])
def test_resizing_is_that_of_tensorflow_1(size):
    found = np.asarray(inception._weights(size)) @ np.arange(size, dtype=np.float32)
    expected = np.minimum(np.arange(299) * (size / 299), size - 1)  # a ramp shows where each pixel was taken from
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_a_file_is_checked_tensor_by_tensor(tmp_path):
    with pytest.raises(UsageError, match="expected a file with the weights of pytorch-fid's Inception, got none"):
        inception.load_inception(tmp_path / "none.safetensors")
    path = tmp_path / "other.safetensors"
    safetensors.numpy.save_file({"Conv2d_1a_3x3.conv.weight": np.zeros((32, 3, 5, 5), np.float32)}, path)
    with pytest.raises(UsageError, match=r"Conv2d_1a_3x3.conv.weight of shape \(32, 3, 3, 3\), got \(32, 3, 5, 5\)"):
        inception.load_inception(path)
    path.write_bytes(b"not a safetensors file")
    with pytest.raises(UsageError, match="expected a safetensors file, got one that is not or is cut"):
        inception.load_inception(path)


def test_a_pth_file_needs_torch(tmp_path, monkeypatch):
    path = tmp_path / "weights.pth"
    path.write_bytes(b"")
    plain = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "torch":
            raise ImportError(name)
        return plain(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UsageError, match="expected PyTorch to read a .pth file, got none; install torch, or"):
        inception.load_inception(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (pickle.UnpicklingError("cut"), r"expected a file that PyTorch reads, got one that is not or is cut \(cut\)"),
        ({"state_dict": {}}, "expected a dictionary of tensors, got something else; take pytorch-fid's file"),
        ([1], "expected a dictionary of tensors, got something else; take pytorch-fid's file"),
    ],
)
def test_a_pth_file_of_something_else(tmp_path, monkeypatch, content, message):
    def load(path, *, map_location, weights_only):
        assert weights_only
        if isinstance(content, Exception):
            raise content
        return content

    monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace(load=load, Tensor=np.ndarray))
    path = tmp_path / "weights.pth"
    path.write_bytes(b"")
    with pytest.raises(UsageError, match=message):
        inception.load_inception(path)


@pytest.mark.parity
def test_features_are_those_of_pytorch(tmp_path: pathlib.Path):
    torch = pytest.importorskip("torch")
    from tests.fixtures import clip_originals

    clip_originals.import_torchvision()
    import torchvision

    functional = torch.nn.functional
    net = torchvision.models.inception_v3(weights=None, aux_logits=False, init_weights=False)
    tensors = random_tensors()
    missing, unexpected = net.load_state_dict({k: torch.tensor(v) for k, v in tensors.items()}, strict=False)
    assert not unexpected and all(name.startswith("fc.") or "num_batches" in name for name in missing)
    net.eval()

    def mean_pool(x, kernel_size, stride, padding):
        return plain_mean(x, kernel_size, stride=stride, padding=padding, count_include_pad=False)

    def largest(x, kernel_size, stride, padding):
        return functional.max_pool2d(x, kernel_size, stride=stride, padding=padding)

    plain_mean = functional.avg_pool2d
    images = np.random.default_rng(1).random((2, 299, 299, 3)).astype(np.float32)
    x = (255 * torch.tensor(images).permute(0, 3, 1, 2) - 128) / 128
    with torch.no_grad(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(functional, "avg_pool2d", mean_pool)
        for name in [name for name, _ in net.named_children() if name not in ("Mixed_7c", "avgpool", "dropout", "fc")]:
            x = getattr(net, name)(x)
        patch.setattr(functional, "avg_pool2d", largest)
        expected = net.Mixed_7c(x).mean(dim=(2, 3)).numpy()
    path = tmp_path / "inception.safetensors"
    safetensors.numpy.save_file(tensors, path)
    found = np.asarray(jax.jit(inception.pool3)(inception.load_inception(path), images))
    difference = np.abs(found - expected).max() / np.abs(expected).max()
    print(f"inception: greatest difference {difference:.1e} of the largest feature")
    assert difference < 1e-4
