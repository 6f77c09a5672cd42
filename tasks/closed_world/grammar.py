"""How meanings of the closed world are put into words, and words into meanings.

`caption` gives a meaning's one canonical caption, for retrieval sets and pages; `paraphrases` all the ways of saying
it, the canonical one first; `parse` reads a caption, whatever the order of its words; `vocabulary` lists every word.

    a red metallic chair = the metal red chair = a photo of a red chair made of metal = a chair that is red and metallic
    a blue mug on a green cube = a green cube under a blue mug = a green cube with a blue mug on top

A caption that names no finish means a matte thing: so do most of the canonical ones.
"""

from __future__ import annotations

import functools
import re

from bench.errors import UsageError
from tasks.closed_world.meanings import COLORS, FINISHES, KINDS, Meaning, ObjectPairSpec, ObjectSpec

NOUNS: dict[str, tuple[str, ...]] = {kind: (kind,) for kind in KINDS} | {
    "ball": ("ball", "sphere"), "cube": ("cube", "block"), "ring": ("ring", "torus"), "sofa": ("sofa", "couch"),
    "mug": ("mug", "cup"), "cupcake": ("cupcake", "muffin"), "umbrella": ("umbrella", "parasol"),
    "car": ("car", "automobile"), "rocket": ("rocket", "spaceship"), "boat": ("boat", "sailboat"),
    "plane": ("plane", "airplane"), "train": ("train", "locomotive"), "mushroom": ("mushroom", "toadstool"),
    "dog": ("dog", "puppy"), "house": ("house", "cottage"),
}  # fmt: skip
"""Words for kinds, the first of them the canonical one."""

COLOR_WORDS: dict[str, tuple[str, ...]] = {color: (color,) for color in COLORS} | {
    "gray": ("gray", "grey"), "purple": ("purple", "violet"), "turquoise": ("turquoise", "teal"),
}  # fmt: skip

FINISH_WORDS: dict[str, tuple[str, ...]] = {
    "matte": ("matte", "plain"), "glossy": ("glossy", "shiny", "polished"), "metallic": ("metallic", "metal"),
    "striped": ("striped", "stripy"), "checkered": ("checkered", "chequered"), "dotted": ("dotted", "spotted"),
}  # fmt: skip
"""Words for finishes that stand before a noun."""

AFTER_NOUNS: dict[str, tuple[str, ...]] = {
    "metallic": ("made of metal",), "striped": ("with stripes",), "checkered": ("with checks",),
    "dotted": ("with dots", "with polka dots"),
}  # fmt: skip
"""Phrases for finishes that stand after a noun; their last words mean the finish by themselves."""

FRAMES = ("a {}", "the {}", "a photo of a {}", "a picture of a {}", "an image of a {}", "there is a {}")
"""What stands round the name of one thing."""

PREDICATES = ("a {noun} that is {color}", "a {noun} that is {color} and {finish}", "the {noun} is {finish} and {color}")
"""Ways in which the noun comes first; the first of them for matte things only, the others for finishes named."""

PAIR_FRAMES = ("{}", "{}", "a photo of {}", "a picture of {}", "there is {}")
"""What stands round a pair; taken in turn, so most often nothing."""

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
"""No paraphrase has more words."""


def caption(meaning: Meaning) -> str:
    """The one caption of a meaning that retrieval sets hold.

    Example:
        >>> caption(ObjectSpec("chair", "orange", "metallic")), caption(ObjectSpec("mug", "blue", "matte"))
        ('an orange metallic chair', 'a blue mug')
        >>> caption(ObjectPairSpec(ObjectSpec("mug", "blue", "matte"), "on", ObjectSpec("cube", "green", "striped")))
        'a blue mug on a green striped cube'
    """
    return paraphrases(meaning)[0]


