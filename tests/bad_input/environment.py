"""Bad environment variables."""

from __future__ import annotations

from tests.bad_input.bad_case import BadCase, setup

RUN = "run --suite sparse-views --budget paper --only scene=lego --seeds 0 --executor inline --results runs"


@setup
def a_file_named_data(place):
    (place / "data").write_text("a file")


@setup
def an_empty_folder_named_data(place):
    (place / "data").mkdir()


@setup
def a_lego_without_photographs(place):
    (place / "data" / "lego").mkdir(parents=True)


@setup
def a_lego_that_is_no_json(place):
    a_lego_without_photographs(place)
    for split in ("train", "test"):
        (place / "data" / "lego" / f"transforms_{split}.json").write_text("{")


@setup
def captions_of_somebody_else(place):
    (place / "coco.txt").write_text("a cat\na dog\n")


@setup
def captions_that_are_no_python(place):
    (place / "coco.py").write_text("queries = [")


@setup
def captions_that_run_code(place):
    (place / "coco.py").write_text("import os\nqueries = os.listdir('.')\n")


@setup
def captions_that_nest_deeply(place):
    (place / "coco.py").write_text("queries = " + "[" * 5000 + "]" * 5000)


BLENDER = (
    BadCase(RUN, "got neither BENCH_BLENDER_DIR", variables="BENCH_BLENDER_DIR= BENCH_BLENDER_URL="),
    BadCase(RUN, "none", variables="BENCH_BLENDER_DIR=none"),
    BadCase(RUN, "data", "a_file_named_data", variables="BENCH_BLENDER_DIR={here}/data"),
    BadCase(RUN, "lego", "an_empty_folder_named_data", variables="BENCH_BLENDER_DIR={here}/data"),
    BadCase(RUN, "lego", "a_lego_without_photographs", variables="BENCH_BLENDER_DIR={here}/data"),
    BadCase(RUN, "transforms_train.json", "a_lego_that_is_no_json", variables="BENCH_BLENDER_DIR={here}/data"),
    BadCase(
        RUN,
        "got neither BENCH_BLENDER_DIR",
        variables="BENCH_BLENDER_DIR= BENCH_BLENDER_URL=https://127.0.0.1:9/a.zip BENCH_BLENDER_SHA256=",
    ),
    BadCase(
        RUN,
        "BENCH_BLENDER_SHA256",
        variables="BENCH_BLENDER_DIR= BENCH_BLENDER_URL=https://127.0.0.1:9/a.zip BENCH_BLENDER_SHA256=abc",
    ),
)

COCO = tuple(
    BadCase(
        "import out --task captions --captions coco-153 --name mine --budget smoke --results runs",
        says,
        name,
        variables=f"BENCH_COCO_CAPTIONS={file}",
    )
    for file, says, name in (
        ("none.txt", "none.txt", ""),
        ("data", "data", "an_empty_folder_named_data"),
        ("coco.txt", "coco.txt: expected the 153 captions", "captions_of_somebody_else"),
        ("coco.py", "coco.py: expected Python with a list", "captions_that_are_no_python"),
        ("coco.py", "coco.py: expected Python with a list", "captions_that_run_code"),
        ("coco.py", "coco.py: expected", "captions_that_nest_deeply"),
    )
)

NO_DATA = "BENCH_DATA_DIR= XDG_CACHE_HOME="

EMBEDDED = "run --suite sparse-views --budget smoke --only scene=kettle --executor inline --results runs"

HOMES = (
    *(
        BadCase(EMBEDDED, f"{home}/.cache/nerf-bench", name, variables=f"HOME={home} {NO_DATA}")
        for home, name in (
            ("/dev/null", ""),
            ("/proc/none", ""),
            ("{here}/data", "a_file_named_data"),
        )
    ),
    BadCase(EMBEDDED, "/dev/null/nerf-bench", variables="BENCH_DATA_DIR= XDG_CACHE_HOME=/dev/null"),
    BadCase(EMBEDDED, "data", "a_file_named_data", variables="BENCH_DATA_DIR={here}/data"),
    BadCase(EMBEDDED, "~: expected a home folder", variables="BENCH_DATA_DIR=~nobody_of_this_name/data"),
    BadCase(
        "run --suite sparse-views --scenes ~/none", "~/none, which is not there", variables=f"HOME=/dev/null {NO_DATA}"
    ),
    BadCase("scene ~/none", "~/none", variables=f"HOME=/dev/null {NO_DATA}"),
    BadCase("encoders none", "got 'none'", variables=f"HOME=/dev/null {NO_DATA}"),
    BadCase("ls --results runs", "2 of 2 trials", code=0, variables=f"HOME=/dev/null TMPDIR=/dev/null {NO_DATA}"),
    BadCase("status --results runs", "1 finished", code=0, variables=f"HOME= TMPDIR=/{'x' * 200} {NO_DATA}"),
)

FOLDERS = (
    BadCase("ls --results ~nobody_of_this_name/runs", "nobody_of_this_name"),
    BadCase("encoders --convert openai-rn50=~nobody_of_this_name/a.pt", "~"),
)

TABLE = (*BLENDER, *COCO, *HOMES, *FOLDERS)
