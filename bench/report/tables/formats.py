"""Writes tables: in a terminal or a log file, as Markdown, CSV and LaTeX. What stands in them is `grids`' matter.

Names that a person wrote (tables, arms, notes) are escaped here for each format, and lose control characters.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import sys
from collections.abc import Sequence
from typing import Any, Literal

from rich.console import Console, Group
from rich.table import Table as RichTable
from rich.text import Text

from bench.analysis.table_result import RESOLVED, TableResult
from bench.metrics.metric_key import MetricKey
from bench.metrics.registry import metric_named
from bench.report.tables import contents
from bench.report.tables.contents import TableCell, TableGrid

NUM_PRIMARY = 3
"""Metrics that are printed in a terminal if none are named: a suite lists the most telling first."""

LOG_WIDTH = 100
"""Columns of a log file."""

STYLES = {"": "", "better": "bold green", "worse": "bold red", "quiet": "dim"}


# --- the terminal -----------------------------------------------------------------------------------------------------


def print_table(result: TableResult, metrics: Sequence[str] | None = None, file: Any = None) -> None:
    """Prints a table: a block a metric, then what it comes to and what was lost.

    Args:
        result: What `bench.analysis.paired_comparison.compare` gave.
        metrics: Which; None for the first few.
        file: Where to, open for text; None for standard output. Colours only in a terminal, 100 columns in a file.
    """
    console = make_console(file)
    shown = tuple(metrics or result.metrics[:NUM_PRIMARY])
    blocks: list[Text | RichTable] = [
        Text(printable(f"{result.table}: {result.question}" if result.question else result.table), style="bold"),
        Text(printable(contents.caption(result)), style="dim"),
        Text(printable(contents.legend(result)), style="dim"),
    ]
    for metric in shown:
        with_run = metric == shown[0] or any(entry.num_missing for entry in result.column(metric))
        blocks += [Text(), Text(contents.direction(metric), style="bold")]
        blocks.append(rich_grid(contents.metric_grid(result, metric, with_run=with_run)))
        blocks.append(Text(printable(contents.resolution(result, metric)), style="dim"))
    blocks += [Text(), *(Text(printable(said), style=STYLES[how]) for how, said in contents.conclusion(result))]
    blocks += [Text(printable(f"missing: {line}"), style="yellow") for line in contents.missing_number_lines(result)]
    blocks += [Text(printable(f"note: {note}"), style="dim") for note in result.notes]
    published = contents.published_grid(result)
    blocks += [Text(), rich_grid(published)] if published else []
    if len(shown) < len(result.metrics):
        others = "; ".join(metric_named(m).title for m in result.metrics if m not in shown)
        blocks.append(Text(f"in the report also: {others}", style="dim"))
    emit(console, blocks)


def print_scenes(result: TableResult, metric: str, file: Any = None) -> None:
    """Prints one metric cluster by cluster, as the papers' supplements do."""
    title = Text(printable(f"{result.table}, by {result.cluster_noun}: {contents.direction(metric)}"), style="bold")
    emit(make_console(file), [title, rich_grid(contents.scenes_grid(result, metric), gap=1)])


def make_console(file: Any) -> Console:
    """A console as wide as the terminal, or of fixed width and without colours in a file."""
    target = file or sys.stdout
    return Console(file=target, highlight=False) if target.isatty() else plain_console(target)


def plain_console(file: Any) -> Console:
    """A console that writes text and nothing else, whatever the environment says of colours."""
    return Console(file=file, width=LOG_WIDTH, color_system=None, force_terminal=False, highlight=False)


def emit(console: Console, blocks: Sequence[Text | RichTable]) -> None:
    """Prints; where the output cannot hold `±` and its like, their nearest relatives."""
    encoding = getattr(console.file, "encoding", None) or "utf-8"
    try:
        "±–×~↑↓·".encode(encoding)
    except UnicodeEncodeError:
        with console.capture() as captured:
            console.print(Group(*blocks))
        text = captured.get()
        for sign, relative in (("±", "+-"), ("–", "-"), ("×", "x"), (" · ", ", ")):
            text = text.replace(sign, relative)
        console.file.write(text.encode(encoding, "replace").decode(encoding))
        return
    console.print(Group(*blocks))


def rich_grid(grid: TableGrid, gap: int = 2) -> RichTable:
    """A grid for the terminal."""
    table = RichTable(box=None, padding=(0, gap, 0, 0), header_style="dim", show_edge=False)
    for i, name in enumerate(grid.header):
        justify: Literal["left", "right"] = "left" if i in grid.left else "right"
        table.add_column(Text(printable(name)), justify=justify, overflow="fold", no_wrap=i not in grid.left)
    widths = [max(len(row[i].aside) for row in grid.rows) for i in range(len(grid.header))]
    for row in grid.rows:
        table.add_row(*(rich_cell(cell, width) for cell, width in zip(row, widths, strict=True)))
    return table


