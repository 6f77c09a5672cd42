"""Bad words of every verb."""

from __future__ import annotations

import pathlib

from tests.bad_input.bad_case import BadCase, setup

SMOKE = "--suite sparse-views --budget smoke"

PLAN = "plan --suite sparse-views --budget smoke --no-pilot"

TRIAL = "nerf__knight__8v__s0__3f9c1a2b"

FAILED = "nerf__rook__8v__s1__00000001"


@setup
def a_file_in_the_way(place: pathlib.Path) -> None:
    """Put a file where a folder is written, or a folder is asked for."""
    (place / "file").write_text("in the way")


@setup
def a_folder_in_the_way(place: pathlib.Path) -> None:
    """Put a folder where a file is written, or a file is asked for."""
    (place / "folder").mkdir()


@setup
def a_written_method(place: pathlib.Path) -> None:
    """Put a file where `new-method` would write."""
    (place / "mine.py").write_text("x = 1\n")


OVERVIEW = (
    BadCase("rnu", "expected a verb, got 'rnu'; the nearest is 'run'"),
    BadCase("--verison", "expected a verb, got '--verison'; known: --help, adopt"),
    BadCase("''", "expected a verb, got ''"),
    BadCase("RUN --suite ablations", "expected a verb, got 'RUN'"),
    BadCase("'r\u00fcn'", "expected a verb, got 'r\u00fcn'"),
    BadCase("'run\033[31m'", "expected a verb, got 'run"),
)

