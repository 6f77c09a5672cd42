"""How a caption becomes the numbers that a text tower reads.

n: captions, t: tokens of the context.
"""

from __future__ import annotations

import dataclasses
import functools
import html
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int32

from bench.errors import UsageError

CLIP_START, CLIP_END = 49406, 49407
"""First and last token of every text in CLIP's own vocabulary, the largest two of its 49408 ids."""

CLIP_NUM_TOKENS = 49408

INSTALL_CLIP = "pip install instant-clip-tokenizer"

_PLAIN = str.maketrans({
    "‘": "'", "’": "'", "‚": "'", "‛": "'", "“": '"', "”": '"', "„": '"', "‟": '"', "\u02bc": "'",
    "ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "ſt", "ﬆ": "st",
})  # fmt: skip


@runtime_checkable
class Tokenizer(Protocol):
    """Text to ids; a hashable value."""

    @property
    def known_words(self) -> frozenset[str] | None:
        """All that it can read; None if it reads anything."""

    def encode(self, texts: Sequence[str]) -> Int32[np.ndarray, "n t"]:
        """Ids of texts, padded to the context length."""


@dataclasses.dataclass(frozen=True)
class ClipTokenizer:
    """CLIP's byte-pair vocabulary, which comes with the package `instant-clip-tokenizer`.

    Texts are cleaned as the released code cleans them: HTML entities (twice), curly quotes and ligatures made plain,
    Unicode composed, white space collapsed. Broken encodings are not repaired.

    Attributes:
        context_length: Start and end of text included.
    """

    context_length: int = 77

    @property
    def known_words(self) -> frozenset[str] | None:
        """None: it reads anything."""
        return None

    def encode(self, texts: Sequence[str]) -> Int32[np.ndarray, "n t"]:
        """Ids of texts: start, words, end, zeros.

        Raises:
            UsageError: Not texts, or one is too long; nothing is cut off.
        """
        bpe = _clip_vocabulary()
        ids = [[CLIP_START, *bpe.encode(clean(text).lower()), CLIP_END] for text in _checked(texts)]
        return _padded(ids, texts, self.context_length)


@dataclasses.dataclass(frozen=True)
class WordTokenizer:
    """A vocabulary of whole words. Any other word is read as one and the same unknown word.

    Ids: 0 pads, 1 starts a text, 2 ends it, 3 is the unknown word, words follow in the order given.

    Attributes:
        words: Lower case, letters, digits and apostrophes.
        context_length: Start and end of text included.
    """

    words: tuple[str, ...]
    context_length: int

    START = 1
    END = 2
    UNKNOWN = 3
    NUM_SPECIAL = 4

    def __post_init__(self) -> None:
        wrong = [word for word in self.words if split_words(word) != [word]]
        if wrong or len(set(self.words)) != len(self.words):
            raise UsageError(
                f"vocabulary: expected different words in lower case, got {(wrong or ['a word twice'])[0]!r}; "
                "split and lower-case them"
            )

    @property
    def num_tokens(self) -> int:
        """Ids there are."""
        return len(self.words) + self.NUM_SPECIAL

    @property
    def known_words(self) -> frozenset[str] | None:
        """Its vocabulary."""
        return frozenset(self.words)

    def encode(self, texts: Sequence[str]) -> Int32[np.ndarray, "n t"]:
        """Ids of texts: start, words, end, zeros.

        Raises:
            UsageError: Not texts, or one is too long; nothing is cut off.
        """
        index = _index(self.words)
        ids = [
            [self.START, *(index.get(word, self.UNKNOWN) for word in split_words(text)), self.END]
            for text in _checked(texts)
        ]
        return _padded(ids, texts, self.context_length)


def clean(text: str) -> str:
    """A caption as CLIP's released code cleans it, before it is put in lower case."""
    text = html.unescape(html.unescape(text)).translate(_PLAIN)
    return re.sub(r"\s+", " ", unicodedata.normalize("NFC", text)).strip()


def split_words(text: str) -> list[str]:
    """Words of a text in lower case; what is no letter, digit or apostrophe only separates them."""
    return re.findall(r"[^\W_]+(?:'[^\W_]+)*", clean(text).lower())


def is_clip_vocabulary(ids: Mapping[str, Any]) -> bool:
    """Whether a vocabulary is CLIP's own.

    Args:
        ids: Of each of its byte pairs; those that end a word end in `</w>`.

    Returns:
        False if it has another size, or another id for the end of text or for any plain word.
    """
    if len(ids) != CLIP_NUM_TOKENS or ids.get("<|endoftext|>") != CLIP_END:
        return False
    bpe = _clip_vocabulary()
    words = [pair.removesuffix("</w>") for pair in ids if re.fullmatch(r"[a-z]+</w>", pair)]
    return bool(words) and all(bpe.encode(word) == [ids[f"{word}</w>"]] for word in words)


def _checked(texts: Sequence[str]) -> Sequence[str]:
    if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
        raise UsageError(f"tokenize: expected a list of captions, got {texts!r:.80}; put a single caption in a list")
    return texts


def _padded(ids: list[list[int]], texts: Sequence[str], length: int) -> Int32[np.ndarray, "n t"]:
    """Rows of one length; a text that does not fit is the user's to shorten."""
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
    """The package's tokenizer: made once, since it builds its tables anew each time."""
    try:
        import instant_clip_tokenizer
    except ModuleNotFoundError as error:
        raise UsageError(
            f"tokenize: expected the package instant-clip-tokenizer, it is not installed; do `{INSTALL_CLIP}`"
        ) from error
    return instant_clip_tokenizer.Tokenizer()
