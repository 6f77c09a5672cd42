import pytest

from bench.suites.variant_names import folder_safe, slug, snake


@pytest.mark.parametrize(("label", "part"), [("+ random crops", "random_crops"), ("weight 0.01", "weight_0_01")])
def test_a_label_becomes_a_part_of_a_name(label, part):
    assert slug(label) == part


def test_snake():
    assert snake("ToyMethod") == "toy_method"


def test_a_folder_keeps_the_letters_that_every_file_system_knows():
    assert folder_safe("MyField+code=1f/..:é") == "MyField+code=1f-..--"