SELECTION = (
    BadCase("run", "run: expected --suite, got none"),
    BadCase("run --suite", "--suite: expected a value, got none"),
    BadCase("run --suite ablation", "expected a suite, got 'ablation'; the nearest is 'ablations'"),
    BadCase("run --suite ''", "expected a suite, got ''"),
    BadCase("run --suite sparse-views,ablations", "expected a suite, got 'sparse-views,ablations'"),
    BadCase("run --siute ablations", "expected a known option, got '--siute'; the nearest is '--suite'"),
    BadCase(f"{PLAN} extra words", "expected no further words, got extra words"),
    BadCase("plan --suite sparse-views --budget smok", "got 'smok'; the nearest is 'smoke'"),
    BadCase("plan --suite sparse-views --budget ''", "got ''"),
    BadCase(f"{PLAN} --seeds x", "--seeds: expected numbers and ranges"),
    BadCase(f"{PLAN} --seeds 3-1", "--seeds: expected numbers and ranges"),
    BadCase(f"{PLAN} --seeds=-1", "--seeds: expected numbers and ranges"),
    BadCase(f"{PLAN} --seeds ''", "--seeds: expected"),
    BadCase(f"{PLAN} --seeds 0,,1", "--seeds: expected numbers and ranges"),
    BadCase(f"{PLAN} --seeds 1.5", "--seeds: expected numbers and ranges"),
    BadCase(f"{PLAN} --seeds \u0663", "--seeds: expected"),
    BadCase(f"{PLAN} --seeds 0-99999999999", "--seeds: expected"),
    BadCase(f"{PLAN} --seeds 99999999999999999999", "--seeds: expected"),
    BadCase(f"{PLAN} --seeds {'9' * 5000}", "--seeds: expected"),
    BadCase(
        f"{PLAN} --only kettle",
        "--only: expected scene|caption|arm|variant|table|seed=VALUE, got 'kettle'; write what it is, as in --only "
        "scene=kettle",
    ),
    BadCase(f"{PLAN} --only scnee=kettle", "got 'scnee=kettle'; the nearest is 'scene'"),
    BadCase(f"{PLAN} --only scene", "--only: expected a value behind scene"),
    BadCase(f"{PLAN} --only scene=", "expected a scene of the suite, got ''"),
    BadCase(f"{PLAN} --only scene=kettel", "the nearest is 'kettle'"),
    BadCase(f"{PLAN} --only scene=kettle,,rook", "expected a scene of the suite, got ''"),
    BadCase(f"{PLAN} --only arm=Nerf", "expected an arm of the suite, got 'Nerf'"),
    BadCase(f"{PLAN} --only table=x", "expected a table of the suite, got 'x'"),
    BadCase(f"{PLAN} --only seed=zero", "expected a seed of the suite, got 'zero'"),
    BadCase(
        f"{PLAN} --only scene=kettle --only scene=locomotive",
        "expected conditions that some trial meets",
    ),
    BadCase(f"{PLAN} --set nerf", "--set: expected HEAD.FIELD=VALUE, got 'nerf'"),
    BadCase(f"{PLAN} --set nerf.num_rays", "--set: expected HEAD.FIELD=VALUE"),
    BadCase(f"{PLAN} --set =3", "--set: expected HEAD.FIELD=VALUE"),
    BadCase(f"{PLAN} --set .=3", "--set"),
    BadCase(f"{PLAN} --set nerf.=3", "--set nerf.=3: expected a field of"),
    BadCase(f"{PLAN} --set nref.num_rays=3", "got 'nref'; the nearest is 'nerf'"),
    BadCase(f"{PLAN} --set nerf.num_rais=3", "the nearest is 'num_rays'"),
    BadCase(f"{PLAN} --set nerf.num_rays=", "--set nerf.num_rays=: expected int, got ''"),
    BadCase(f"{PLAN} --set nerf.num_rays=many", "--set nerf.num_rays=many: expected int, got 'many'"),
    BadCase(f"{PLAN} --set nerf.num_rays=nan", "--set nerf.num_rays=nan: expected int, got 'nan'"),
    BadCase(f"{PLAN} --set nerf.num_rays=inf", "--set nerf.num_rays=inf: expected int, got 'inf'"),
    BadCase(f"{PLAN} --set nerf.num_rays=1e400", "--set nerf.num_rays=1e400: expected int, got '1e400'"),
    BadCase(f"{PLAN} --set nerf.num_rays=1.5", "--set nerf.num_rays=1.5: expected int, got '1.5'"),
    BadCase(f"{PLAN} --set nerf.num_rays=0", "nerf: expected num_rays from 1"),
    BadCase(f"{PLAN} --set nerf.num_rays=-5", "nerf: expected num_rays from 1"),
    BadCase(f"{PLAN} --set nerf.num_rays=1e300", "--set nerf.num_rays=1e300:"),
    BadCase(f"{PLAN} --set nerf.num_rays={'9' * 5000}", "--set nerf.num_rays=999"),
    BadCase(f"{PLAN} --set nerf.learning_rate=nan", "expected learning_rate from 0 to 1000, got nan"),
    BadCase(f"{PLAN} --set nerf.learning_rate=inf", "expected learning_rate from 0 to 1000, got inf"),
    BadCase(f"{PLAN} --set nerf.learning_rate=-1", "expected learning_rate from 0 to 1000, got -1.0"),
    BadCase(f"{PLAN} --set nerf.learning_rate=fast", "expected float, got 'fast'"),
    BadCase(f"{PLAN} --set nerf.field=3", "--set nerf.field=3: expected"),
    BadCase(f"{PLAN} --set nerf.field.width=-0", "MLP: expected width to be at least 1, got 0"),
    BadCase(f"{PLAN} --set nerf.field.widht=3", "the nearest is 'width'"),
    BadCase(f"{PLAN} --set nerf.num_rays.more=3", "num_rays has no fields of its own"),
    BadCase(f"{PLAN} --set nerf.batching=none", "--set nerf.batching=none: expected one of"),
    BadCase(f"{PLAN} --set task.scene=kettle", "expected a setting, got which scene it is"),
    BadCase(f"{PLAN} --set task.num_views=0", "task kettle: expected num_views of at least 1, got 0"),
    BadCase(f"{PLAN} --set task.num_views=1000000", "num_views"),
    BadCase(f"{PLAN} --set task.near=5", "near"),
    BadCase(f"{PLAN} --set task.image_px=-1", "task kettle: expected image_px of at least 1, got -1"),
    BadCase(f"{PLAN} --set budget.num_steps=0", "--set budget.num_steps=0:"),
    BadCase(f"{PLAN} --set budget.num_steps=-3", "--set budget.num_steps=-3:"),
    BadCase(f"{PLAN} --set budget.num_steps=1e99", "--set budget.num_steps=1e99:"),
    BadCase(f"{PLAN} --set budget.name=x", "--set budget.name=x: expected a field of"),
    BadCase(f"{PLAN} --set budget.imagepx=3", "expected a field of Budget, got 'imagepx'"),
    BadCase(f"{PLAN} --set 'nerf.batching=\033[2J'", "expected one of"),
)

