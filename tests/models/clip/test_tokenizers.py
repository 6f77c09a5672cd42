import importlib.util
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import UsageError
from models.clip import tokenizers
from models.clip.tokenizers import ClipTokenizer, WordTokenizer, clean, split_into_words

needs_vocabulary = pytest.mark.skipif(
    importlib.util.find_spec("instant_clip_tokenizer") is None, reason="instant-clip-tokenizer is not installed"
)


@needs_vocabulary
@pytest.mark.parametrize(
    ("text", "ids"),
    [
        # The README of OpenAI's CLIP tokenises these; ids as the tokenizer of open_clip 3.3 gives them.
        ("a diagram", [320, 22697]),
        ("a dog", [320, 1929]),
        ("A Dog's life, isn't it? 1234", [320, 1929, 568, 970, 267, 2923, 713, 585, 286, 272, 273, 274, 275]),
        ("naïve café", [1097, 35689, 563, 15304]),
        ("", []),
    ],
)
def test_known_ids(text, ids):
    tokens = ClipTokenizer().encode([text])
    assert tokens.shape == (1, 77) and tokens.dtype == np.int32
    assert tokens[0, : len(ids) + 2].tolist() == [49406, *ids, 49407]
    assert not tokens[0, len(ids) + 2 :].any()


@needs_vocabulary
def test_the_end_of_a_text_is_its_largest_id():
    tokens = ClipTokenizer().encode(["a cup", "an armchair in the shape of an avocado"])
    assert [int(row[row.argmax()]) for row in tokens] == [49407, 49407]


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("fish &amp;amp; chips", "fish & chips"),
        ("“a ‘red’ cup”", "\"a 'red' cup\""),
        ("ﬁne\t\n  lines ", "fine lines"),
        ("A\u030a", "\u00c5"),
    ],
)
def test_texts_are_cleaned_as_the_released_code_cleans_them(text, cleaned):
    assert clean(text) == cleaned


@needs_vocabulary
def test_long_texts_are_refused_not_cut():
    long = "cup " * 80
    with pytest.raises(UsageError, match=r"caption 'cup cup .*at most 77 tokens.*got 82"):
        ClipTokenizer().encode(["fine", long])
    with pytest.raises(UsageError, match="at most 4 tokens.*got 5"):
        WordTokenizer(words=("cup",), context_length=4).encode(["cup cup cup"])


@pytest.mark.parametrize("texts", ["a cup", "cup", ""])
def test_a_single_caption_is_refused(texts):
    for tokenizer in (ClipTokenizer(), WordTokenizer(words=("cup",), context_length=4)):
        with pytest.raises(UsageError, match="a list of captions"):
            tokenizer.encode(texts)


def test_words():
    small = WordTokenizer(words=("a", "red", "cup", "it's"), context_length=8)
    assert small.num_tokens == 8
    assert small.known_words == {"a", "red", "cup", "it's"}
    assert small.encode(["A red, RED cup!", "it’s a kettle", ""]).tolist() == [
        [1, 4, 5, 5, 6, 2, 0, 0],
        [1, 7, 4, 3, 2, 0, 0, 0],
        [1, 2, 0, 0, 0, 0, 0, 0],
    ]


@pytest.mark.parametrize("words", [("cup", "cup"), ("Cup",), ("red cup",), ("",)])
def test_a_vocabulary_is_of_different_words_in_lower_case(words):
    with pytest.raises(UsageError, match="vocabulary: expected different words in lower case"):
        WordTokenizer(words=words, context_length=8)


@given(st.lists(st.sampled_from(["red", "cup", "on", "zebra"]), max_size=6))
def test_ids_of_words_equal_those_looked_up_one_by_one(words):
    small = WordTokenizer(words=("cup", "on", "red"), context_length=8)
    want = [1]
    for word in words:
        want.append({"cup": 4, "on": 5, "red": 6}.get(word, 3))
    want.append(2)
    assert small.encode([" ".join(words)])[0].tolist() == want + [0] * (8 - len(want))


@needs_vocabulary
@given(st.text(max_size=30))
def test_any_text_is_read(text):
    words = split_into_words(text)
    assert all(split_into_words(word) == [word] for word in words)
    tokens = ClipTokenizer(context_length=300).encode([text])[0]
    assert tokens[0] == 49406 and (tokens == 49407).sum() == 1 and tokens.max() == 49407


@pytest.mark.parametrize(
    ("ends_at", "remedy"), [((99, 0), "pip install instant-clip-tokenizer"), ((3, 0), "Python 3.12 at most")]
)
def test_missing_package_is_named(ends_at, remedy, monkeypatch):
    monkeypatch.setitem(sys.modules, "instant_clip_tokenizer", None)
    monkeypatch.setattr(tokenizers, "CLIP_ENDS_AT", ends_at)
    tokenizers._clip_vocabulary.cache_clear()
    with pytest.raises(UsageError, match=f"expected the package instant-clip-tokenizer.*{remedy}"):
        ClipTokenizer().encode(["a cup"])
    monkeypatch.undo()
    tokenizers._clip_vocabulary.cache_clear()
