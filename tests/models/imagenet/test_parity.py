"""Our networks against the originals in PyTorch, with the published weights, on photographs; `make parity` runs it."""

import importlib.util

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from models import clip
from models.imagenet.catalog import IMAGENET
from models.imagenet.pickled_tensors import read_numpy_tree, read_torch_tensors
from tests.fixtures.photographs import FILES, prepared

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.parity

TOLERANCE = 1e-4


def normalised(encoder):
    photos = np.stack([prepared(subject, encoder.image_px) for subject in FILES])
    mean = np.asarray(encoder.mean, np.float32)
    std = np.asarray(encoder.std, np.float32)
    return photos, torch.tensor(((photos - mean) / std).transpose(0, 3, 1, 2)).requires_grad_()


def compare(name, output, want, got, rows):
    want = want.detach().numpy() if isinstance(want, torch.Tensor) else want
    difference = float(np.abs(np.asarray(got) - want).max())
    rows.append((name, "package", output, float(np.abs(want).max()), difference))
    assert difference <= TOLERANCE * np.abs(want).max(), output


def gradients(encoder, photos, feature, direction):
    """The gradient of a feature, times a direction, with respect to the normalised pixels."""
    slope = jax.jit(jax.grad(lambda x, p: jnp.vdot(encoder.image_features(p, x, feature), direction)))
    return np.asarray(slope(jnp.asarray(photos), encoder.params)) * np.asarray(encoder.std, np.float32)


@pytest.mark.parametrize("number", [0, 2])
def test_efficientnet_lite_equals_its_original(number, parity_rows):
    original = pytest.importorskip("efficientnet_lite_pytorch")
    name = f"efficientnet-lite{number}"
    path = IMAGENET[name].find()
    if path is None:
        pytest.skip(f"needs {IMAGENET[name].package}")
    model = original.EfficientNet.from_pretrained(name, weights_path=str(path)).eval()
    for tensor, array in read_torch_tensors(path.read_bytes(), name).items():
        np.testing.assert_array_equal(model.state_dict()[tensor].numpy(), array, err_msg=tensor)
    encoder = clip.load(name)
    photos, x = normalised(encoder)
    spatial = model.extract_features(x)
    logits = model(x)
    seen = jax.jit(encoder.image_features, static_argnums=2)
    compare(name, "logits", logits, seen(encoder.params, photos, "logits"), parity_rows)
    compare(name, "embedding", spatial.mean(dim=(2, 3)), seen(encoder.params, photos, "embedding"), parity_rows)
    wanted = spatial.permute(0, 2, 3, 1).reshape(len(photos), -1)
    compare(name, "spatial", wanted, seen(encoder.params, photos, "spatial"), parity_rows)
    direction = np.random.default_rng(0).normal(size=logits.shape).astype(np.float32)
    (logits * torch.tensor(direction)).sum().backward()
    want = x.grad.numpy().transpose(0, 2, 3, 1)
    got = gradients(encoder, photos, "logits", direction)
    # Rounding takes some activations across a kink, at 0 or at 6: of a million, a few.
    error = np.linalg.norm(got - want) / np.linalg.norm(want)
    parity_rows.append((name, "package", "gradient of logits", 1.0, float(error)))
    assert error < 1e-2


@pytest.mark.parametrize(("name", "key"), [("vgg16", "VGG16_0"), ("alexnet", "AlexNet_0")])
def test_convolution_stack_equals_torchvision(name, key, parity_rows):
    if importlib.util.find_spec("torchvision") is None:
        pytest.skip("needs torchvision")
    from tests.fixtures import clip_originals

    clip_originals.import_torchvision()
    import torchvision

    encoder = clip.load(f"imagenet-{name}")
    layers = getattr(torchvision.models, name)(weights=None).features.eval()
    weights = read_numpy_tree(IMAGENET[encoder.name].path().read_bytes(), name)[key]
    convolutions = [layer for layer in layers if isinstance(layer, torch.nn.Conv2d)]
    assert len(convolutions) == len(weights)
    with torch.no_grad():
        for i, layer in enumerate(convolutions):
            layer.weight.copy_(torch.tensor(weights[f"Conv_{i}"]["kernel"].transpose(3, 2, 0, 1)))
            layer.bias.copy_(torch.tensor(weights[f"Conv_{i}"]["bias"]))
    photos, x = normalised(encoder)
    spatial = layers(x)
    seen = jax.jit(encoder.image_features, static_argnums=2)
    compare(encoder.name, "embedding", spatial.mean(dim=(2, 3)), seen(encoder.params, photos, "embedding"), parity_rows)
    wanted = spatial.permute(0, 2, 3, 1).reshape(len(photos), -1)
    compare(encoder.name, "spatial", wanted, seen(encoder.params, photos, "spatial"), parity_rows)
    direction = np.random.default_rng(0).normal(size=spatial.shape[:2]).astype(np.float32)
    (spatial.mean(dim=(2, 3)) * torch.tensor(direction)).sum().backward()
    got = gradients(encoder, photos, "embedding", direction)
    want = x.grad.numpy().transpose(0, 2, 3, 1)
    error = np.linalg.norm(got - want) / np.linalg.norm(want)
    parity_rows.append((encoder.name, "package", "gradient of embedding", 1.0, float(error)))
    assert error < 1e-2