RUN_OPTIONS = (
    BadCase(f"run {SMOKE} --pack-size 0", "--pack-size: expected a whole number of at least 1, got '0'"),
    BadCase(f"run {SMOKE} --pack-size -1", "--pack-size"),
    BadCase(f"run {SMOKE} --pack-size 1.5", "--pack-size: expected a whole number of at least 1, got '1.5'"),
    BadCase(f"run {SMOKE} --pack-size {'9' * 5000}", "--pack-size: expected"),
    BadCase(f"run {SMOKE} --executor rya", "the nearest is 'ray'"),
    BadCase(f"run {SMOKE} --minutes nan", "--minutes: expected a number above 0, got 'nan'"),
    BadCase(f"run {SMOKE} --minutes 0", "--minutes: expected a number above 0, got '0'"),
    BadCase(f"run {SMOKE} --minutes 1e999", "--minutes: expected a number above 0, got '1e999'"),
    BadCase(f"run {SMOKE} --checkpoint-minutes=-1", "--checkpoint-minutes: expected a number of at least 0"),
    BadCase(f"run {SMOKE} --stall-minutes soon", "--stall-minutes: expected a number of at least 0"),
    BadCase(f"run {SMOKE} --devices-per-worker 0", "--devices-per-worker: expected a number above 0"),
    BadCase(f"run {SMOKE} --on-failure panic", "--on-failure: expected one of continue, stop, got 'panic'"),
    BadCase(f"run {SMOKE} --max-failures 0", "--max-failures: expected a whole number of at least 1"),
    BadCase(f"run {SMOKE} --retries many", "--retries: expected a whole number of at least 0, got 'many'"),
    BadCase(f"run {SMOKE} --trial-minutes -0", "--trial-minutes"),
    BadCase(f"run {SMOKE} --executor inline --address 127.0.0.1:1", "--address"),
    BadCase(f"run {SMOKE} --executor inline --results file", "file", "a_file_in_the_way"),
    BadCase(f"run {SMOKE} --executor inline --results file/runs", "file", "a_file_in_the_way"),
    BadCase(f"{PLAN} --workers 0", "--workers: expected a whole number of at least 1"),
    BadCase(f"plan {SMOKE} --profile none.json", "none.json"),
    BadCase(f"plan {SMOKE} --profile folder", "folder", "a_folder_in_the_way"),
    BadCase(f"{PLAN} --results file", "file", "a_file_in_the_way"),
)

