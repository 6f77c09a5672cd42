"""Finds out whether a Ray cluster asks for a token, before Ray is imported: it reads `RAY_AUTH_MODE` only then.

`ray start` asks for the token in `~/.ray/auth_token` unless it is told not to; a driver sends none unless it is told
to, and one that sends a token to a cluster without tokens gets no workers. Imports no Ray.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys

from bench.errors import UsageError

NUM_TOKEN_BYTES = 32

REFUSED = 77
"""What the process that asks exits with if the head refuses it."""

ASK = f"""
import sys
from ray._raylet import GcsClient
try:
    GcsClient(address=sys.argv[1])
except Exception as error:
    sys.exit({REFUSED} if "Authenticat" in type(error).__name__ + str(error) else 1)
"""
"""What is asked of the head, in a process of its own: a run would try for half a minute, a line a second."""

ANSWER_S = 20.0
"""Seconds for it, the import of Ray included; a head that says nothing is left for the run itself to find out."""


def choose_token_mode(address: str) -> None:
    """Set `RAY_AUTH_MODE` as a cluster has it, unless the user has set it.

    Args:
        address: `host:port`; of others nothing is asked.

    Raises:
        UsageError: The cluster asks for a token, and there is none.
    """
    host, colon, port = address.rpartition(":")
    if "RAY_AUTH_MODE" in os.environ or not colon or not port.isdigit() or "/" in host:
        return
    if not refuses_without_token(address):
        return
    if not has_token():
        raise UsageError(
            f"ray: expected the token of the cluster at --address {address}, got none; copy ~/.ray/auth_token of the "
            "host that started it to the same place here, or name it with RAY_AUTH_TOKEN_PATH"
        )
    os.environ["RAY_AUTH_MODE"] = "token"


def refuses_without_token(address: str) -> bool:
    """Tell whether a cluster that listens refuses a client without a token."""
    variables = os.environ | {"RAY_AUTH_MODE": "disabled"}
    words = [sys.executable, "-c", ASK, address]
    try:
        done = subprocess.run(
            words, env=variables, timeout=ANSWER_S, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == REFUSED  # else it answered; or another version of Ray cannot be asked so


def has_token() -> bool:
    """Tell whether a token lies where Ray looks for it."""
    place = os.environ.get("RAY_AUTH_TOKEN_PATH") or os.path.expanduser("~/.ray/auth_token")
    return bool(os.environ.get("RAY_AUTH_TOKEN")) or os.path.isfile(place)


def give_own_token() -> None:
    """Set `RAY_AUTH_TOKEN` for a Ray that is started here, where Ray has no home folder to keep a token in."""
    if has_token() or _home_can_be_written():
        return
    os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(NUM_TOKEN_BYTES)


def _home_can_be_written() -> bool:
    home = os.path.expanduser("~")
    kept = os.path.join(home, ".ray")
    place = kept if os.path.lexists(kept) else home
    return os.path.isabs(home) and os.path.isdir(place) and os.access(place, os.W_OK | os.X_OK)
