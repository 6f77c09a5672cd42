"""Writes captions of the closed world's meanings, and parses captions back to meanings.

`caption` writes the canonical caption of a meaning, for retrieval sets and pages; `paraphrases` writes all captions,
the canonical one first; `parse` reads a caption with any order of words; `vocabulary` lists every word.

    a red metallic chair = the metal red chair = a photo of a red chair made of metal = a chair that is red and metallic
    a blue mug on a green cube = a green cube under a blue mug = a green cube with a blue mug on top

A caption without a finish means a matte thing. The canonical captions of matte things name no finish.
"""

from __future__ import annotations

import functools
import re

from bench.errors import UsageError
from tasks.closed_world.meanings import COLORS, FINISHES, KINDS, Meaning, ObjectPairSpec, ObjectSpec

NOUNS: dict[str, tuple[str, ...]] = {kind: (kind,) for kind in KINDS} | {
    "ball": ("ball", "sphere"),
    "cube": ("cube", "block"),
    "ring": ("ring", "torus"),
    "sofa": ("sofa", "couch"),
    "mug": ("mug", "cup"),
    "cupcake": ("cupcake", "muffin"),
    "umbrella": ("umbrella", "parasol"),
    "car": ("car", "automobile"),
    "rocket": ("rocket", "spaceship"),
    "boat": ("boat", "sailboat"),
    "plane": ("plane", "airplane"),
    "train": ("train", "locomotive"),
    "mushroom": ("mushroom", "toadstool"),
    "dog": ("dog", "puppy"),
    "house": ("house", "cottage"),
}
"""Words for kinds; the first one is canonical."""

COLOR_WORDS: dict[str, tuple[str, ...]] = {color: (color,) for color in COLORS} | {
    "gray": ("gray", "grey"),
    "purple": ("purple", "violet"),
    "turquoise": ("turquoise", "teal"),
}

FINISH_WORDS: dict[str, tuple[str, ...]] = {
    "matte": ("matte", "plain"),
    "glossy": ("glossy", "shiny", "polished"),
    "metallic": ("metallic", "metal"),
    "striped": ("striped", "stripy"),
    "checkered": ("checkered", "chequered"),
    "dotted": ("dotted", "spotted"),
}
"""Words for finishes that stand before a noun."""

AFTER_NOUNS: dict[str, tuple[str, ...]] = {
    "metallic": ("made of metal",),
    "striped": ("with stripes",),
    "checkered": ("with checks",),
    "dotted": ("with dots", "with polka dots"),
}
"""Phrases for finishes that stand after a noun; their last words alone also mean the finish."""

FRAMES = ("a {}", "the {}", "a photo of a {}", "a picture of a {}", "an image of a {}", "there is a {}")
"""Sentences round the name of one thing."""

PREDICATES = ("a {noun} that is {color}", "a {noun} that is {color} and {finish}", "the {noun} is {finish} and {color}")
"""Sentences with the noun first; the first one is for matte things only, the others name the finish."""

PAIR_FRAMES = ("{}", "{}", "a photo of {}", "a picture of {}", "there is {}")
"""Sentences round a pair, used in turn; most often there is none."""

RELATION_FRAMES: dict[str, tuple[str, ...]] = {
    "on": (
        "{first} on {second}",
        "{first} on top of {second}",
        "{first} standing on {second}",
        "{first} above {second}",
        "{second} under {first}",
        "{second} below {first}",
        "{second} with {first} on top",
    ),
    "next to": (
        "{first} next to {second}",
        "{second} next to {first}",
        "{first} beside {second}",
        "{second} beside {first}",
        "{first} and {second}",
        "{second} and {first} side by side",
    ),
}

LONGEST = 19
"""Number of words of the longest paraphrase."""


def caption(meaning: Meaning) -> str:
    """Write the canonical caption of a meaning, which retrieval sets hold.

    Example:
        >>> caption(ObjectSpec("chair", "orange", "metallic")), caption(ObjectSpec("mug", "blue", "matte"))
        ('an orange metallic chair', 'a blue mug')
        >>> caption(ObjectPairSpec(ObjectSpec("mug", "blue", "matte"), "on", ObjectSpec("cube", "green", "striped")))
        'a blue mug on a green striped cube'
    """
    return paraphrases(meaning)[0]


