"""Names of programs: whatever may change a program changes its name, and what nobody can tell has none."""

import collections
import dataclasses
import functools
import importlib.metadata
import importlib.util
import os
import sys
import types

import flax
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bench.programs import process_code, program_names
from bench.training import device_mesh, programs
from models.clip.encoder import Encoder, LinenTowers
from models.clip.networks.dual_encoder import DualEncoder, to_unit_length
from models.clip.networks.vit import VisionTransformer
from models.dietnerf import DIETNERF
from models.dream_fields import DREAM_FIELDS
from models.fields.encodings import Positional
from models.fields.fused_block import choice
from models.fields.networks import MLP, ResidualMLP
from models.method import Views
from tests.fixtures.toy_dreams import ToyTowers
from tests.fixtures.toys import ToyMethod

FAR = 1e10
"""A beginning of this process that all sources lie before."""


@pytest.fixture(autouse=True)
def plain_process(monkeypatch):
    """Sources are old, and no code of a user's is here, as tests are."""
    monkeypatch.setattr(process_code, "process_began", lambda: FAR)
    monkeypatch.setattr(process_code, "find_foreign_code", lambda: None)


def shape(*sizes, dtype=jnp.float32, weak_type=False):
    return jax.ShapeDtypeStruct(sizes, dtype, weak_type=weak_type)


ROWS = (shape(2, 3),)


def name(function=to_unit_length, static=(), dynamic=ROWS, donate=()):
    return program_names.name_program(function, static, dynamic, donate)


def encoder(name="one", sha256="aa", width=64, dtype="float32", mean=(0.5, 0.5, 0.5), **changes):
    sizes = {"depth": 1, "num_heads": 1, "embedding_dim": 8, "activation": "gelu"}
    image = VisionTransformer(image_px=8, patch_px=4, width=width, dtype=dtype, **sizes)
    towers = LinenTowers(DualEncoder(image_tower=image))
    params = {"w": shape(3)}
    made = Encoder(name=name, params=params, towers=towers, tokenizer=None, mean=mean, sha256=sha256)
    return dataclasses.replace(made, **changes)


def edited(value, field, changed):
    return dataclasses.replace(value, **{field: changed})


CASES = {
    "plain": {},
    "another function": {"function": programs.init_trials},
    "another shape": {"dynamic": (shape(2, 4),)},
    "another type": {"dynamic": (shape(2, 3, dtype=jnp.int32),)},
    "a weak type": {"dynamic": (shape(2, 3, weak_type=True),)},
    "in a tuple": {"dynamic": (ROWS,)},
    "in a list": {"dynamic": ([shape(2, 3)],)},
    "in a dictionary": {"dynamic": ({"a": shape(2, 3)},)},
    "under another name": {"dynamic": ({"b": shape(2, 3)},)},
    "in a named tuple": {"dynamic": (Views(*[shape(2, 3)] * 3),)},
    "in a tuple of as many": {"dynamic": (tuple([shape(2, 3)] * 3),)},
    "beside nothing": {"dynamic": (shape(2, 3), None)},
    "donated": {"donate": (0,)},
    "a number": {"static": (1,)},
    "a fraction": {"static": (1.0,)},
    "a truth": {"static": (True,)},
    "a word": {"static": ("1",)},
    "a method": {"static": (DREAM_FIELDS,)},
    "other steps": {"static": (edited(DREAM_FIELDS, "num_steps", 7),)},
    "another network": {"static": (edited(DREAM_FIELDS, "field", MLP()),)},
    "a deeper network": {"static": (edited(DREAM_FIELDS, "field", MLP(depth=3)),)},
    "another encoding": {"static": (edited(DREAM_FIELDS, "field", MLP(encoding=Positional(num_octaves=3))),)},
    "another kernel": {"static": (edited(DREAM_FIELDS, "field", ResidualMLP(kernel="plain")),)},
    "that kernel": {"static": (edited(DREAM_FIELDS, "field", ResidualMLP(kernel="fused")),)},
    "another method": {"static": (DIETNERF,)},
    "what no identity counts": {"static": (edited(DIETNERF, "keep_activations", True),)},
    "a function": {"static": (jax.nn.silu,)},
    "another": {"static": (jax.nn.relu,)},
    "what another calls": {"static": (jax.nn.relu.__wrapped__,)},
    "a part of one": {"static": (functools.partial(jax.nn.relu),)},
    "numbers": {"static": (np.arange(3),)},
    "other numbers": {"static": (np.arange(3) + 1,)},
    "numbers of another type": {"static": (np.arange(3.0),)},
    "a type": {"static": (jnp.bfloat16,)},
    "a type of NumPy": {"static": (np.dtype("float16"),)},
    "an encoder": {"dynamic": (encoder(),)},
    "another file of its name": {"dynamic": (encoder(sha256="bb"),)},
    "its file under another name": {"dynamic": (encoder(name="two"),)},
    "a wider encoder": {"dynamic": (encoder(width=128),)},
    "an encoder in bfloat16": {"dynamic": (encoder(dtype="bfloat16"),)},
    "an encoder of other pixels": {"dynamic": (encoder(mean=(0.5, 0.5, 0.4)),)},
    "an encoder of other arrays": {"dynamic": (encoder(params={"w": shape(4)}),)},
}


