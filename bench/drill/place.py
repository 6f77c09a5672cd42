"""The folder of a drill: a copy of the code, whose weights may be damaged, its own cache, and the results of rounds."""

from __future__ import annotations

import csv
import io
import os
import pathlib
import shutil
from collections.abc import Mapping

from bench.drill.mean_color import FOLDER_VARIABLE
from bench.drill.study import ENCODER
from bench.import_paths import OURS, ROOT

COST_COLUMN = "wall_s"
"""The one column of a table that may differ from run to run."""


class DrillPlace:
    """Names the folders that a drill works in; `make` fills them.

    Args:
        root: The folder; nothing else lies in it.
    """

    def __init__(self, root: pathlib.Path) -> None:
        self.root = root.absolute()

    @property
    def code(self) -> pathlib.Path:
        """Give the folder of the copied code, where the command runs."""
        return self.root / "code"

    @property
    def data(self) -> pathlib.Path:
        """Give the folder of cached data."""
        return self.root / "data"

    @property
    def faults(self) -> pathlib.Path:
        """Give the folder from which workers take faults."""
        return self.root / "faults"

    @property
    def weights(self) -> pathlib.Path:
        """Give the file of weights that may be damaged."""
        return self.code / "models" / "clip" / "embedded" / f"{ENCODER}.safetensors"

    @property
    def mark(self) -> str:
        """Give the variable that all processes of the drilled command have, as `NAME=VALUE`."""
        return f"{FOLDER_VARIABLE}={self.faults}"

    def make(self) -> None:
        """Copy the code, and make the other folders."""
        for name in OURS:
            shutil.copytree(ROOT / name, self.code / name, ignore=shutil.ignore_patterns("__pycache__"))
        for folder in (self.data, self.faults):
            folder.mkdir(parents=True, exist_ok=True)

    def environment(self) -> Mapping[str, str]:
        """Return the variables of the drilled command: cores alone, so that a drill is the same everywhere."""
        return {
            "XLA_FLAGS": "--xla_backend_optimization_level=0",
            **os.environ,
            "BENCH_DATA_DIR": str(self.data),
            FOLDER_VARIABLE: str(self.faults),
            "JAX_PLATFORMS": "cpu",
            "PYTHONUNBUFFERED": "1",
        }

    def read_tables(self) -> str:
        """Return the tables of the last report, without the seconds that trials took."""
        texts = []
        for path in sorted((self.code / "reports").glob("drill-*/tables/*.csv")):
            rows = list(csv.DictReader(io.StringIO(path.read_text())))
            kept = [{name: value for name, value in row.items() if name != COST_COLUMN} for row in rows]
            texts.append("\n".join([path.name, *(",".join(map(str, row.values())) for row in kept)]))
        return "\n".join(texts)

    def forget_report(self) -> None:
        """Remove the last report, so that no table of another round is taken for this one's."""
        shutil.rmtree(self.code / "reports", ignore_errors=True)