def rich_cell(cell: TableCell, width: int) -> Text:
    """A cell's text; asides of a column are of one width, so that numbers stand under each other."""
    text = Text(printable(cell.text), style="bold" if cell.strong else STYLES[cell.tone])
    if width and cell.is_number:
        text.append(" " + cell.aside.ljust(width), style="dim")
    return text


def printable(text: str) -> str:
    """A person's text on one line and without what would steer a terminal."""
    return "".join(c if c.isprintable() else "\ufffd" for c in " ".join(text.split()))


# --- files ------------------------------------------------------------------------------------------------------------


def markdown(result: TableResult) -> str:
    """The whole table as Markdown: a section a metric."""
    parts = [f"*{md(result.question)}*" if result.question else "", md(contents.caption(result)) + "."]
    parts += ["\n".join(f"- {md(said)}" for _, said in contents.conclusion(result))]
    for metric in result.metrics:
        parts += [
            f"**{md(contents.direction(metric))}**",
            markdown_grid(contents.metric_grid(result, metric, with_p=True)),
        ]
        parts.append(md(contents.resolution(result, metric)) + ".")
    lines = [
        *contents.missing_number_lines(result),
        *(f"{arm}: {note}" for arm, note in result.arm_notes.items()),
        *result.notes,
    ]
    parts += ["\n".join(f"- {md(line)}" for line in lines), f"<sub>{md(contents.legend(result))}.</sub>"]
    published = contents.published_grid(result)
    parts += [markdown_grid(published)] if published else []
    return "\n\n".join(filter(None, parts)) + "\n"


def markdown_grid(grid: TableGrid) -> str:
    """A grid as Markdown."""
    head = [md(name) for name in grid.header]
    rule = ["---" if i in grid.left else "---:" for i in range(len(head))]
    rows = [[markdown_cell(cell) for cell in row] for row in grid.rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, rule, *rows])


def markdown_cell(cell: TableCell) -> str:
    """A cell's text; bold only where it is the best and resolved."""
    text = f"**{md(cell.text)}**" if cell.strong else md(cell.text)
    return f"{text} {cell.aside}" if cell.aside else text