def test_every_other_program_has_another_name():
    names = {case: name(**asked) for case, asked in CASES.items()}
    assert [case for case, found in names.items() if found is None] == []
    repeated = [case for case in names if list(names.values()).count(names[case]) > 1]
    assert repeated == []
    assert names == {case: name(**asked) for case, asked in CASES.items()}


def test_arrays_are_named_by_what_is_left_of_them_in_shapes():
    assert name(dynamic=(jnp.ones((2, 3)),)) == name() == name(dynamic=(jnp.zeros((2, 3)),))
    key = jax.random.key(0)
    assert name(dynamic=(key,)) not in (None, name(dynamic=(jax.random.key_data(key),)))


class UsersNetwork(nn.Module):
    """Stands for a network of a user's: this module is none of ours."""

    def __call__(self, x):
        return x


UsersState = collections.namedtuple("UsersState", "a")


class UsersPart(functools.partial):
    """Calls another function than it says."""


class UsersEncoder(Encoder):
    """May compute something else."""


def users_encoder():
    made = encoder()
    return UsersEncoder(**{field.name: getattr(made, field.name) for field in dataclasses.fields(made)})


def with_attribute(method):
    """Return a copy of a method that holds what is no field."""
    copy = dataclasses.replace(method)
    object.__setattr__(copy, "loss", None)
    return copy


class HidesState:
    """Has no fields that could be told."""


NO_NAME = {
    "a function without a name": {"function": lambda x: x},
    "a user's function": {"function": encoder},
    "a user's method": {"static": (ToyMethod(),)},
    "a user's network": {"static": (edited(DREAM_FIELDS, "field", UsersNetwork()),)},
    "a user's function in a field": {"static": (encoder,)},
    "a part of a user's function": {"static": (functools.partial(encoder, 1),)},
    "an object": {"static": (HidesState(),)},
    "an object among arrays": {"dynamic": (HidesState(),)},
    "an array of JAX as a constant": {"static": (jnp.ones(3),)},
    "a user's tree": {"dynamic": (UsersState(shape(3)),)},
    "numbers of which some are hidden": {"static": (np.ma.masked_array([1.0, 2.0], [True, False]),)},
    "a part that is called otherwise": {"static": (UsersPart(jax.nn.relu),)},
    "a network that holds its arrays": {"static": (MLP().bind({"params": {}}),)},
    "more than its fields": {"static": (with_attribute(DREAM_FIELDS),)},
    "an encoder of a user's kind": {"dynamic": (users_encoder(),)},
    "towers of another package": {"dynamic": (encoder(towers=ToyTowers()),)},
}


@pytest.mark.parametrize("case", NO_NAME)
def test_what_cannot_be_told_has_no_name(case):
    assert name(**NO_NAME[case]) is None


def test_settings_of_the_environment_count_and_folders_do_not(monkeypatch):
    names = [name()]
    for variable, value in [("XLA_FLAGS", "--xla_a=1"), ("JAX_ENABLE_X64", "1"), (device_mesh.VARIABLE, "1")]:
        monkeypatch.setenv(variable, value)
        names.append(name())
    assert len(set(names)) == 4
    for variable in ("BENCH_DATA_DIR", "JAX_COMPILATION_CACHE_DIR", "CUDA_VISIBLE_DEVICES", "BENCH_GIT_COMMIT"):
        monkeypatch.setenv(variable, "3")
        assert name() == names[-1]


def test_few_settings_of_jax_are_left_out():
    left_out = {setting for setting in jax.config.values if program_names.PLACES.search(setting)}
    assert left_out <= {"jax_compilation_cache_dir", "jax_cuda_visible_devices"}


def test_settings_of_a_thread_count():
    before = name()
    with jax.default_matmul_precision("highest"):
        inside = name()
    with choice.only_plain():
        assert name() is None
    assert inside not in (None, before)
    assert name() == before


