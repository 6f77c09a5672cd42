"""A report is whole, opens from disk, loads nothing from elsewhere, and comes out the same each time."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import html.parser
import json
import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from bench.analysis.paired_comparison import compare
from bench.analysis.table_result import TableResult
from bench.errors import UsageError
from bench.report.page import compact, report_files
from bench.report.page.html import explorer_script
from bench.report.report_contents import DeferredDrawing
from tests.fixtures.report_studies import contents_of, picture

VOID = {"meta", "link", "br", "img", "path", "use", "rect"}


class Reader(html.parser.HTMLParser):
    """Checks that tags are closed in order; gathers links, pictures, ids and text."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open, self.links, self.pictures, self.ids, self.text, self.scripts = [], [], [], [], [], []

    def handle_starttag(self, tag, attrs):
        known = dict(attrs)
        self.links += [known["href"]] if tag == "a" else []
        self.pictures += [known] if tag == "img" else []
        self.ids += [known["id"]] if "id" in known else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.ids += [value for name, value in attrs if name == "id"]

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] == ["script"]:
            self.scripts.append(data)
        elif self.open[-1:] != ["style"]:
            self.text.append(data)


def read(text):
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == []
    return reader


def write(made, out, **changes):
    report_files.write_report(contents_of(made, **changes), out)
    return out / "index.html"


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def written(usual, tmp_path_factory):
    return write(usual, tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def written_hostile(hostile, tmp_path_factory):
    return write(hostile, tmp_path_factory.mktemp("hostile"))


def test_every_file_is_there_and_every_link_leads_to_one(written):
    names = set(contents(written.parent))
    assert names == {
        "index.html", "index.md", "results.json", "sheets/renders-errors.png",
        *(f"tables/parts{end}" for end in (".csv", ".tex", "-scenes.csv")),
        *(f"figures/parts-{name}.{end}" for name in ("forest-psnr", "forest-ssim", "forest-lpips-vgg", "angle-psnr",
                                                     "curves-loss", "variance-psnr") for end in ("svg", "csv")),
    }  # fmt: skip
    reader = read(written.read_text())
    targets = [*reader.links, *(picture["src"] for picture in reader.pictures)]
    assert {t for t in targets if not t.startswith("#")} <= names
    assert {t[1:] for t in targets if t.startswith("#")} <= set(reader.ids)
    for target in re.findall(r"\]\(([^)]+)\)", (written.parent / "index.md").read_text()):
        assert target in names


def test_a_page_without_a_baseline_draws_no_differences(without_baseline, tmp_path):
    folder = write(without_baseline, tmp_path).parent
    assert not list(folder.glob("figures/*forest*"))
    for path in (folder / "index.html", folder / "index.md", folder / "tables/parts.tex"):
        said = " ".join(path.read_text().split())
        assert "There are no differences: base, the baseline, was not chosen" in said
        assert "smallest possible p" not in said and "sign flips" not in said
    stored = json.loads((folder / "results.json").read_text())
    assert {entry["verdict"] for entry in stored[0]["entries"]} == {"no baseline"}


@pytest.mark.parametrize("name", ["written", "written_hostile"])
def test_the_page_loads_nothing_and_runs_its_own_script_alone(name, request):
    text = request.getfixturevalue(name).read_text()
    reader = read(text)
    data, script = reader.scripts
    assert script == explorer_script() and json.loads(data)["suite"] == "a <suite>" and "<" not in data
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"content=\"script-src 'sha256-{digest}'; object-src 'none'\"" in text
    assert "@import" not in text and "javascript:" not in text and " src=" not in text.replace('<img src="sheets/', "")
    namespaces = {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert set(re.findall(r"https?://[^\"' )<]+", text)) <= namespaces
    assert len(reader.ids) == len(set(reader.ids)), "ids are unique"
    assert not re.search(r"\bon\w+=", re.sub(r">[^<]*<", "><", text.replace(script, "")))


def test_pictures_wait_until_they_are_seen_and_have_their_size(written):
    (shown,) = read(written.read_text()).pictures
    assert (shown["loading"], shown["width"], shown["height"]) == ("lazy", "6", "4")
    assert shown["alt"] == "Renders & errors"


def test_names_are_shown_as_they_were_written(written_hostile, hostile):
    text = written_hostile.read_text()
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; $x^2$" in text and "\x1b" not in text
    shown = "".join(read(text).text)
    assert hostile.result.arms[0] in shown and hostile.result.arms[2] in shown
    assert "python -m bench run --suite <parts>" in shown and "Embedded <scenes>." in shown
    markdown = (written_hostile.parent / "index.md").read_text()
    assert "<script" not in markdown and "<b>" not in markdown


def test_what_each_arm_took(written):
    shown = " ".join(" ".join(read(written.read_text()).text).split())
    assert "s/trial training s/trial MiB/trial" in shown and "base 12.0 – – 10 1 cpu" in shown
    assert "| better | 13.0 | – | – | 10 | 1 | cpu |" in (written.parent / "index.md").read_text()


@pytest.fixture(scope="module")
def small_one(usual, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compact, "LONG", 900)
        return write(usual, tmp_path_factory.mktemp("small"), is_small=True)


class TestSmall:
    def test_every_link_leads_to_a_file_and_every_file_is_there(self, small_one, written):
        names = set(contents(small_one.parent))
        reader = read(small_one.read_text())
        targets = {t for t in [*reader.links, *(p["src"] for p in reader.pictures)] if not t.startswith("#")}
        targets |= set(re.findall(r"\]\(([^)]+)\)", (small_one.parent / "index.md").read_text()))
        assert targets <= names
        plain = {name.removesuffix(".gz").replace("s.webp", "s.png") for name in names}
        assert plain == set(contents(written.parent))
        assert "tables/parts-scenes.csv.gz" in names and "figures/parts-forest-psnr.csv" in names

    def test_long_tables_are_packed_and_read_as_they_are(self, small_one, written):
        packed = pd.read_csv(small_one.parent / "tables/parts-scenes.csv.gz")
        pd.testing.assert_frame_equal(packed, pd.read_csv(written.parent / "tables/parts-scenes.csv"))

    def test_figures_are_pictures_with_words_and_sizes(self, small_one, usual):
        text = small_one.read_text()
        assert "<svg" not in text
        drawings = [p for p in read(text).pictures if p["src"].startswith("figures/")]
        assert len(drawings) == 6 and all(float(p["width"]) > 0 and p["alt"] for p in drawings)

    def test_a_page_says_the_same(self, small_one, written):
        beside_figures = re.sub(r"<svg.*?</svg>", "", written.read_text(), flags=re.DOTALL)
        said, small_said = (read(text).text for text in (beside_figures, small_one.read_text()))
        assert [word for word in said if word.strip()] == [word for word in small_said if word.strip()]

    def test_sheets_look_the_same_and_the_bytes_are_too(self, small_one, usual, tmp_path, monkeypatch):
        with Image.open(small_one.parent / "sheets/renders-errors.webp") as sheet:
            assert np.abs(np.asarray(sheet.convert("RGB"), float) - 200).max() <= 4
        monkeypatch.setattr(compact, "LONG", 900)
        write(usual, tmp_path, is_small=True)
        assert contents(tmp_path) == contents(small_one.parent)


def test_the_page_says_what_the_table_says(written, usual):
    shown = " ".join("".join(read(written.read_text()).text).split())
    entry = usual.result.entry("better", "psnr")
    assert f"{entry.mean:.2f}" in shown and f"+{entry.difference:.2f}" in shown
    assert "Better than base: better" in shown and "Not resolved: same" in shown
    for words in ("1 failed", "not finite at step 7", "48 trials, 1 failed", "10.4 minutes of training and scoring",
                  "same: changes nothing", "scores of an older protocol"):  # fmt: skip
        assert words in shown
    assert "−" in shown and not re.search(r"(?<!\w)-\d", shown), "minus signs are minuses"


def test_light_and_dark_and_narrow(written):
    text = written.read_text()
    assert "@media (prefers-color-scheme: dark)" in text and 'name="viewport"' in text
    colors = re.findall(r"--(\w+): #", text.split("\n* {")[0])
    assert {name: colors.count(name) for name in colors} == dict.fromkeys(colors, 2), "each colour in both schemes"
    used = set(re.findall(r"var\(--(\w+)\)", text))
    assert used <= set(colors)


def test_the_same_study_gives_the_same_bytes(written, usual, tmp_path):
    write(usual, tmp_path, records=tuple(usual.records[::-1]), frame=usual.frame.sample(frac=1, random_state=0))
    assert contents(tmp_path) == contents(written.parent)


def test_writing_again_leaves_other_files_and_no_temporary_ones(usual, tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    sheets = {"Drawn": DeferredDrawing("grey", picture), "Not kept": DeferredDrawing("none", lambda: None)}
    write(usual, tmp_path, sheets=sheets)
    names = set(contents(tmp_path))
    assert {"mine.txt", "sheets/drawn.png", "index.html"} <= names and "sheets/not-kept.png" not in names
    assert not any(n.endswith(".tmp") for n in names)


def test_one_form_leaves_nothing_of_the_other(usual, tmp_path, monkeypatch):
    monkeypatch.setattr(compact, "LONG", 900)
    folders = [tmp_path / name for name in ("plain", "small", "both")]
    for folder, forms in zip(folders, ([False], [True], [False, True, False, True]), strict=True):
        for is_small in forms:
            write(usual, folder, is_small=is_small)
    assert contents(folders[1]) == contents(folders[2])
    write(usual, folders[2])
    assert contents(folders[0]) == contents(folders[2])


def test_results_come_back_from_the_file(written, usual):
    (stored,) = json.loads((written.parent / "results.json").read_text())
    assert TableResult.from_json(stored) == usual.result


def test_a_study_of_which_nothing_ran_still_has_a_page(usual, tmp_path):
    nothing = usual.frame.iloc[:0]
    result = compare(nothing, usual.cells, table="parts", baseline="base", protocol="std-v1", metrics=["psnr"])
    written = write(usual, tmp_path, results=(result,), frame=nothing, records=(), sheets={})
    shown = "".join(read(written.read_text()).text)
    assert "nothing run yet" in shown and "16 not run" in shown and "steps a trial" not in shown


def test_names_that_would_be_one_file_are_refused(usual, tmp_path):
    twice = [usual.result, dataclasses.replace(usual.result, table="Parts!")]
    with pytest.raises(UsageError, match="'parts' and 'Parts!'"):
        write(usual, tmp_path, results=tuple(twice))
    assert contents(tmp_path) == {}


def test_a_page_of_hostile_captions(make_caption_study):
    hostile = ("<script>alert(1)</script> & $x^2$", '<img src=x onerror="a()">', *(f"b|*{i}_$\\" for i in range(6)))
    made = make_caption_study(names=hostile)
    shown = contents_of(made, contexts={made.result.table: made.context}, sheets={})
    files = report_files.draw_files(shown)
    text, markdown = files["index.html"].decode(), files["index.md"].decode()
    assert "<script>alert" not in text and "<img src=x" not in text and "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "<script" not in markdown and "<img" not in markdown
    assert "protocol of captions" in text and "8 azimuths" in text and "floats clipped" not in text
    assert not any("-angle-" in name for name in files), "there is no photograph to be near to"
    assert report_files.draw_files(shown) == files
