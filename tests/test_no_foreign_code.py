"""Nothing in the project runs what stands in a file or in a user's text: no pickle, eval, exec or shell anywhere."""

import ast

import pytest

from bench.import_paths import ROOT

FILES = sorted(path for package in ("tasks", "models", "bench") for path in (ROOT / package).rglob("*.py"))

RUNS_TEXT = {"eval", "exec", "compile", "__import__", "execfile"}
"""Builtins that run text."""

RUNS_SHELL = {"os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput", "pty.spawn"}

RUNS_FILES = {
    "pickle.load", "pickle.loads", "pickle.Unpickler", "marshal.load", "marshal.loads", "shelve.open", "dill.load",
    "dill.loads", "cloudpickle.load", "cloudpickle.loads", "joblib.load", "pandas.read_pickle", "pd.read_pickle",
    "yaml.load", "yaml.unsafe_load", "yaml.full_load", "runpy.run_path", "code.interact", "torch.hub.load",
}  # fmt: skip
"""Readers that run what a file says."""

TENSORS_ALONE = "models/imagenet/pickled_tensors.py"
"""The one reader of other people's pickles: its own unpickler knows the names of tensors, and refuses all others."""

DOWNLOADS = {
    "tasks/data_dir/download.py": ("urllib.request", "http.client"),
    "models/clip/checkpoints/hub.py": ("hf_hub_download",),
}
"""The two places that fetch something: by HTTPS, with a limit of its size, and checked by SHA-256."""

CLIENTS = ("urllib.request", "requests", "httpx", "http.client", "aiohttp", "pooch", "ftplib", "urllib3")


def called(node):
    """Name what a call calls, as it stands there: `os.system`."""
    parts = []
    inner = node.func
    while isinstance(inner, ast.Attribute):
        parts.append(inner.attr)
        inner = inner.value
    return ".".join([inner.id, *reversed(parts)]) if isinstance(inner, ast.Name) else ""


def constant(node, name):
    """Give the value of a keyword of a call, None where it is left out, and `...` where it is no constant."""
    for keyword in node.keywords:
        if keyword.arg == name:
            return keyword.value.value if isinstance(keyword.value, ast.Constant) else ...
    return None


def find_dangers(tree, file):
    """List what a file may run or fetch that it should not."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = called(node)
            is_reader = name == "pickle.Unpickler" and file == TENSORS_ALONE
            if name in RUNS_TEXT | RUNS_SHELL or (name in RUNS_FILES and not is_reader):
                found.append(name)
            if constant(node, "shell") not in (None, False):
                found.append(f"{name}(shell=...)")
            if constant(node, "allow_pickle") not in (None, False):
                found.append(f"{name}(allow_pickle=...)")
            if name == "torch.load" and constant(node, "weights_only") is not True:
                found.append("torch.load without weights_only=True")
        elif isinstance(node, ast.ClassDef):
            bases = [ast.unparse(base) for base in node.bases]
            found += [base for base in bases if base in RUNS_FILES and file != TENSORS_ALONE]
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names]
            module = getattr(node, "module", None) or ""
            whole = names if isinstance(node, ast.Import) else [module, *(f"{module}.{name}" for name in names)]
            found += [name for name in whole if name in RUNS_FILES | RUNS_SHELL]
            found += [name for name in whole if name in CLIENTS and name not in DOWNLOADS.get(file, ())]
    return found


@pytest.mark.parametrize(
    "code",
    [
        "eval(text)", "exec(text)", "compile(text, '', 'exec')", "__import__(name)", "os.system(text)",
        "subprocess.run(text, shell=True)", "subprocess.Popen(text, shell=flag)", "os.popen(text)",
        "pickle.load(file)", "pickle.loads(content)", "from pickle import loads", "pickle.Unpickler(file)",
        "class Mine(pickle.Unpickler):\n    pass", "np.load(file, allow_pickle=True)", "torch.load(file)",
        "torch.load(file, weights_only=False)", "import requests", "from urllib import request", "yaml.load(text)",
        "import http.client", "import urllib.request", "marshal.loads(content)",
    ],
)  # fmt: skip
def test_what_is_dangerous_is_seen(code):
    assert find_dangers(ast.parse(code), "bench/some.py")


def test_what_is_harmless_is_let_through():
    code = "net.eval()\nre.compile(x)\njson.loads(x)\nnp.load(x)\ntorch.load(x, weights_only=True)\nrun(x, shell=False)"
    assert find_dangers(ast.parse(code), "bench/some.py") == []
    assert find_dangers(ast.parse("class A(pickle.Unpickler):\n    pass"), TENSORS_ALONE) == []


def test_no_file_runs_what_others_wrote():
    dangers = {}
    for path in FILES:
        file = path.relative_to(ROOT).as_posix()
        found = find_dangers(ast.parse(path.read_text()), file)
        if found:
            dangers[file] = found
    assert dangers == {}


def test_downloads_stand_where_they_are_checked():
    for file, clients in DOWNLOADS.items():
        text = (ROOT / file).read_text()
        assert clients[0] in text and "sha256" in text
    fetching = {path.relative_to(ROOT).as_posix() for path in FILES if "hf_hub_download(" in path.read_text()}
    fetching |= {path.relative_to(ROOT).as_posix() for path in FILES if ".hf_hub_download" in path.read_text()}
    assert fetching <= set(DOWNLOADS)
