"""Other people's pickles: what is read, and that nothing else is, or runs."""

import os
import pickle
from collections import OrderedDict

import numpy as np
import pytest

from bench.errors import UsageError
from models.imagenet.pickled_tensors import read_numpy_tree, read_torch_tensors
from tests.fixtures.torch_files import Stored, stored, write_state

NUMBERS = np.arange(24, dtype=np.float32)


class Evil:
    """Makes a folder when it is unpickled by Python."""

    def __init__(self, place):
        self.place = place

    def __reduce__(self):
        return os.mkdir, (str(self.place),)


def state(**others):
    made = OrderedDict(
        whole=stored(NUMBERS.reshape(2, 3, 4)),
        turned=Stored(NUMBERS, (4, 3, 2), (1, 4, 12)),
        part=Stored(NUMBERS, (2, 2), (4, 1), start=13),
        count=stored(np.array(7, np.int64)),
    )
    made.update(others)
    made._metadata = OrderedDict({"": {"version": 1}})  # as `state_dict` has it
    return made


def test_tensors_are_read_with_their_strides_and_starts():
    found = read_torch_tensors(write_state(state()), "x")
    whole = NUMBERS.reshape(2, 3, 4)
    assert list(found) == ["whole", "turned", "part", "count"]
    np.testing.assert_array_equal(found["whole"], whole)
    np.testing.assert_array_equal(found["turned"], whole.transpose(2, 1, 0))
    np.testing.assert_array_equal(found["part"], [[13, 14], [17, 18]])
    assert found["count"].shape == () and found["count"] == 7
    assert all(array.flags.c_contiguous and array.flags.writeable for array in found.values())


def test_torch_itself_reads_the_same():
    torch = pytest.importorskip("torch")
    import io

    found = torch.load(io.BytesIO(write_state(state())), weights_only=True)
    for name, array in read_torch_tensors(write_state(state()), "x").items():
        np.testing.assert_array_equal(found[name].numpy(), array)


@pytest.mark.parametrize("where", ["under a name", "instead of all"])
def test_nothing_in_a_file_runs(tmp_path, where):
    evil = Evil(tmp_path / "made")
    content = write_state(state(evil=evil)) if where == "under a name" else write_state(evil)
    with pytest.raises(
        UsageError, match=r"lite: expected a state dict of PyTorch and nothing else, got the name posix"
    ):
        read_torch_tensors(content, "lite")
    with pytest.raises(UsageError, match=r"vgg: expected a pickled dict of NumPy arrays .*, got the name posix\.mkdir"):
        read_numpy_tree(pickle.dumps({"a": evil}), "vgg")
    with pytest.raises(UsageError):
        read_torch_tensors(pickle.dumps(evil), "lite")
    assert not (tmp_path / "made").exists()
    pickle.loads(pickle.dumps(evil))
    assert (tmp_path / "made").exists(), "the file would have run"


BAD = {
    "another magic number": lambda: write_state(state(), magic=1),
    "another protocol": lambda: write_state(state(), protocol=1002),
    "big-endian": lambda: write_state(state(), little_endian=False),
    "a count that differs": lambda: write_state(state(), counts=1),
    "bytes at the end": lambda: write_state(state()) + b"\0",
    "out of its storage": lambda: write_state(state(part=Stored(NUMBERS, (2, 2), (4, 1), start=20))),
    "start below zero": lambda: write_state(state(part=Stored(NUMBERS, (2,), (1,), start=-1))),
    "a large array of one number": lambda: write_state(state(part=Stored(NUMBERS, (1 << 40,), (0,)))),
    "strides of another length": lambda: write_state(state(part=Stored(NUMBERS, (2, 2), (1,)))),
    "a stride below zero": lambda: write_state(state(part=Stored(NUMBERS, (2,), (-1,), start=3))),
    "a state": lambda: write_state(state(part=Stored(NUMBERS, (2,), (1,), state={"grad": 1}))),
    "a number under a name": lambda: write_state(state(part=3)),
    "a list instead of a dict": lambda: write_state([stored(NUMBERS)]),
    "a zip file": lambda: b"PK\x03\x04" + bytes(100),
    "empty": lambda: b"",
}


@pytest.mark.parametrize("kind", BAD)
def test_other_files_are_refused_in_one_line(kind):
    with pytest.raises(UsageError, match="lite: expected a state dict of PyTorch and nothing else, got ") as error:
        read_torch_tensors(BAD[kind](), "lite")
    assert "\n" not in str(error.value)


def test_a_truncated_file_is_refused_wherever_it_ends():
    content = write_state(state())
    for end in range(0, len(content), 7):
        with pytest.raises(UsageError):
            read_torch_tensors(content[:end], "lite")


def test_a_tree_of_arrays():
    tree = {
        "A": {"kernel": NUMBERS.reshape(4, 6), "turned": np.asfortranarray(NUMBERS.reshape(4, 6))},
        "b": NUMBERS[:0],
    }
    for protocol in (3, 4):
        found = read_numpy_tree(pickle.dumps(tree, protocol), "x")
        np.testing.assert_array_equal(found["A"]["kernel"], tree["A"]["kernel"])
        np.testing.assert_array_equal(found["A"]["turned"], tree["A"]["turned"])
        assert found["b"].shape == (0,)


@pytest.mark.parametrize("tree", [[NUMBERS], {"a": 1.0}, {"a": NUMBERS.astype(np.float64)}, {1: NUMBERS}])
def test_other_trees_are_refused(tree):
    with pytest.raises(UsageError, match="vgg: expected a pickled dict of NumPy arrays and nothing else, got "):
        read_numpy_tree(pickle.dumps(tree, 3), "vgg")
