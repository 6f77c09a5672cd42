"""What may differ within a pack, what is static, and what is refused."""

import dataclasses

import pytest

from bench.errors import UsageError
from models import method as methods
from models.method import choice, hyperparameter, in_data, sized_by, split_hyperparameters, subset
from tasks.budgets import BUDGETS, sized
from tests.fixtures.toys import ToyMethod

FORMS = ("none", "soft", "hard")
KINDS = ("white", "black", "noise")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mixed(ToyMethod):
    """Has a field of every sort."""

    weight: float = hyperparameter(0.5)
    form: str = choice("soft", FORMS)
    bounds: bool = choice(True, (False, True))
    kinds: tuple[str, ...] = subset(("white", "noise"), KINDS)
    prompt: str = in_data("{}")
    label: str = "plain"
    guide: str | None = sized_by("encoder")

    def __post_init__(self):
        methods.check_options(self)


def test_hyperparameters_are_indices_and_vectors():
    made = Mixed(weight=2.0, form="hard", bounds=False, kinds=("black", "white"))
    _, hyperparameters = split_hyperparameters(made)
    assert {name: hyperparameters[name] for name in ("weight", "form", "bounds", "kinds")} == {
        "weight": 2.0, "form": 2.0, "bounds": 0.0, "kinds": (1.0, 1.0, 0.0),
    }  # fmt: skip
    assert all(isinstance(hyperparameters[name], float) for name in ("weight", "form", "bounds"))


def test_the_order_of_a_subset_does_not_count():
    assert split_hyperparameters(Mixed(kinds=("noise", "white"))) == split_hyperparameters(
        Mixed(kinds=("white", "noise"))
    )


def test_what_may_differ_is_taken_out_and_what_is_static_stays():
    plain, _ = split_hyperparameters(Mixed())
    for changes in (
        {"weight": 3.0},
        {"form": "none"},
        {"bounds": False},
        {"kinds": KINDS},
        {"prompt": "a photo of {}"},
    ):
        assert split_hyperparameters(Mixed(**changes))[0] == plain == Mixed()
    for changes in ({"label": "other"}, {"guide": "embedded-vit-16"}, {"num_rays": 5}):
        assert split_hyperparameters(Mixed(**changes))[0] == Mixed(**changes) != plain


def test_what_is_in_the_data_is_no_hyperparameter():
    assert "prompt" not in split_hyperparameters(Mixed(prompt="x {}"))[1]
    assert split_hyperparameters(Mixed(prompt="x {}"))[1] == split_hyperparameters(Mixed())[1]


def test_a_method_without_hyperparameters_is_itself():
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Fixed(ToyMethod):
        learning_rate: float = 0.1
        breaks_at: float = -1.0

    made = Fixed()
    assert split_hyperparameters(made) == (made, {})
    assert split_hyperparameters(made)[0] is made


def test_a_size_of_another_name_comes_from_the_budget():
    for budget in BUDGETS.values():
        assert sized(Mixed(), budget).guide == budget.encoder
        assert sized(Mixed(guide="mine"), budget).guide == "mine"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"form": "sofd"}, r"Mixed: expected form among its options, got 'sofd'; the nearest is 'soft'"),
        ({"form": ""}, r"Mixed: expected form among its options, got ''; known: hard, none, soft"),
        ({"kinds": ("white", "blck")}, r"expected kinds among its options, got 'blck'; the nearest is 'black'"),
        ({"kinds": ()}, r"Mixed: expected one or more of white, black, noise in kinds, got none"),
        ({"bounds": "yes"}, r"Mixed: expected bounds among its options, got 'yes'; known: False, True"),
    ],
)
def test_what_is_no_option_is_refused(changes, message):
    with pytest.raises(UsageError, match=message):
        Mixed(**changes)


def test_a_switch_may_be_written_as_a_number():
    assert split_hyperparameters(Mixed(bounds=0))[1]["bounds"] == 0.0
