"""A comparison on few scenes shows each scene by itself, over its views, as `run` does."""

from bench.analysis import view_differences
from bench.report.tables import comparison_tables, terminal


def test_few_scenes_have_differences_over_views(make_study, capsys):
    made = make_study(num_scenes=1)
    result = view_differences.add_scene_differences(made.result, made.frame, made.cells)
    assert result.scene_differences
    blocks = comparison_tables.view_blocks([result], "psnr")
    terminal.print_blocks(terminal.make_console(None), blocks)
    printed = capsys.readouterr().out
    assert "minus base, by scene ± over its views" in printed and "better in" in printed
    assert " of " in printed.split("better in")[1]
    legend = comparison_tables.legend("mine", result)
    assert "paired by scene, seed and view" in legend and "p is by sign flips" not in legend
