"""Confusions of the baseline are drawn, those of all arms are in the CSV."""

from __future__ import annotations

from bench.report.figures.confusion_bars import draw_confusions


def test_the_baselines_confusions_are_drawn(captioned):
    figure = draw_confusions(captioned.result, captioned.context)
    assert figure.rows == captioned.context.confusions
    mine = [row for row in figure.rows if row["arm"] == "full" and row["caption"].endswith("0")]
    found = {row["wrong"][-1]: (row["num_first"], row["num_nearest"], row["num_views"]) for row in mine}
    assert found == {"2": (8, 8, 16), "1": (0, 8, 16)}, "even views are found, their nearest wrong one is the next"
    assert "a red thing number 0" in figure.svg and "→ a red thing number 2" in figure.svg


def test_no_figure_where_the_judge_errs_nowhere(captioned):
    assert draw_confusions(captioned.result, captioned.context._replace(confusions=())) is None
