"""Implements encoders that were trained on ImageNet's labels. They see, and read no text; they are no CLIP.

| file | what it decides |
|---|---|
| `catalog.py` | which there are, the package that holds each one's weights, and how its pixels are normalised |
| `efficientnet_lite.py`, `convolution_stack.py`, `windows.py` | the networks |
| `architectures.py` | the sizes of the networks |
| `pickled_tensors.py` | how weights are read from other people's pickles without running anything |
| `variables.py` | which tensor of a file is which of ours |
| `loading.py` | how all of it becomes an `Encoder`; `models.clip.load` calls it |
"""