def md(text: str) -> str:
    """A person's text, so that Markdown shows it as it is."""
    text = printable(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return "".join("\\" + c if c in "\\`*_{}[]#|~$!" else c for c in text)


def csv_text(result: TableResult) -> str:
    """Everything that is known of every arm and metric: a row each, six digits, empty where there is nothing."""
    head = {"table": result.table, "protocol": result.protocol, "budget": " ".join(result.budgets)}
    rows = []
    for entry in result.entries:
        known, fields = metric_named(entry.metric), dataclasses.asdict(entry)
        fields["reasons"] = "; ".join(f"{reason} ({num})" for reason, num in entry.reasons.items())
        rows.append(head | {"unit": known.unit, "higher_is_better": known.higher_is_better} | fields)
    return csv_rows(rows)


def scenes_csv(result: TableResult) -> str:
    """Every arm's number in every cluster: a row an arm, metric and cluster."""
    return csv_rows(
        [
            {"table": result.table, "metric": metric, "arm": arm, "cluster": cluster, "value": value}
            for metric, by_arm in result.by_cluster.items()
            for arm, by_cluster in by_arm.items()
            for cluster, value in by_cluster.items()
        ]
    )


def csv_rows(rows: Sequence[dict[str, object]]) -> str:
    """Rows as CSV, numbers with six digits: as many as agree between machines."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(rows[0] if rows else [])
    for row in rows:
        writer.writerow([f"{x:.6g}" if isinstance(x, float) else printable(x) if isinstance(x, str) else x
                         for x in row.values()])  # fmt: skip
    return out.getvalue()


def latex(result: TableResult, metrics: Sequence[str] | None = None) -> str:
    """The table for a paper: booktabs, a mean and a difference a metric; the best in bold where it is resolved.

    What is asked and how it was made stands in the caption, how to read it and what was lost in notes below.

    Args:
        result: The table.
        metrics: Which; None for the first few, as many as a page is wide.
    """
    shown = tuple(metrics or result.metrics[:NUM_PRIMARY])
    trials, *rest = contents.run_columns(result, shown[0])
    num_rest, lost = 1 + len(rest), contents.losses_by_arm(result, shown)
    heads = "".join(rf" & \multicolumn{{2}}{{c}}{{{tex_heading(metric)}}}" for metric in shown)
    rules = " ".join(rf"\cmidrule(lr){{{2 * i + 2}-{2 * i + 3}}}" for i in range(len(shown)))
    lines = []
    for row, arm in enumerate(result.arms):
        marks = ",".join(mark(i) for i, (of, _) in enumerate(lost) if of == arm)
        cells = [tex(arm) + (f"$^{{{marks}}}$" if marks else "")]
        for metric in shown:
            entry = result.entry(arm, metric)
            star = "^{*}" if entry.verdict in RESOLVED else ""
            cells.append(tex_number(contents.mean_cell(entry, arm == contents.best_arm(result, metric))))
            cells.append(tex_number(contents.difference_cell(entry), star))
        lines.append(" & ".join([*cells, *(tex_number(column[row]) for _, column in (trials, *rest))]) + r" \\")
    bounds = [r"\midrule"] if any(bound.metric in shown for bound in result.bounds) else []
    for name, *rest_of_row in contents.bound_rows(result, shown, 1 + len(shown)):
        bounds.append(" & ".join([tex(name.text), *(f"{tex_number(cell)} &" for cell in rest_of_row)])
                      + " &" * num_rest + r" \\")  # fmt: skip
    asked = f"{result.table}: {result.question}" if result.question else result.table
    return "\n".join(
        [
            "% needs \\usepackage{booktabs,graphicx}",
            r"\begin{table*}",
            r"\centering\small",
            rf"\caption{{{' '.join(tex(sentence(line)) for line in (asked, contents.caption(result)))}}}",
            r"\setlength{\tabcolsep}{4pt}%",
            r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",  # never wider than the page
            rf"\begin{{tabular}}{{l{'rr' * len(shown)}{'r' * num_rest}}}",
            r"\toprule",
            heads.replace(" & ", "& ", 1) + " &" * num_rest + r" \\",
            rules,
            "arm" + " & mean & difference" * len(shown)
            + "".join(f" & {tex(name)}" for name, _ in (trials, *rest)) + r" \\",
            r"\midrule",
            *lines,
            *bounds,
            r"\bottomrule",
            r"\end{tabular}}",
            r"\par\smallskip",
            r"\begin{minipage}{\linewidth}\footnotesize\raggedright",
            *tex_notes(result, shown, [line for _, line in lost]),
            r"\end{minipage}",
            r"\end{table*}",
            "",
        ]
    )  # fmt: skip


def tex_notes(result: TableResult, shown: Sequence[str], lost: Sequence[str]) -> list[str]:
    """What stands below a table: how to read it, what it could resolve, and a line for each mark at an arm."""
    read = [contents.legend(result, with_needs=False), "* resolved"]
    could = [f"{metric_named(metric).title}: {contents.resolution(result, metric)}" for metric in shown]
    notes = [" ".join(tex(sentence(line)) for line in some) for some in (read, could, result.notes) if some]
    marked = [f"$^{{{mark(i)}}}$ {tex(line)}." for i, line in enumerate(lost)]
    paragraphs = [*notes[:2], *marked, *notes[2:]]
    return [rf"{line}\par" for line in paragraphs]


def mark(place: int) -> str:
    """The letter of a footnote: a to z, then aa and so on.

    Example:
        >>> mark(0), mark(25), mark(26)
        ('a', 'z', 'aa')
    """
    first, last = divmod(place, 26)
    return (mark(first - 1) if first else "") + chr(ord("a") + last)


def tex_heading(metric: str) -> str:
    """A column's head; who made the number stands in a second line, for names of encoders are long."""
    heading = contents.heading(metric)
    if MetricKey.parse(metric).encoder is None:
        return tex(heading)
    what, comma, by = heading.rpartition(", ")
    return rf"\shortstack{{{tex(what)}\\{tex(by)}}}" if comma else tex(by)


def sentence(text: str) -> str:
    """A line with a capital and a full stop."""
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "?", "!")) else ".")


def tex_number(cell: TableCell, star: str = "") -> str:
    """A cell in mathematics, so that a minus is one."""
    if not cell.is_number:
        return tex(cell.text)
    main = rf"\mathbf{{{cell.text}}}" if cell.strong else cell.text
    aside = cell.aside.replace("±", r"\pm ").replace("[", r"\,[")
    return f"${main}{star}{aside}$"


def tex(text: str) -> str:
    """A person's text, so that LaTeX sets it as it is."""
    known = {c: "\\" + c for c in "&%$#_{}"} | {
        "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
        ">": r"\textgreater{}", "±": r"$\pm$", "×": r"$\times$", "–": "--", "↑": r"$\uparrow$",
        "↓": r"$\downarrow$", "·": r"$\cdot$",
    }  # fmt: skip
    # the brackets of units would be read as an argument of the line's end
    return "".join({"[": "{[}", "]": "{]}"}.get(c, known.get(c, c)) for c in printable(text))
