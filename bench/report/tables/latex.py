"""Writes tables for papers, as LaTeX with booktabs. Names that a person wrote are escaped."""

from __future__ import annotations

from collections.abc import Sequence

from bench.analysis.table_result import RESOLVED, TableResult
from bench.metrics.metric_key import MetricKey
from bench.metrics.registry import metric_named
from bench.report.tables import cells, footers, grids
from bench.report.tables.cells import TableCell
from bench.report.tables.grids import Column
from bench.report.tables.words import column_heading, printable, to_sentence

ESCAPES = {character: "\\" + character for character in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "±": r"$\pm$",
    "×": r"$\times$",
    "–": "--",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "·": r"$\cdot$",
    # A bracket at a line's end would be read as an argument of it.
    "[": "{[}",
    "]": "{]}",
}


def table_latex(result: TableResult, metrics: Sequence[str] | None = None) -> str:
    """Write a table: a mean and a difference a metric, the best in bold where it is resolved.

    The question and how the numbers were made stand in the caption; how to read it and what was lost, in notes below.

    Args:
        result: The table.
        metrics: Which; None for the first few, as many as a page is wide.
    """
    shown = tuple(metrics or result.metrics[: grids.NUM_PRIMARY])
    run_columns = grids.run_columns(result, shown[0])
    losses = footers.losses_by_arm(result, shown)
    lines = [
        "% needs \\usepackage{booktabs,graphicx}",
        r"\begin{table*}",
        r"\centering\small",
        rf"\caption{{{write_caption(result)}}}",
        r"\setlength{\tabcolsep}{4pt}%",
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",  # never wider than the page
        rf"\begin{{tabular}}{{l{'rr' * len(shown)}{'r' * len(run_columns)}}}",
        r"\toprule",
        *head_rows(shown, run_columns),
        r"\midrule",
        *(arm_row(result, row, shown, run_columns, losses) for row in range(len(result.arms))),
        *reference_lines(result, shown, len(run_columns)),
        r"\bottomrule",
        r"\end{tabular}}",
        r"\par\smallskip",
        r"\begin{minipage}{\linewidth}\footnotesize\raggedright",
        *notes_below(result, shown, [line for _, line in losses]),
        r"\end{minipage}",
        r"\end{table*}",
    ]
    return "\n".join(lines) + "\n"


def write_caption(result: TableResult) -> str:
    """Write the caption: the question, and how the numbers were made."""
    title = f"{result.table}: {result.question}" if result.question else result.table
    return f"{escape_latex(to_sentence(title))} {escape_latex(footers.table_caption(result))}"


def head_rows(metrics: Sequence[str], run_columns: Sequence[Column]) -> list[str]:
    """Write two rows of headings: metrics over two columns each, and the columns' own."""
    titles = " & ".join(rf"\multicolumn{{2}}{{c}}{{{heading_latex(metric)}}}" for metric in metrics)
    rules = " ".join(rf"\cmidrule(lr){{{2 * i + 2}-{2 * i + 3}}}" for i in range(len(metrics)))
    names = "arm" + " & mean & difference" * len(metrics)
    for heading, _ in run_columns:
        names += f" & {escape_latex(heading)}"
    return [rf"& {titles}{' &' * len(run_columns)} \\", rules, rf"{names} \\"]


def arm_row(
    result: TableResult,
    row: int,
    metrics: Sequence[str],
    run_columns: Sequence[Column],
    losses: Sequence[tuple[str, str]],
) -> str:
    """Write an arm's row, with marks of the notes on what it lost."""
    arm = result.arms[row]
    marks = ",".join(footnote_mark(i) for i, (lost_by, _) in enumerate(losses) if lost_by == arm)
    fields = [f"{escape_latex(arm)}$^{{{marks}}}$" if marks else escape_latex(arm)]
    for metric in metrics:
        entry = result.entry(arm, metric)
        is_best = arm == grids.best_arm(result, metric)
        star = "^{*}" if entry.verdict in RESOLVED else ""
        fields.append(cell_latex(cells.mean_cell(entry, is_best)))
        fields.append(cell_latex(cells.difference_cell(entry), star))
    fields += [cell_latex(column[row]) for _, column in run_columns]
    return " & ".join(fields) + r" \\"


def reference_lines(result: TableResult, metrics: Sequence[str], num_run_columns: int) -> list[str]:
    """Write the rows below the arms, such as true renders and chance, under a rule; none where there are none."""
    lines = []
    for name, *means in grids.reference_rows(result, metrics, 1 + len(metrics)):
        fields = [escape_latex(name.text)]
        for mean in means:
            fields += [cell_latex(mean), ""]
        fields += [""] * num_run_columns
        lines.append(" & ".join(fields) + r" \\")
    return [r"\midrule", *lines] if lines else []


def notes_below(result: TableResult, metrics: Sequence[str], losses: Sequence[str]) -> list[str]:
    """Write the paragraphs below a table: how to read it, what it could resolve, what was lost, and its notes."""
    legend = footers.table_legend(result, with_needs=False)
    paragraphs = [escape_latex(legend)]
    if result.has_baseline:
        titled = [f"{metric_named(metric).title}: {footers.resolution_summary(result, metric)}" for metric in metrics]
        paragraphs = [escape_latex(f"{legend} * resolved."), escape_latex(" ".join(map(to_sentence, titled)))]
    paragraphs += [f"$^{{{footnote_mark(i)}}}$ {escape_latex(line)}" for i, line in enumerate(losses)]
    if result.notes:
        paragraphs.append(escape_latex(" ".join(to_sentence(note) for note in result.notes)))
    return [rf"{paragraph}\par" for paragraph in paragraphs]


def footnote_mark(place: int) -> str:
    """Return the letter of a footnote: a to z, then aa and so on.

    Example:
        >>> footnote_mark(0), footnote_mark(25), footnote_mark(26)
        ('a', 'z', 'aa')
    """
    first, last = divmod(place, 26)
    return (footnote_mark(first - 1) if first else "") + chr(ord("a") + last)


def heading_latex(metric: str) -> str:
    """Write a metric's heading; its encoder stands in a second line, because names of encoders are long."""
    heading = column_heading(metric)
    if MetricKey.parse(metric).encoder is None:
        return escape_latex(heading)
    quantity, comma, encoder = heading.rpartition(", ")
    return rf"\shortstack{{{escape_latex(quantity)}\\{escape_latex(encoder)}}}" if comma else escape_latex(encoder)


def cell_latex(cell: TableCell, star: str = "") -> str:
    """Write a cell; a number in mathematics, so that a minus is one."""
    if not cell.is_number:
        return escape_latex(cell.text)
    number = rf"\mathbf{{{cell.text}}}" if cell.strong else cell.text
    aside = cell.aside.replace("±", r"\pm ").replace("[", r"\,[")
    return f"${number}{star}{aside}$"


def escape_latex(text: str) -> str:
    """Escape a person's text, so that LaTeX sets it as it is."""
    return "".join(ESCAPES.get(character, character) for character in printable(text))
