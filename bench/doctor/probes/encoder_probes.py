"""Probes of encoders whose weights are here, and of tokenizers."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable
from typing import Any

from bench.doctor.probes.probe import Probe, Rounds, true_pictures
from models.clip import loading
from models.clip.checkpoints import catalog
from models.clip.encoder import Encoder
from models.clip.tokenizers import ClipTokenizer
from models.imagenet.catalog import IMAGENET

CAPTIONS = ("a red metallic chair", "two green matte cups beside a blue ball")

HARD_CAPTIONS = ("A caf\u00e9's \u201cblue&amp;white\u201d  cup", "an avocado-shaped armchair, 3 legs")

QUICK = "embedded-vit-8"
"""The encoder that `doctor --quick` looks at: the guide of the budget `smoke`."""


def all_encoder_probes() -> list[Probe]:
    """List the probes of tokenizers and of every encoder that has a name, whether or not its weights are here."""
    found = [_tokens("embedded-vit-8"), _tokens("embedded-judge-vit")]
    found.append(Probe("tokens of CLIP's vocabulary", _prepare_clip_tokens, Rounds.NOTHING))
    for name in [*catalog.EMBEDDED, *catalog.ENTRIES, *IMAGENET]:
        found += _of_encoder(name)
    return found


def why_not_here(probe: Probe) -> str | None:
    """Say why a probe cannot run in this install: what it reads is not on disk; None if it can."""
    if probe.name == "tokens of CLIP's vocabulary":
        has_package = importlib.util.find_spec("instant_clip_tokenizer") is not None
        return None if has_package else "the package instant-clip-tokenizer is not installed"
    name = probed_encoder(probe)
    if name is None or catalog.find_weights(name) is not None:
        return None
    return "its weights are not on disk; python -m bench encoders"


def probed_encoder(probe: Probe) -> str | None:
    """Return the name of the encoder that a probe runs; None if it runs none.

    Example:
        >>> probed_encoder(Probe("encoder embedded-vit-8, pictures", lambda: (None, ())))
        'embedded-vit-8'
    """
    return probe.name.removeprefix("encoder ").partition(",")[0] if probe.name.startswith("encoder ") else None


def _of_encoder(name: str) -> list[Probe]:
    is_guide = name not in catalog.JUDGES and name not in IMAGENET
    is_quick = name == QUICK
    images = Probe(f"encoder {name}, pictures", functools.partial(_prepare_images, name), is_quick=is_quick)
    found = [images]
    if name not in IMAGENET:
        found.append(Probe(f"encoder {name}, captions", functools.partial(_prepare_texts, name), is_quick=is_quick))
    if is_guide:
        short = functools.partial(_prepare_images, name, dtype="bfloat16")
        found.append(Probe(f"encoder {name}, in bfloat16", short, Rounds.BFLOAT16, same_as=images.name))
    return found


def _prepare_images(name: str, dtype: str = "float32") -> tuple[Callable[..., Any], tuple[Any, ...]]:
    encoder = loading.load(name, dtype=dtype)
    return _image_features, (encoder, true_pictures(1, encoder.image_px))


def _prepare_texts(name: str) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    encoder = loading.load(name)
    return _text_features, (encoder, encoder.tokenize(CAPTIONS))


def _image_features(encoder: Encoder, images: Any) -> Any:
    return encoder.image_features(encoder.params, images)


def _text_features(encoder: Encoder, tokens: Any) -> Any:
    return encoder.text_features(encoder.params, tokens)


def _tokens(name: str) -> Probe:
    def prepare() -> tuple[Callable[..., Any], tuple[Any, ...]]:
        tokenizer = loading.abstract(name).tokenizer
        assert tokenizer is not None
        return tokenizer.encode, ((*CAPTIONS, HARD_CAPTIONS[1]),)

    return Probe(f"tokens of {name}", prepare, Rounds.NOTHING, is_quick=name == QUICK)


def _prepare_clip_tokens() -> tuple[Callable[..., Any], tuple[Any, ...]]:
    return ClipTokenizer().encode, ((*CAPTIONS, *HARD_CAPTIONS),)
