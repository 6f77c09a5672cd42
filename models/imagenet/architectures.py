"""Gives the sizes of the networks that `models.imagenet.catalog` names."""

from __future__ import annotations

from models.imagenet.convolution_stack import ConvolutionStack
from models.imagenet.efficientnet_lite import EfficientNetLite

ImageClassifier = EfficientNetLite | ConvolutionStack

CLASSIFIERS: dict[str, ImageClassifier] = {
    "EfficientNet-Lite0": EfficientNetLite(
        image_px=224, channels=(16, 24, 40, 80, 112, 192, 320), depths=(1, 2, 2, 3, 3, 4, 1)
    ),
    # Widths times 1.1, to multiples of 8; depths times 1.2, rounded up. The first and the last stage keep their depth.
    "EfficientNet-Lite2": EfficientNetLite(
        image_px=260, channels=(16, 24, 48, 88, 120, 208, 352), depths=(1, 3, 3, 4, 4, 5, 1)
    ),
    "VGG-16": ConvolutionStack(
        image_px=224,
        stages=((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512)),
        kernel_sizes=((3, 3), (3, 3), (3, 3, 3), (3, 3, 3), (3, 3, 3)),
    ),
    "AlexNet": ConvolutionStack(
        image_px=224,
        stages=((64,), (192,), (384, 256, 256)),
        kernel_sizes=((11,), (5,), (3, 3, 3)),
        first_stride=4,
        first_padding=2,
        pool_px=3,
    ),
}
"""By name."""
