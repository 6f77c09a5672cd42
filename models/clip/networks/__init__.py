"""The image and text towers of CLIP."""
