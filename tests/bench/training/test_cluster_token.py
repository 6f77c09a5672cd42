"""Whether a token is sent to a cluster."""

import pytest

from bench.errors import UsageError
from bench.training import cluster_token


@pytest.mark.parametrize(
    ("address", "mode", "is_refused", "has_file", "expected"),
    [
        ("h:1", None, True, True, "token"),
        ("h:1", None, False, True, None),  # a cluster without tokens would refuse one
        ("h:1", "disabled", True, True, "disabled"),
        ("auto", None, True, True, None),
        ("ray://h:1", None, True, True, None),
        ("h:1", None, True, False, UsageError),
    ],
)
def test_modes(address, mode, is_refused, has_file, expected, monkeypatch, tmp_path):
    variables = {"RAY_AUTH_TOKEN_PATH": str(tmp_path / "token")} | ({"RAY_AUTH_MODE": mode} if mode else {})
    monkeypatch.setattr(cluster_token.os, "environ", variables)
    monkeypatch.setattr(cluster_token, "refuses_without_token", lambda address: is_refused)
    if has_file:
        (tmp_path / "token").write_text("t")
    if expected is UsageError:
        with pytest.raises(UsageError, match="expected the token of the cluster at --address h:1, got none; copy"):
            cluster_token.choose_token_mode(address)
    else:
        cluster_token.choose_token_mode(address)
        assert variables.get("RAY_AUTH_MODE") == expected


@pytest.mark.parametrize(
    ("ask", "expected"), [("pass", False), ("import time; time.sleep(60)", False), ("1/0", False), ("exit(77)", True)]
)
def test_who_refuses_asks_for_a_token(ask, expected, monkeypatch):
    monkeypatch.setattr(cluster_token, "ASK", ask)
    monkeypatch.setattr(cluster_token, "ANSWER_S", 2.0)
    assert cluster_token.refuses_without_token("h:1") is expected


@pytest.mark.parametrize(
    ("home", "token", "is_given"),
    [("{here}", "", False), ("/dev/null", "", True), ("/proc/none", "", True), ("~", "", True), ("~", "mine", False)],
)
def test_a_ray_of_ones_own_needs_no_home(home, token, is_given, monkeypatch, tmp_path):
    variables = {"HOME": home.format(here=tmp_path)} | ({"RAY_AUTH_TOKEN": token} if token else {})
    monkeypatch.setattr(cluster_token.os, "environ", variables)
    monkeypatch.setattr(cluster_token.os.path, "expanduser", lambda path: path.replace("~", variables["HOME"], 1))
    cluster_token.give_own_token()
    given = variables.get("RAY_AUTH_TOKEN", "")
    assert (len(given) == 64) is is_given and (is_given or given == token)