STORED = (
    BadCase("ls --results none", "--results: expected a folder of trials, got none, which is not there"),
    BadCase("ls --results file", "file", "a_file_in_the_way"),
    BadCase("ls --results ''", "--results"),
    BadCase("ls one two --results runs", "expected no further words, got two"),
    BadCase(
        "generate a red chair", "expected no further words, got red chair; put words that belong together in quotes"
    ),
    BadCase("status --results none", "--results: expected a folder of trials, got none"),
    BadCase("status --results runs --every 5", "--every: expected --watch beside it"),
    BadCase("status --results runs --watch --every 0", "--every: expected seconds from 0.05 on, got 0"),
    BadCase("status --results runs --watch --every nan", "--every: expected seconds from 0.05 on, got nan"),
    BadCase("status --results runs --watch --every often", "--every: expected a number, got 'often'"),
    BadCase("status --results runs --watch --json", "--watch: expected no --json beside it"),
    BadCase("show --results runs", "show: expected TRIAL, got none"),
    BadCase("show nothing --results runs", "got 'nothing'; the nearest is"),
    BadCase("show nerf__ --results runs", "expected the start or a part of one id, got 'nerf__', which 2 share"),
    BadCase("show '' --results runs", "expected the start or a part of one id, got ''"),
    BadCase("show ../../etc --results runs", "expected one of runs, got '../../etc'"),
    BadCase("show x --results none", "none"),
    BadCase("retry --results runs", "retry: expected either trials, --all or --damaged"),
    BadCase("retry --all --damaged --results runs", "retry: expected either trials, --all or --damaged"),
    BadCase(f"retry {TRIAL} --results runs", f"expected a trial that failed, got {TRIAL}, which finished"),
    BadCase(f"retry {FAILED} {TRIAL} --results runs", f"expected a trial that failed, got {TRIAL}"),
    BadCase("retry x --results runs", "got 'x'; the nearest is"),
    BadCase("retry --all --results none", "--results: expected a folder of trials, got none"),
    BadCase("rescore --results runs", "rescore: expected --suite, got none"),
    BadCase(f"rescore {SMOKE} --protocol std-v2 --results runs", "the nearest is 'std-v1'"),
    BadCase(f"rescore {SMOKE} --results none", "none"),
    BadCase("adopt --results runs", "adopt: expected FOLDER, got none"),
    BadCase("adopt none --results runs", "none, which is not there"),
    BadCase("adopt file --results runs", "file", "a_file_in_the_way"),
    BadCase(f"archive {SMOKE} --results none --out out", "none"),
    BadCase(f"archive {SMOKE} --results runs --out out", "archive: expected trials of sparse-views in runs, got none"),
    BadCase(f"archive {SMOKE} --results runs --out file", "file", "a_file_in_the_way"),
    BadCase(f"export x {SMOKE} --results runs", "expected a trial of the suite at this budget, got 'x'"),
    BadCase(f"export '' {SMOKE} --results runs", "expected the start or a part of one id, got ''"),
    BadCase(f"export x {SMOKE} --resolution 7 --results runs", "--resolution: expected a whole number from 8 to 1024"),
    BadCase(f"export x {SMOKE} --level high --results runs", "--level: expected a number above 0, got 'high'"),
    BadCase(f"export x {SMOKE} --level nan --results runs", "--level"),
    BadCase(f"export x {SMOKE} --image-px {'9' * 30} --results runs", "--image-px: expected a whole number"),
)

