"""Which image is which view, in folders and archives, and what is read of it."""

import io
import os
import re
import struct
import tarfile
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image

from bench.errors import UsageError
from bench.plugins import render_files
from tasks.data_dir.bounded_archives import ArchiveLimits

H, W = 5, 7


def png(mode="RGB", size=(W, H), fill=None, **options):
    out = io.BytesIO()
    Image.new(mode, size, fill or {"RGBA": (255, 0, 0, 51), "RGB": (255, 0, 0)}.get(mode, 1)).save(
        out, options.pop("format", "PNG"), **options
    )
    return out.getvalue()


def deep_png(values):
    """An image of 16 bits, by the specification: Pillow writes none."""
    height, width, channels = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    head = struct.pack(">IIBBBBB", width, height, 16, {3: 2, 4: 6}[channels], 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    parts = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "renders"
    for scene in ("kettle", "rook"):
        (made / scene).mkdir(parents=True)
        for i in range(3):
            (made / scene / f"r_{i}.png").write_bytes(png())
    (made / ".DS_Store").touch()
    (made / "kettle" / "notes.txt").touch()
    return made


def zipped(path, members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def tarred(path, members, mode="w"):
    with tarfile.open(path, mode) as archive:
        for member in members:
            info, content = (
                member if isinstance(member[0], tarfile.TarInfo) else (tarfile.TarInfo(member[0]), member[1])
            )
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


IMAGES = ["kettle/r_0.png", "kettle/r_1.png", "kettle/r_2.png", "rook/r_0.png", "rook/r_1.png", "rook/r_2.png"]


class TestFiles:
    def test_of_a_folder(self, folder):
        found = render_files.find_files(folder)
        assert sorted(found) == ["kettle/notes.txt", *IMAGES]
        assert found["rook/r_1.png"]() == png()

    @pytest.mark.parametrize("end", [".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz"])
    def test_of_an_archive_with_a_folder_around_all(self, tmp_path, end):
        members = [(f"./out/{name}", png()) for name in IMAGES] + [("out/read.me", b"")]
        make = (
            zipped
            if end == ".zip"
            else lambda path, m: tarred(path, m, "w:xz" if "xz" in end else "w:gz" if "gz" in end else "w")
        )
        found = render_files.find_files(make(tmp_path / f"a{end}", members))
        assert sorted(found) == IMAGES
        assert found["kettle/r_0.png"]() == png()

    def test_what_a_mac_leaves_is_left_out(self, tmp_path):
        members = [("out/0.png", png()), ("__MACOSX/out/._0.png", b""), ("out/.hidden.png", b"")]
        assert list(render_files.find_files(zipped(tmp_path / "a.zip", members))) == ["out/0.png"]

    @pytest.mark.parametrize("name", ["../0.png", "a/../../0.png", "/etc/0.png", "C:\\0.png", "..\\0.png"])
    def test_a_path_out_of_the_folder_is_refused(self, tmp_path, name):
        for path in (zipped(tmp_path / "a.zip", [(name, png())]), tarred(tmp_path / "a.tar", [(name, png())])):
            with pytest.raises(UsageError, match="expected plain files below one folder, got a path out of the folder"):
                render_files.find_files(path)

    @pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
    def test_a_link_is_refused(self, tmp_path, kind):
        info = tarfile.TarInfo("0.png")
        info.type, info.linkname = kind, "/etc/passwd"
        with pytest.raises(UsageError, match="got a link or a device, '0.png'; pack it again without"):
            render_files.find_files(tarred(tmp_path / "a.tar", [(info, b"")]))

    def test_a_link_in_a_zip_is_refused(self, tmp_path):
        info = zipfile.ZipInfo("0.png")
        info.external_attr = 0o120777 << 16
        with pytest.raises(UsageError, match="got a link or a device, '0.png'"):
            render_files.find_files(zipped(tmp_path / "a.zip", [(info, "/etc/passwd")]))

    def test_a_password_is_refused(self, tmp_path):
        path = zipped(tmp_path / "a.zip", [("0.png", png())])
        content = bytearray(path.read_bytes())
        content[content.rindex(b"PK\x01\x02") + 8] |= 1
        path.write_bytes(content)
        with pytest.raises(UsageError, match="expected an archive without a password"):
            render_files.find_files(path)

    @pytest.mark.parametrize("make", ["folder", "zip", "tar"])
    def test_too_much_is_refused(self, tmp_path, folder, monkeypatch, make):
        path = {
            "folder": lambda: folder,
            "zip": lambda: zipped(tmp_path / "a.zip", [(name, png()) for name in IMAGES]),
            "tar": lambda: tarred(tmp_path / "a.tar", [(name, png()) for name in IMAGES]),
        }[make]()
        monkeypatch.setattr(render_files, "LIMITS", ArchiveLimits(5, 2 << 30))
        with pytest.raises(UsageError, match=r"expected at most 5 files and 2048 MiB, got more; split it"):
            render_files.find_files(path)
        monkeypatch.setattr(render_files, "LIMITS", ArchiveLimits(100, 3 * len(png())))
        with pytest.raises(UsageError, match="got more; split it"):
            render_files.find_files(path)

    @pytest.mark.parametrize(
        ("make", "reason"),
        [
            (lambda path: path.symlink_to("/dev/zero"), "a device"),
            (os.mkfifo, "a pipe"),
            (lambda path: path.symlink_to(path.name), "Too many levels"),
        ],
    )
    def test_an_image_that_never_ends(self, tmp_path, make, reason):
        make(tmp_path / "0.png")
        read = render_files.find_files(tmp_path)["0.png"]
        with pytest.raises(UsageError, match=f"0.png: .*{reason}"):
            read()

    def test_folders_that_hold_themselves(self, tmp_path):
        (tmp_path / "0.png").write_bytes(png())
        for name in ("a", "b"):
            (tmp_path / name).symlink_to(tmp_path)
        assert list(render_files.find_files(tmp_path)) == ["0.png"]

    def test_what_is_neither(self, tmp_path):
        with pytest.raises(UsageError, match=r"expected a folder, or an archive \(\.zip .*\), got nothing there"):
            render_files.find_files(tmp_path / "lost")
        (tmp_path / "a.rar").touch()
        with pytest.raises(UsageError, match=r"got a \.rar file"):
            render_files.find_files(tmp_path / "a.rar")

    @pytest.mark.parametrize("end", [".zip", ".tar.gz"])
    def test_a_broken_archive(self, tmp_path, end):
        (tmp_path / f"a{end}").write_bytes(b"no archive")
        with pytest.raises(UsageError, match="expected a whole archive, got .*; bring it again"):
            render_files.find_files(tmp_path / f"a{end}")


def named(*paths):
    return {path: lambda path=path: path.encode() for path in paths}


class TestScenes:
    def test_of_one_scene_they_lie_anywhere(self, tmp_path):
        for files in (named("0.png", "1.png"), named("kettle/0.png", "kettle/1.png"), named("a/b/0.png", "a/b/1.png")):
            assert sorted(render_files.select_scene(files, "kettle", ["rook"], tmp_path)) == ["0.png", "1.png"]
        assert list(render_files.select_scene(named("0.png", "depth/0.png"), "kettle", [], tmp_path)) == ["0.png"]
        assert list(render_files.select_scene(named("rook/1.png", "kettle/0.png"), "kettle", ["rook"], tmp_path)) == [
            "0.png"
        ]

    def test_a_folder_of_another_scene_is_not_taken(self, tmp_path):
        with pytest.raises(
            UsageError, match="expected the images of kettle there or in a folder 'kettle', got those of rook"
        ):
            render_files.select_scene(named("rook/0.png"), "kettle", ["rook"], tmp_path)

    def test_several_folders_are_not_guessed_from(self, tmp_path):
        with pytest.raises(UsageError, match="got those of color, depth; name one folder"):
            render_files.select_scene(named("color/0.png", "depth/0.png"), "kettle", ["rook"], tmp_path)

    def test_no_image(self, tmp_path):
        with pytest.raises(
            UsageError, match=r"expected images \(\.png \.jpg \.jpeg\), got none; name it by the view's id"
        ):
            render_files.select_scene(named("a.txt"), "kettle", [], tmp_path)

    def test_of_several_scenes_folders_tell(self, tmp_path):
        files = named("rook/0.png", "x/kettle/0.png", "kettle/notes.txt")
        assert list(render_files.select_scenes(files, ["kettle", "lotus", "rook"], tmp_path)) == ["kettle", "rook"]

    @pytest.mark.parametrize(
        ("files", "message"),
        [
            (["ketle/0.png"], "expected a folder of images for each scene, got 'ketle'; the nearest is 'kettle'"),
            (["0.png"], "got images in none; known: kettle, rook"),
            (["kettle/0.png", "b/kettle/0.png"], "got 'b/kettle'; one of them twice; keep one"),
            (["kettle/a.txt"], "expected a folder of images for each scene, got no image"),
        ],
    )
    def test_folders_that_are_no_scenes(self, tmp_path, files, message):
        with pytest.raises(UsageError, match=message):
            render_files.select_scenes(named(*files), ["kettle", "rook"], tmp_path)


class TestIds:
    @pytest.mark.parametrize(
        "form", ["{}.png", "{:03d}.png", "r_{}.png", "test_{:04d}.PNG", "nerf360_{:03d}.jpg", "{}-v2.png"]
    )
    def test_forms_of_names(self, form):
        assert render_files.names_by_view([form.format(i) for i in range(12)], "kettle") == {
            i: form.format(i) for i in range(12)
        }

    @pytest.mark.parametrize(
        ("names", "message"),
        [
            (
                ["r_0.png", "r_0_depth_1.png"],
                "expected one number in the name of an image, got several numbers in 'r_0_d",
            ),
            (["a.png", "b.png"], "got none in 'a.png'; name it by the view's id: 0.png"),
            (["1_1.png", "2_2.png"], "got several numbers in '1_1.png'"),
            (["run2_0.png"], "got several numbers in 'run2_0.png'"),
            (["0.png", "r_0.png"], "expected one image of view 0, got 0.png and r_0.png; remove one"),
            (["7.png", "007.png"], "expected one image of view 7, got 007.png and 7.png"),
        ],
    )
    def test_names_that_tell_nothing(self, names, message):
        with pytest.raises(UsageError, match=f"kettle: .*{message}"):
            render_files.names_by_view(names, "kettle")

    @pytest.mark.parametrize(
        ("found", "message"),
        [
            ([0, 1, 3], "expected 4 views, 0, 1, 2, 3, got no 2; render what is missing"),
            ([0, 1, 2, 3, 9], "got also 9; take out what is of no view"),
            ([1, 2, 3, 4], "got no 0 and also 4; they seem to count from 1: ids count from 0"),
        ],
    )
    def test_views_that_are_missing_or_too_many(self, found, message):
        with pytest.raises(UsageError, match=message):
            render_files.check_view_ids(found, range(4), range(4), "kettle")

    def test_views_that_need_not_be_there(self):
        render_files.check_view_ids([0, 1], known=[0, 1, 2], needed=[0, 1], where="kettle")
        render_files.check_view_ids([0, 1, 2], known=[0, 1, 2], needed=[0, 1], where="kettle")


def read(content, **changes):
    return render_files.decode_image(content, **{"height": H, "width": W, "where": "kettle, 0.png"} | changes)


class TestImages:
    def test_eight_bits(self):
        found = read(png())
        assert found.values.shape == (H, W, 3) and found.values.dtype == np.float32
        assert (found.values == [1, 0, 0]).all() and not found.is_lossy
        assert np.allclose(read(png("RGBA")).values, [1, 0, 0, 0.2])

    @pytest.mark.parametrize("channels", [3, 4])
    def test_sixteen_bits_keep_their_digits(self, channels):
        values = np.random.default_rng(0).integers(0, 65536, (H, W, channels)).astype(np.uint16)
        assert np.allclose(read(deep_png(values)).values, values / 65535, atol=1e-7)

    def test_jpeg_is_told(self):
        found = read(png(format="JPEG", quality=95))
        assert found.is_lossy and found.values.shape == (H, W, 3)

    def test_another_size(self):
        with pytest.raises(
            UsageError, match="kettle, 0.png: expected 7 x 5 pixels, got 8 x 6; render it at the task's size"
        ):
            read(png(size=(8, 6)))

    @pytest.mark.parametrize(
        ("mode", "message"),
        [
            ("L", "got grey of 8"),
            ("P", "got a palette of 1"),
            ("LA", "got grey with alpha of 8"),
            ("I;16", "got grey of 16"),
        ],
    )
    def test_other_channels(self, mode, message):
        with pytest.raises(UsageError, match=f"expected RGB or RGBA of 8 or 16 bits, {message}; save it in colour"):
            read(png(mode))

    def test_a_transparent_colour(self):
        with pytest.raises(
            UsageError, match="expected RGB or RGBA, got RGB with a transparent colour; save it as such"
        ):
            read(png(transparency=(255, 0, 0)))

    def test_a_grey_jpeg(self):
        with pytest.raises(UsageError, match="expected RGB or RGBA, got mode L"):
            read(png("L", format="JPEG"))

    @pytest.mark.parametrize("content", [b"", b"text", png(format="WEBP"), png()[:20]])
    def test_no_image(self, content):
        with pytest.raises(UsageError, match="expected a PNG or a JPEG, got another or a broken file; save it as PNG"):
            read(content)

    @pytest.mark.parametrize("make", [png, lambda: deep_png(np.zeros((H, W, 3), np.uint16))])
    def test_an_image_that_is_cut_off(self, make):
        with pytest.raises(
            UsageError, match="kettle, 0.png: expected an image that can be read, got '.*'; save it again"
        ):
            read(make()[:-30])

    def test_a_far_too_large_picture_is_not_begun(self):
        whole = bytearray(png())
        whole[16:24] = struct.pack(">II", 60_000, 60_000)
        whole[29:33] = struct.pack(">I", zlib.crc32(bytes(whole[12:29])))
        with pytest.raises(
            UsageError, match=re.compile("expected an image that can be read, got .*(exceeds|bomb)", re.I)
        ):
            read(bytes(whole))


def test_a_link_that_leads_nowhere_is_told(tmp_path):
    os.symlink(tmp_path / "lost", tmp_path / "0.png")
    found = render_files.find_files(tmp_path)
    with pytest.raises(UsageError, match="expected a file that can be read, got 'No such file or directory'; bring it"):
        found["0.png"]()
