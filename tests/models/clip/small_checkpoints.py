"""Small random CLIPs in the layout of transformers, and a hub of our own that serves them on this machine."""

import contextlib
import hashlib
import http.server
import json
import pathlib
import threading

import numpy as np
import safetensors.numpy

from tests.fixtures.clip_tensors import to_tensors
from tests.models.clip import twins

COMMIT = "0123456789abcdef0123456789abcdef01234567"
IMAGE_PX = 16

_BLOCKS = {
    "hidden_act": "quick_gelu",
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "hidden_size": 12,
    "intermediate_size": 48,
}
CONFIG = {
    "model_type": "clip",
    "projection_dim": 5,
    "vision_config": {**_BLOCKS, "image_size": IMAGE_PX, "patch_size": 8},
    "text_config": {**_BLOCKS, "vocab_size": 20, "max_position_embeddings": 6, "eos_token_id": 7},
}


def tensors(seed=0, layout="huggingface"):
    """Tensors of the small architecture, as others name them."""
    model = twins.small()
    return to_tensors(model, layout, twins.variables(model, seed))


def folder(path, *, seed=0, **files):
    """Write a checkpoint of transformers; other files by their name without `.json`, as text or as values."""
    path.mkdir(parents=True, exist_ok=True)
    safetensors.numpy.save_file(tensors(seed), path / "model.safetensors")
    for name, said in {"config": CONFIG, **files}.items():
        write(path / f"{name}.json", said)
    return path


def write(path, said):
    """Write bytes as they are, and anything else as JSON."""
    path.write_bytes(said if isinstance(said, bytes) else json.dumps(said).encode())


def split(path, num_shards=3):
    """Replace the file of tensors in a folder by shards and their index."""
    whole = tensors()
    (path / "model.safetensors").unlink()
    names = sorted(whole)
    weight_map = {}
    for i in range(num_shards):
        shard = f"model-{i + 1:05}-of-{num_shards:05}.safetensors"
        part = names[i::num_shards]
        safetensors.numpy.save_file({name: np.array(whole[name]) for name in part}, path / shard)
        weight_map.update(dict.fromkeys(part, shard))
    write(path / "model.safetensors.index.json", {"metadata": {"total_size": 1}, "weight_map": weight_map})
    return path


class Hub:
    """A hub with one repository: a folder.

    Attributes:
        root: The folder.
        endpoint: Its address.
        answers: By file name, what happens instead of an answer: a status, `cut`, or `bare 404`.
        asked: Every (method, file name) so far.
    """

    def __init__(self, root: pathlib.Path) -> None:
        self.root = root
        self.endpoint = ""
        self.answers = {}
        self.asked = []


@contextlib.contextmanager
def serve(root):
    """Run a hub for a while."""
    hub = Hub(root)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.answer(None)

        def do_GET(self):
            self.answer(self.wfile)

        def answer(self, out):
            name = self.path.split("?")[0].rsplit("/", 1)[-1]
            hub.asked.append((self.command, name))
            said = hub.answers.get(name)
            if isinstance(said, int):
                self.finish_headers(said, {})
                return
            file = hub.root / name
            if "/resolve/" not in self.path or said == "bare 404" or not file.is_file():
                marks = {} if said == "bare 404" else {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT}
                self.finish_headers(404, marks)
                return
            data = file.read_bytes()
            etag = f'"{hashlib.sha1(data).hexdigest()}"'
            self.finish_headers(200, {"ETag": etag, "X-Repo-Commit": COMMIT, "Content-Length": str(len(data))})
            if out:
                out.write(data[: len(data) // 2] if said == "cut" else data)

        def finish_headers(self, status, headers):
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key, value)
            if "Content-Length" not in headers:
                self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