@functools.lru_cache(maxsize=1 << 14)
def paraphrases(meaning: Meaning) -> tuple[str, ...]:
    """Every caption of a meaning, in a fixed order, the canonical one first; no other meaning has any of them."""
    if isinstance(meaning, ObjectSpec):
        said = [frame.format(name) for name in _names(meaning) for frame in FRAMES]
        return tuple(dict.fromkeys(_with_articles(text) for text in [*said, *_predicates(meaning)]))
    first, second = _names(meaning.first), _names(meaning.second)
    said = []
    for i, frame in enumerate(RELATION_FRAMES[meaning.relation]):
        for j in range(max(len(first), len(second))):
            # The second's names are gone through at another pace with each frame, so that all kinds of pairs occur.
            a, b = first[j % len(first)], second[(j * (i + 1) + i) % len(second)] if i + j else second[0]
            pair = frame.format(first=f"{_ARTICLES[(i + j) % 4]} {a}", second=f"{_ARTICLES[(i + 2 * j) % 4]} {b}")
            said.append(PAIR_FRAMES[j % len(PAIR_FRAMES)].format(pair))
    return tuple(dict.fromkeys(_with_articles(text) for text in said))


def parse(caption: str) -> Meaning:
    """The meaning of a caption of any word order, upper or lower case, with or without articles.

    Raises:
        UsageError: Words from outside of the world, or words of it that do not make up a meaning.

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
    """The words of a caption that no caption of the closed world has.

    Example:
        >>> unknown_words("a blue dragon on a green cube")
        ('dragon',)
    """
    return tuple(dict.fromkeys(word for word in split_words(caption) if word not in _vocabulary()))


def warning(caption: str) -> str | None:
    """What is to be said of a caption that an encoder of the closed world cannot have learnt; None if nothing."""
    try:
        parse(caption)
    except UsageError as error:
        return str(error)
    return None


def vocabulary() -> tuple[str, ...]:
    """Every word of every paraphrase, in alphabetical order."""
    return tuple(sorted(_vocabulary()))


def world_words() -> str:
    """The words that make up captions, for a message.

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
    """Words of a caption in lower case; what is no letter, digit or apostrophe only separates them."""
    return re.findall(r"[^\W_]+(?:'[^\W_]+)*", text.lower())


# ---- saying ----------------------------------------------------------------------------------------------------------

_ARTICLES = ("a", "a", "the", "a")


def _names(thing: ObjectSpec) -> list[str]:
    """A thing's names without an article; the canonical one first."""
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
    """Ways of saying a thing with the noun first."""
    plain, *named = PREDICATES
    return [
        frame.format(noun=noun, color=color, finish=finish)
        for noun in NOUNS[thing.kind]
        for color in COLOR_WORDS[thing.color]
        for finish in FINISH_WORDS[thing.finish]
        for frame in ([plain] if thing.finish == "matte" else []) + named
    ]


def _with_articles(text: str) -> str:
    """`an` where it must be."""
    return re.sub(r"\ba(?= [aeio])", "an", text)


# ---- reading ---------------------------------------------------------------------------------------------------------

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
"""Phrases between two things: the relation, and whether the upper one comes last. Longer phrases come first."""


@functools.cache
def _vocabulary() -> frozenset[str]:
    tables = (NOUNS, COLOR_WORDS, FINISH_WORDS, AFTER_NOUNS, RELATION_FRAMES)
    phrases = [phrase for table in tables for phrases in table.values() for phrase in phrases]
    frames = [*FRAMES, *PREDICATES, *PAIR_FRAMES]
    return frozenset(split_words(re.sub(r"\{\w*\}", " ", " ".join([*phrases, *frames, "a an the"]))))


def _thing(caption: str, words: list[str]) -> ObjectSpec:
    """The thing that some words name, in whatever order."""
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
    """The pair that words name, of which two, at these places, are nouns."""
    if words[-2:] == ["on", "top"] and "with" in words[one:other]:
        middle = max(i for i in range(one, other) if words[i] == "with")
        return ObjectPairSpec(_thing(caption, words[middle:-2]), "on", _thing(caption, words[:middle]))
    if words[-3:] == ["side", "by", "side"]:
        words = words[:-3]
    for phrase, relation, is_reversed in _RELATIONS:
        for i in range(other - len(phrase), one, -1):
            if tuple(words[i : i + len(phrase)]) == phrase:
                left, right = _thing(caption, words[:i]), _thing(caption, words[i + len(phrase) :])
                return ObjectPairSpec(right, relation, left) if is_reversed else ObjectPairSpec(left, relation, right)
    raise UsageError(
        f"caption {caption!r}: expected two things with a relation between them, got none; say on, under or next to"
    )