def test_plug_ins_and_other_devices_have_no_name(monkeypatch):
    assert name(dynamic=(jnp.ones(3),)) is not None
    monkeypatch.setattr(process_code, "find_foreign_code", lambda: "my_pkg")
    assert name() is None
    monkeypatch.undo()
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    assert name() is None


class OtherDevice:
    """Stands for the first device of a process, where arrays are on the second."""

    platform = "cuda"
    device_kind = "NVIDIA H100"

    class client:
        platform_version = "cuda 13"


def test_the_device_and_its_driver_count(monkeypatch):
    before = name()
    array = jnp.ones(3)
    monkeypatch.setattr(jax, "local_devices", lambda: [OtherDevice])
    other = name()
    assert other not in (None, before)
    monkeypatch.setattr(OtherDevice.client, "platform_version", "cuda 13.1")
    assert name() not in (None, other)
    assert name(dynamic=(array,)) is None  # which is not on the first device


@pytest.fixture
def sources(monkeypatch, tmp_path):
    """A small project in the place of ours."""
    for folder in ("tasks", "models", "bench"):
        (tmp_path / folder / "inner").mkdir(parents=True)
        (tmp_path / folder / "inner" / "module.py").write_text("x = 1\n")
    monkeypatch.setattr(program_names, "ROOT", tmp_path)
    return tmp_path


EDITS = {
    "a line": lambda root: (root / "models/inner/module.py").write_text("x = 2\n"),
    "a module of another room": lambda root: (root / "bench/inner/module.py").write_text("x = 2\n"),
    "a comment": lambda root: (root / "tasks/inner/module.py").write_text("x = 1  # one\n"),
    "a new module": lambda root: (root / "models/new.py").write_text(""),
    "a module gone": lambda root: (root / "models/inner/module.py").unlink(),
    "a module moved": lambda root: (root / "models/inner/module.py").rename(root / "models/module.py"),
    "a table of numbers": lambda root: (root / "models/inner/table.json").write_text("[]"),
    "as many letters at the same time": lambda root: keep_time(root / "models/inner/module.py", "x = 3\n"),
}


def keep_time(path, text):
    """Write a file and give it back its time, as some tools do."""
    state = path.stat()
    path.write_text(text)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_of_any_source_gives_another_name(sources, edit):
    before = name()
    EDITS[edit](sources)
    assert name() not in (None, before)


def test_sources_are_looked_at_again_when_modules_were_imported_or_reloaded(sources, monkeypatch):
    looked = []
    monkeypatch.setattr(program_names, "tell_sources", lambda: looked.append(1) or f"{len(looked)}")
    assert [program_names.tell_imported_sources() for _ in range(2)] == ["1", "2"]  # each time, unless told otherwise
    with program_names.remember_sources():
        assert [program_names.tell_imported_sources() for _ in range(3)] == ["3"] * 3
        monkeypatch.setitem(sys.modules, "models.new", types.ModuleType("models.new"))
        assert [program_names.tell_imported_sources() for _ in range(2)] == ["4"] * 2
        found = importlib.util.spec_from_loader("models.new", None)
        monkeypatch.setattr(sys.modules["models.new"], "__spec__", found)  # as `importlib.reload` does
        assert program_names.tell_imported_sources() == "5"
    assert program_names.tell_imported_sources() == "6"


def test_settings_of_flax_count(monkeypatch):
    before = name()
    with flax.config.temp_flip_flag("fix_rng_separator", True):
        assert name() not in (None, before)
    assert name() == before


def test_bytecode_texts_and_arrays_are_no_sources(sources):
    before = name()
    (sources / "models/__pycache__").mkdir()
    for file in ("models/__pycache__/module.pyc", "models/README.md", "models/weights.safetensors"):
        (sources / file).write_text("x")
    assert name() == before


def test_versions_of_packages_count(monkeypatch, tmp_path):
    fresh = program_names.tell_packages.__wrapped__
    before = fresh()
    found = importlib.metadata.distribution

    class Newer:
        """Is as a package, with other files."""

        def __init__(self, package):
            self.locate_file = found(package).locate_file

        def read_text(self, file):
            return "another,sha256=1,1"

    monkeypatch.setattr(importlib.metadata, "distribution", lambda name: (Newer if name == "flax" else found)(name))
    assert fresh() != before
    monkeypatch.undo()
    assert fresh() == before
    (tmp_path / "other-1.0.dist-info").mkdir()
    monkeypatch.setattr("sys.path", [*sys.path, str(tmp_path)])
    assert fresh() != before
    monkeypatch.undo()
    monkeypatch.setattr("flax.__file__", "/home/me/flax/flax/__init__.py")
    with pytest.raises(program_names.Untold):
        fresh()