@functools.lru_cache(maxsize=1 << 14)
def paraphrases(meaning: Meaning) -> tuple[str, ...]:
    """Write every caption of a meaning, in a fixed order, the canonical one first; no two meanings share a caption."""
    if isinstance(meaning, ObjectSpec):
        said = [frame.format(name) for name in _names(meaning) for frame in FRAMES]
        return tuple(dict.fromkeys(_with_articles(text) for text in [*said, *_predicates(meaning)]))
    said = _pair_sentences(meaning)
    return tuple(dict.fromkeys(_with_articles(text) for text in said))


def parse(caption: str) -> Meaning:
    """Parse a caption with any word order, in upper or lower case, with or without articles.

    Raises:
        UsageError: The caption has words from outside of the world, or its words form no meaning.

    Example:
        >>> parse("Shiny, RED couch!").id, parse("a cube under a gray mug").first.color
        Traceback (most recent call last):
        ...
        bench.errors.UsageError: caption 'a cube under a gray mug': expected for each thing one colour ...
        >>> parse("Shiny, RED couch!").id, parse("a red cube under a gray mug").first.color
        ('red-glossy-sofa', 'gray')
    """
    unknown = unknown_words(caption)
    if unknown:
        raise UsageError(
            f"caption {caption!r}: expected words of the closed world, got {', '.join(map(repr, unknown))}; "
            f"{world_words()}"
        )
    words = split_words(caption)
    at = [i for i, word in enumerate(words) if word in _KIND_OF]
    if len(at) == 1:
        return _thing(caption, words)
    if len(at) == 2:
        return _pair(caption, words, *at)
    raise UsageError(f"caption {caption!r}: expected one thing or two, got {len(at)}; {world_words()}")


def unknown_words(caption: str) -> tuple[str, ...]:
    """List the words of a caption that no caption of the closed world has.

    Example:
        >>> unknown_words("a blue dragon on a green cube")
        ('dragon',)
    """
    return tuple(dict.fromkeys(word for word in split_words(caption) if word not in _vocabulary()))


def warning(caption: str) -> str | None:
    """Explain why an encoder of the closed world cannot understand a caption; None if it can."""
    try:
        parse(caption)
    except UsageError as error:
        return str(error)
    return None


def vocabulary() -> tuple[str, ...]:
    """List every word of every paraphrase, in alphabetical order."""
    return tuple(sorted(_vocabulary()))


def world_words() -> str:
    """List the words of captions, for a message.

    Example:
        >>> world_words()[:49]
        'known: a colour (red, orange, yellow, green, turq'
    """
    kinds = ", ".join(KINDS)
    return (
        f"known: a colour ({', '.join(COLORS)}), a finish ({', '.join(FINISHES)}), a thing ({kinds}), "
        "and a second one (on, under, next to)"
    )


def split_words(text: str) -> list[str]:
    """Split a caption into words in lower case; words consist of letters, digits and apostrophes."""
    return re.findall(r"[^\W_]+(?:'[^\W_]+)*", text.lower())


# ---- writing captions ------------------------------------------------------------------------------------------------

_ARTICLES = ("a", "a", "the", "a")


def _names(thing: ObjectSpec) -> list[str]:
    """Write all names of a thing without an article, the canonical one first."""
    names = []
    for noun in NOUNS[thing.kind]:
        for color in COLOR_WORDS[thing.color]:
            if thing.finish == "matte":
                names.append(f"{color} {noun}")
            names += [f"{color} {finish} {noun}" for finish in FINISH_WORDS[thing.finish]]
            names += [f"{finish} {color} {noun}" for finish in FINISH_WORDS[thing.finish]]
            names += [f"{color} {noun} {after}" for after in AFTER_NOUNS.get(thing.finish, ())]
    return names


def _predicates(thing: ObjectSpec) -> list[str]:
    """Write all sentences about a thing that begin with the noun."""
    _, *named = PREDICATES
    frames = PREDICATES if thing.finish == "matte" else named
    return [
        frame.format(noun=noun, color=color, finish=finish)
        for noun in NOUNS[thing.kind]
        for color in COLOR_WORDS[thing.color]
        for finish in FINISH_WORDS[thing.finish]
        for frame in frames
    ]


