"""What verbs share: a store that names what it could not read."""

from bench.cli import common_options


def test_a_record_set_aside_is_named_before_the_verb_works_and_once(tmp_path, capsys):
    folder = tmp_path / "nerf__chair__8v__s0__0123abcd"
    folder.mkdir()
    (folder / "record.json").write_text("{")
    with common_options.opened_store(tmp_path):
        said = capsys.readouterr().err
        assert said.startswith(f"set aside, it did not parse: {folder.name}.unreadable-1")
    assert capsys.readouterr().err == ""


def test_what_is_found_on_the_way_is_named_at_the_end(tmp_path, capsys):
    with common_options.opened_store(tmp_path) as trials:
        trials.leave_out("a file")
        assert capsys.readouterr().err == ""
    assert capsys.readouterr().err == "left out: a file\n"
