import argparse

import pytest

from bench.cli import argument_parser
from bench.cli.argument_parser import ArgumentParser
from bench.errors import UsageError


@pytest.fixture
def parser():
    made = ArgumentParser("toys", "play with toys", "python -m bench toys --size 3")
    made.add_argument("name")
    made.add_argument("--suite", required=True)
    made.add_argument("--kind", choices=("wooden", "woollen"), default="wooden")
    made.add_argument("--size", type=int)
    made.add_argument("--json", action="store_true")
    return made


def test_right_words_are_read(parser):
    args = parser.parse_words(["bear", "--suite", "s", "--kind", "woollen", "--size", "-3"])
    assert (args.name, args.suite, args.kind, args.size, args.json) == ("bear", "s", "woollen", -3, False)


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["bear", "--siut", "s"], ("toys: ", "known option", "'--siut'", "nearest is '--suite'")),
        (["bear", "--suite", "s", "--jsn"], ("toys: ", "'--jsn'", "nearest is '--json'")),
        (["bear", "--sui=s"], ("'--sui'", "nearest is '--suite'")),
        (["bear"], ("toys: expected --suite, got none",)),
        ([], ("toys: expected name, --suite, got none",)),
        (["bear", "--suite"], ("--suite: expected a value, got none",)),
        (["bear", "--suite", "s", "--kind", "wolen"], ("--kind: ", "'wolen'", "nearest is 'woollen'")),
        (["bear", "--suite", "s", "--size", "big"], ("--size: expected a number, got 'big'",)),
        (["bear", "--suite", "s", "wolf", "a b"], ("toys: expected no further words, got wolf 'a b'",)),
    ],
)
def test_mistakes_are_one_line_that_names_the_help(parser, words, parts, capsys):
    with pytest.raises(UsageError) as raised:
        parser.parse_words(words)
    message = str(raised.value)
    assert all(part in message for part in parts)
    assert message.endswith("; see python -m bench toys --help") and "\n" not in message
    assert capsys.readouterr() == ("", "")


def test_words_behind_two_dashes_are_no_options(parser):
    assert parser.parse_words(["--suite", "s", "--", "--bear"]).name == "--bear"


def test_a_sentence_that_begins_with_dashes_is_no_option(parser):
    assert parser.parse_words(["--suite", "s", "--bear with me"]).name == "--bear with me"


def test_help_shows_description_and_example(parser, capsys):
    with pytest.raises(SystemExit) as stopped:
        parser.parse_words(["--help"])
    printed = capsys.readouterr().out
    assert stopped.value.code == 0
    assert "play with toys" in printed and "example:\n  python -m bench toys --size 3" in printed


class TestReaders:
    def test_several_words_count_once(self):
        assert argument_parser.several_of(("a", "b", "c"))("b, a,b") == ["b", "a"]

    def test_one_of_several_that_is_unknown(self):
        with pytest.raises(argparse.ArgumentTypeError, match="nearest is 'castle'"):
            argument_parser.several_of(("castle", "kettle"))("kettle,castel")

    @pytest.mark.parametrize("text", ["", "-", "1.5", "two", "²", "0", "-1"])
    def test_what_is_no_whole_number_of_at_least_one(self, text):
        with pytest.raises(argparse.ArgumentTypeError, match="at least 1"):
            argument_parser.whole_number(1)(text)

    def test_whole_numbers(self):
        assert argument_parser.whole_number(-2)("-2") == -2
        assert argument_parser.whole_number(1)("12") == 12