def _pair_sentences(pair: ObjectPairSpec) -> list[str]:
    """Write sentences about a pair with every name of either thing; articles are not corrected yet."""
    firsts = _names(pair.first)
    seconds = _names(pair.second)
    said = []
    for i, frame in enumerate(RELATION_FRAMES[pair.relation]):
        for j in range(max(len(firsts), len(seconds))):
            # Each frame steps through the second thing's names at another pace, so that many combinations occur.
            place = (j * (i + 1) + i) % len(seconds) if i + j else 0
            first = f"{_ARTICLES[(i + j) % 4]} {firsts[j % len(firsts)]}"
            second = f"{_ARTICLES[(i + 2 * j) % 4]} {seconds[place]}"
            text = frame.format(first=first, second=second)
            said.append(PAIR_FRAMES[j % len(PAIR_FRAMES)].format(text))
    return said


def _with_articles(text: str) -> str:
    """Replace `a` by `an` before a vowel."""
    return re.sub(r"\ba(?= [aeio])", "an", text)


# ---- parsing ---------------------------------------------------------------------------------------------------------

_KIND_OF = {word: kind for kind, words in NOUNS.items() for word in words}

_COLOR_OF = {word: color for color, words in COLOR_WORDS.items() for word in words}

_FINISH_OF = {word: finish for finish, words in FINISH_WORDS.items() for word in words} | {
    word: finish
    for finish, phrases in AFTER_NOUNS.items()
    for phrase in phrases
    for word in phrase.split()
    if word not in ("made", "of", "with")
}

_RELATIONS: tuple[tuple[tuple[str, ...], str, bool], ...] = (
    (("on", "top", "of"), "on", False),
    (("standing", "on"), "on", False),
    (("next", "to"), "next to", False),
    (("on",), "on", False),
    (("above",), "on", False),
    (("under",), "on", True),
    (("below",), "on", True),
    (("beside",), "next to", False),
    (("and",), "next to", False),
)
"""Phrases between two things: words, relation, and whether the upper thing comes last. Longer phrases come first."""


@functools.cache
def _vocabulary() -> frozenset[str]:
    tables = (NOUNS, COLOR_WORDS, FINISH_WORDS, AFTER_NOUNS, RELATION_FRAMES)
    phrases = [phrase for table in tables for phrases in table.values() for phrase in phrases]
    frames = [*FRAMES, *PREDICATES, *PAIR_FRAMES]
    return frozenset(split_words(re.sub(r"\{\w*\}", " ", " ".join([*phrases, *frames, "a an the"]))))


def _thing(caption: str, words: list[str]) -> ObjectSpec:
    """Parse the words of one thing, in any order."""
    kinds = [_KIND_OF[word] for word in words if word in _KIND_OF]
    colors = list(dict.fromkeys(_COLOR_OF[word] for word in words if word in _COLOR_OF))
    finishes = list(dict.fromkeys(_FINISH_OF[word] for word in words if word in _FINISH_OF))
    if len(kinds) != 1 or len(colors) != 1 or len(finishes) > 1:
        raise UsageError(
            f"caption {caption!r}: expected for each thing one colour and at most one finish, got "
            f"{', '.join([*colors, *finishes, *kinds]) or 'none'}; {world_words()}"
        )
    return ObjectSpec(kinds[0], colors[0], finishes[0] if finishes else "matte")


def _pair(caption: str, words: list[str], one: int, other: int) -> ObjectPairSpec:
    """Parse the words of a pair, of which the two at these places are nouns."""
    if words[-2:] == ["on", "top"] and "with" in words[one:other]:
        middle = max(i for i in range(one, other) if words[i] == "with")
        return ObjectPairSpec(_thing(caption, words[middle:-2]), "on", _thing(caption, words[:middle]))
    if words[-3:] == ["side", "by", "side"]:
        words = words[:-3]
    for phrase, relation, is_reversed in _RELATIONS:
        for i in range(other - len(phrase), one, -1):
            if tuple(words[i : i + len(phrase)]) == phrase:
                left = _thing(caption, words[:i])
                right = _thing(caption, words[i + len(phrase) :])
                return ObjectPairSpec(right, relation, left) if is_reversed else ObjectPairSpec(left, relation, right)
    raise UsageError(
        f"caption {caption!r}: expected two things with a relation between them, got none; say on, under or next to"
    )
