"""Turns captions into token ids for a text tower.

n: captions, t: tokens of the context.
"""

from __future__ import annotations

import dataclasses
import functools
import html
import re
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int32

from bench.errors import UsageError

CLIP_START = 49406
"""First token of every text in CLIP's own vocabulary."""

CLIP_END = 49407
"""Last token of every text in CLIP's own vocabulary, the largest of its ids."""

CLIP_NUM_TOKENS = 49408

INSTALL_CLIP = "pip install instant-clip-tokenizer"

CLIP_ENDS_AT = (3, 13)
"""The first Python for which `instant-clip-tokenizer` has no wheel; setup.cfg asks for it below this."""

_PLAIN = str.maketrans({
    "‘": "'", "’": "'", "‚": "'", "‛": "'", "“": '"', "”": '"', "„": '"', "‟": '"', "\u02bc": "'",
    "ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "ſt", "ﬆ": "st",
})  # fmt: skip


@runtime_checkable
class Tokenizer(Protocol):
    """Interface of a tokenizer, which is a hashable value."""

    @property
    def known_words(self) -> frozenset[str] | None:
        """Words of its vocabulary; None if it reads any text."""

    def encode(self, texts: Sequence[str]) -> Int32[np.ndarray, "n t"]:
        """Turn texts into ids, padded to the context length."""


@dataclasses.dataclass(frozen=True)
class ClipTokenizer:
    """CLIP's byte-pair vocabulary, which comes with the package `instant-clip-tokenizer` (Python 3.11 and 3.12).

    Texts are cleaned as in the released code: HTML entities are unescaped (twice), curly quotes and ligatures are
    replaced, Unicode is composed, and white space is collapsed. Broken encodings are not repaired.

    Attributes:
        context_length: Tokens of a text, including start and end.
    """

    context_length: int = 77

    @property
    def known_words(self) -> frozenset[str] | None:
        """None, because it reads any text."""
        return None

    def encode(self, texts: Sequence[str]) -> Int32[np.ndarray, "n t"]:
        """Turn texts into ids: start, words, end, zeros.

        Raises:
            UsageError: These are no texts, or one is too long. Texts are never truncated.
        """
        checked = _check_texts(texts)
        bpe = _clip_vocabulary()
        ids = [[CLIP_START, *bpe.encode(clean(text).lower()), CLIP_END] for text in checked]
        return _pad(ids, texts, self.context_length)


@dataclasses.dataclass(frozen=True)
class WordTokenizer:
    """A vocabulary of whole words. All other words share one unknown token.

    Id 0 is padding, 1 the start of a text, 2 its end, and 3 the unknown token. Words follow in the given order.

    Attributes:
        words: In lower case, of letters, digits and apostrophes.
        context_length: Tokens of a text, including start and end.
    """

    words: tuple[str, ...]
    context_length: int

    START = 1
    END = 2
    UNKNOWN = 3
    NUM_SPECIAL = 4

    def __post_init__(self) -> None:
        wrong = [word for word in self.words if split_into_words(word) != [word]]
        if wrong or len(set(self.words)) != len(self.words):
            raise UsageError(
                f"vocabulary: expected different words in lower case, got {(wrong or ['a word twice'])[0]!r}; "
                "split and lower-case them"
            )

    @property
    def num_tokens(self) -> int:
        """Size of the vocabulary."""
        return len(self.words) + self.NUM_SPECIAL

    @property
    def known_words(self) -> frozenset[str] | None:
        """Words of its vocabulary."""
        return frozenset(self.words)

    def encode(self, texts: Sequence[str]) -> Int32[np.ndarray, "n t"]:
        """Turn texts into ids: start, words, end, zeros.

        Raises:
            UsageError: These are no texts, or one is too long. Texts are never truncated.
        """
        index = _index(self.words)
        ids = []
        for text in _check_texts(texts):
            words = [index.get(word, self.UNKNOWN) for word in split_into_words(text)]
            ids.append([self.START, *words, self.END])
        return _pad(ids, texts, self.context_length)


def clean(text: str) -> str:
    """Clean a caption as CLIP's released code does, without putting it in lower case."""
    text = html.unescape(html.unescape(text)).translate(_PLAIN)
    return re.sub(r"\s+", " ", unicodedata.normalize("NFC", text)).strip()


def split_into_words(text: str) -> list[str]:
    """Split a text into words in lower case. All characters but letters, digits and apostrophes are separators."""
    return re.findall(r"[^\W_]+(?:'[^\W_]+)*", clean(text).lower())


def is_clip_vocabulary(ids: Mapping[str, Any]) -> bool:
    """Tell whether a vocabulary is CLIP's own.

    Args:
        ids: Id of each byte pair. Byte pairs at the end of a word end in `</w>`.

    Returns:
        False if its size, its id of the end of text, or the id of any plain word differs.
    """
    if len(ids) != CLIP_NUM_TOKENS or ids.get("<|endoftext|>") != CLIP_END:
        return False
    bpe = _clip_vocabulary()
    words = [pair.removesuffix("</w>") for pair in ids if re.fullmatch(r"[a-z]+</w>", pair)]
    return bool(words) and all(bpe.encode(word) == [ids[f"{word}</w>"]] for word in words)


def _check_texts(texts: Sequence[str]) -> Sequence[str]:
    if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
        raise UsageError(f"tokenize: expected a list of captions, got {texts!r:.80}; put a single caption in a list")
    return texts


def _pad(ids: list[list[int]], texts: Sequence[str], length: int) -> Int32[np.ndarray, "n t"]:
    """Pad rows to one length, and refuse a text that does not fit."""
    tokens = np.zeros((len(ids), length), np.int32)
    for row, text, found in zip(tokens, texts, ids, strict=True):
        if len(found) > length:
            raise UsageError(
                f"caption {text[:40]!r}...: expected at most {length} tokens with start and end, got {len(found)}; "
                "shorten it"
            )
        row[: len(found)] = found
    return tokens


@functools.cache
def _index(words: tuple[str, ...]) -> dict[str, int]:
    return {word: i for i, word in enumerate(words, start=WordTokenizer.NUM_SPECIAL)}


@functools.cache
def _clip_vocabulary() -> Any:
    """Make the package's tokenizer once, because it builds its tables each time."""
    try:
        import instant_clip_tokenizer
    except ModuleNotFoundError as error:
        remedy = f"do `{INSTALL_CLIP}`"
        if sys.version_info >= CLIP_ENDS_AT:
            remedy = "it is built for Python 3.12 at most: use that, or an embedded encoder"
        raise UsageError(
            f"tokenize: expected the package instant-clip-tokenizer, it is not installed; {remedy}"
        ) from error
    return instant_clip_tokenizer.Tokenizer()
