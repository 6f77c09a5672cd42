import pytest

from bench.errors import UsageError
from bench.suites import option_syntax


class TestSeeds:
    @pytest.mark.parametrize("text", ["", "a", "3-1", "1..3", "-2"])
    def test_what_is_no_list_of_seeds(self, text):
        with pytest.raises(UsageError, match="expected numbers and ranges such as 0-4"):
            option_syntax.parse_seeds(text)

    def test_repeated_seeds_count_once(self):
        assert option_syntax.parse_seeds("0-2,1,7") == (0, 1, 2, 7)


class TestConditions:
    def test_an_arms_name_may_hold_a_comma(self):
        assert option_syntax.parse_condition("arm=width 64, depth 2").text == "width 64, depth 2"

    def test_a_value_may_hold_an_equals_sign(self):
        assert option_syntax.parse_condition("variant=nerf+width=3").text == "nerf+width=3"

    def test_an_unknown_key_names_the_nearest(self):
        with pytest.raises(UsageError, match="--only: .* the nearest is 'scene'"):
            option_syntax.parse_condition("scenes=grey")

    def test_a_key_alone(self):
        with pytest.raises(UsageError, match="write --only scene=VALUE"):
            option_syntax.parse_condition("scene")


class TestNames:
    ARMS = ("NeRF", "NeRF, 43 views", "DietNeRF", "DietNeRF, fine-tuned")

    @pytest.mark.parametrize(
        ("text", "names"),
        [
            ("NeRF", ("NeRF",)),
            ("NeRF,DietNeRF", ("NeRF", "DietNeRF")),
            ("NeRF,NeRF, 43 views", ("NeRF", "NeRF, 43 views")),
            ("NeRF, 43 views,NeRF", ("NeRF, 43 views", "NeRF")),
            ("NeRF, 43 views , DietNeRF, fine-tuned", ("NeRF, 43 views", "DietNeRF, fine-tuned")),
            ("NeRF, 43 view", ("NeRF", "43 view")),  # refused later, with the nearest
            ("NeRFs,NeRF", ("NeRFs", "NeRF")),
            ("", ("",)),
            ("NeRF,", ("NeRF", "")),
        ],
    )
    def test_the_longest_known_name_is_taken(self, text, names):
        assert option_syntax.split_known_names(text, self.ARMS) == names


class TestSettings:
    @pytest.mark.parametrize("text", ["", "nerf", "nerf.width", "width=3", "width=3.5"])
    def test_what_changes_no_field(self, text):
        with pytest.raises(UsageError, match="--set: expected HEAD.FIELD=VALUE"):
            option_syntax.parse_setting(text)

    def test_a_value_may_hold_dots_and_equals_signs(self):
        assert option_syntax.parse_setting("nerf.field=my_pkg.field:A=b") == ("nerf", "field", "my_pkg.field:A=b")