REPORTS = (
    BadCase("report --results runs", "report: expected --suite, got none"),
    BadCase(f"report {SMOKE} --results none", "--results: expected a folder of trials, got none"),
    BadCase(f"report {SMOKE} --results runs --pictures -1", "--pictures"),
    BadCase(f"report {SMOKE} --results runs --meshes x", "--meshes: expected a whole number of at least 0, got 'x'"),
    BadCase(f"report {SMOKE} --results runs --price-per-hour nan", "--price-per-hour: expected a number from 0 on"),
    BadCase(f"report {SMOKE} --results runs --price-per-hour -1", "--price-per-hour"),
    BadCase(f"report {SMOKE} --results runs --currency EUR", "--currency: expected --price-per-hour beside it"),
    BadCase(f"report {SMOKE} --results runs --price-per-hour 1 --currency '<b>'", "--currency: expected a word"),
    BadCase(f"report {SMOKE} --results runs --every 3", "--every: expected --live beside it"),
    BadCase(f"report {SMOKE} --results runs --live --distances", "--live: expected no --distances beside it"),
    BadCase(f"report {SMOKE} --results runs --encoder x", "--encoder: expected --figure"),
    BadCase(f"report {SMOKE} --results runs --out file", "file", "a_file_in_the_way"),
    BadCase("report --figure nothing", "--figure: expected one of"),
    BadCase("report --figure clip-consistency --suite ablations", "--figure"),
    BadCase("report --figure clip-consistency --encoder nothing --out out", "got 'nothing'"),
    BadCase("votes --results runs", "votes: expected FILE, got none"),
    BadCase("votes none.json --results runs", "none.json: expected votes that a report's page saved, got no such file"),
    BadCase("votes folder --results runs", "folder: expected a plain file, got a folder", "a_folder_in_the_way"),
    BadCase("upper-bounds --set nothing", "nothing"),
    BadCase("upper-bounds --num 0", "--num: expected a whole number of at least 1"),
    BadCase("upper-bounds --set file:none.txt", "none.txt"),
    BadCase("scaling", "scaling: expected --suite, got none"),
    BadCase(f"scaling {SMOKE} --devices 0", "--devices: expected numbers from 1 with commas between, got '0'"),
    BadCase(f"scaling {SMOKE} --devices \u00b2", "--devices: expected numbers from 1"),
    BadCase(f"scaling {SMOKE} --devices {'9' * 5000}", "--devices: expected"),
    BadCase(f"scaling {SMOKE} --executors threads", "--executors: expected inline, ray or inline,ray, got 'threads'"),
    BadCase("profile --method nrf", "got 'nrf'; the nearest is 'nerf'"),
    BadCase("profile --pack 1,,2", "--pack: expected numbers from 1 with commas between"),
    BadCase("profile --devices 4000000", "devices: expected up to"),
    BadCase("profile --steps 0", "--steps: expected a whole number of at least 1"),
    BadCase("profile --scoring --image-px 3", "--image-px: expected a whole number of at least 16"),
    BadCase("profile --method nerf --budget smoke --set nref.num_rays=3", "got 'nref'"),
    BadCase("doctor --quick --address 1.2.3.4:5 --results runs", "expected --address or --quick, got both"),
    BadCase("doctor --results none", "--results: expected a folder of trials, got none"),
)

DRILL = (
    BadCase("drill --faults 0", "--faults: expected a whole number of at least 1"),
    BadCase("drill --kinds kil", "--kinds: expected one of"),
    BadCase("drill --nodes 3", "--nodes: expected one of 1, 2, got '3'"),
    BadCase("drill --results runs", "--results: expected an empty folder or none, got runs"),
    BadCase("drill --results file", "--results file: expected a folder", "a_file_in_the_way"),
)

OWN = (
    BadCase("compare", "compare: expected method, got none"),
    BadCase("compare nothing --budget smoke --results runs", "nothing"),
    BadCase("compare nerf --against nothing --budget smoke --results runs", "nothing"),
    BadCase("compare nerf --against '' --budget smoke --results runs", "--against"),
    BadCase("compare nerf --against nerf --budget smoke --results runs", "nerf"),
    BadCase("compare nerf --fail-if bad --budget smoke --results runs", "--fail-if: expected one of worse, not-better"),
    BadCase("compare dream_fields --budget smoke --results runs", "dream_fields"),
    BadCase("check nothing", "expected a variant, an entry point of bench.methods or module:object, got 'nothing'"),
    BadCase("check my/field.py", "write my.field:NAME"),
    BadCase("check nerf --scene none", "none"),
    BadCase("check nerf --scene kettle --caption x", "leave it out"),
    BadCase("check dream_fields --caption 'no such'", "no such"),
    BadCase("new-method", "new-method: expected FILE, got none"),
    BadCase("new-method mine.txt", "expected a .py file below this folder"),
    BadCase("new-method ../mine.py", "expected a .py file below this folder"),
    BadCase("new-method /mine.py", "expected a .py file below this folder"),
    BadCase("new-method my-field.py", "expected names that Python can import, got 'my-field'"),
    BadCase("new-method class.py", "expected names that Python can import, got 'class'"),
    BadCase("new-method 1st/a.py", "expected names that Python can import, got '1st'"),
    BadCase("new-method models/field.py", "expected a name of your own, got 'models'"),
    BadCase("new-method json/a.py", "expected a name of your own, got 'json'"),
    BadCase("new-method numpy/a.py", "expected a name of your own, got 'numpy'"),
    BadCase("new-method .py", "expected"),
    BadCase("new-method ''", "FILE: expected a path, got ''"),
    BadCase("new-method mine.py", "mine.py: expected no such file yet, got one", "a_written_method"),
    BadCase("new-method file/a.py", "which is a file", "a_file_in_the_way"),
    BadCase("new-method 'a\0b.py'", "which holds a null character"),
    BadCase("new-method " + "a" * 300 + ".py", "File name too long"),
    BadCase("generate", "generate: expected CAPTION, got none"),
    BadCase("generate ''", "caption: expected words, got ''"),
    BadCase("generate ' . '", "caption: expected words, got ' . '"),
    BadCase("generate 'a chair' --seeds x", "--seeds: expected numbers"),
    BadCase("generate 'a chair' --encoder nothing --budget smoke --out out", "got 'nothing'"),
    BadCase(
        "generate 'a chair' --prompt 'no place' --budget smoke --out out",
        "expected one {{}} for the caption",
    ),
    BadCase("generate 'a chair' --set dream_fields.num_stpes=3 --budget smoke --out out", "the nearest is 'num_steps'"),
    BadCase("generate 'a chair' --budget smoke --out file", "--out file: expected a folder", "a_file_in_the_way"),
    BadCase("generate 'a chair' --budget smoke --out file/x", "--out file/x: expected", "a_file_in_the_way"),
    BadCase("generate 'a chair' --image-px 4", "--image-px: expected a whole number from 8 to 2048"),
    BadCase("encoders nothing", "encoders: expected one of the catalog, got 'nothing'"),
    BadCase("encoders --cards --json", "encoders: expected --json beside a NAME or alone, got --cards or --convert"),
    BadCase("encoders --convert x", "--convert: expected NAME=PATH, got 'x'"),
    BadCase("encoders --convert nothing=a.pt", "--convert: expected a model of OpenAI's, got 'nothing'"),
    BadCase("encoders --convert openai-rn50=none.pt", "--convert: expected a file none.pt, got none"),
    BadCase("encoders --convert openai-rn50=", "--convert: expected a file"),
    BadCase("export-scenes", "export-scenes: expected OUT, got none"),
    BadCase("export-scenes out --scenes kettel", "the nearest is 'kettle'"),
    BadCase("export-scenes out --scenes kettle,", "got ''"),
    BadCase("export-scenes out --splits tset", "the nearest is 'test'"),
    BadCase("export-scenes out --image-px 0", "--image-px: expected a whole number of at least 1"),
    BadCase("export-scenes out --spp -1", "--spp"),
    BadCase("export-scenes out --format llff", "--format: expected one of blender"),
    BadCase("export-scenes file --scenes kettle", "file", "a_file_in_the_way"),
    BadCase("scene", "scene: expected FOLDER, got none"),
    BadCase("scene none", "scene: expected a folder, got none, which is not there"),
    BadCase("scene file", "scene: expected a folder, got file, a file", "a_file_in_the_way"),
    BadCase("scene folder", "scene: expected a scene, or a folder of scenes, got folder", "a_folder_in_the_way"),
    BadCase("import", "import: expected RENDERS, --task, --name, got none"),
    BadCase("import none --task sparse-views:kettle --name mine --budget smoke --results runs", "none: expected"),
)

TABLE = (*OVERVIEW, *SELECTION, *RUN_OPTIONS, *STORED, *REPORTS, *DRILL, *OWN)
