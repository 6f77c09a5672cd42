"""Archives of strangers are read within bounds of members, bytes and memory, and refused in one line beyond them."""

import bz2
import gzip
import lzma
import os
import stat
import tarfile
import tracemalloc
import zipfile
import zlib

import pytest

from bench.errors import DamagedFile
from bench.storage import archive
from tasks.data_dir import bounded_archives
from tasks.data_dir.bounded_archives import ArchiveLimits, read_tar, read_zip

LIMITS = ArchiveLimits(members=50, num_bytes=4 << 20)

PACKERS = {"tar": lambda content: content, "gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}


def member(name, **fields):
    info = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(info, field, value)
    return info.tobuf(tarfile.GNU_FORMAT)


def whole(*blocks):
    return b"".join(blocks) + bytes(1024)


def padded(content):
    return content + bytes(-len(content) % 512)


def links():
    large = member("a/large", size=3 << 20) + bytes(3 << 20)
    return whole(large, *(member(f"a/{n}", type=tarfile.LNKTYPE, linkname="a/large") for n in range(12)))


def long_header():
    return whole(member("././@LongLink", type=tarfile.GNUTYPE_LONGNAME, size=5 << 20), b"x" * (5 << 20), member("a/b"))


def pax_header():
    return whole(member("x", type=tarfile.XHDTYPE, size=9 << 19), b"9 path=x\n" * (1 << 19), member("a/b"))


BOMBS = {
    "many empty members": (lambda: whole(*(member(f"a/{n}") for n in range(5_000))), "at most 50 files and 4 MiB"),
    "large members": (lambda: whole(member("a/b", size=5 << 20), bytes(5 << 20)), "at most 50 files and 4 MiB"),
    "a size that is a lie": (lambda: whole(member("a/b", size=1 << 60)), "at most 50 files"),
    "links to one file": (links, "got a link or a device, 'a/0'"),
    "a symbolic link": (lambda: whole(member("a/b", type=tarfile.SYMTYPE, linkname="/etc/passwd")), "got a link"),
    "a device": (lambda: whole(member("a/b", type=tarfile.CHRTYPE)), "got a link or a device"),
    "a pipe": (lambda: whole(member("a/b", type=tarfile.FIFOTYPE)), "got a link or a device"),
    "a sparse file": (lambda: whole(member("a/b", type=tarfile.GNUTYPE_SPARSE)), "got a link or a device"),
    "a long name": (long_header, "unpacks without end|expected a whole archive"),
    "a long header": (pax_header, "unpacks without end|expected a whole archive"),
    "no archive": (lambda: b"no archive at all", "expected a whole archive"),
    "nothing": (lambda: b"", "expected a whole archive"),
}


@pytest.mark.parametrize("packer", PACKERS)
@pytest.mark.parametrize("bomb", BOMBS)
def test_a_tar_that_is_too_much_is_refused_in_one_line(tmp_path, bomb, packer):
    make, reason = BOMBS[bomb]
    path = tmp_path / "a.tar"
    path.write_bytes(PACKERS[packer](make()))
    with pytest.raises(DamagedFile, match=f"a.tar: .*({reason})") as caught:
        [each.read() for each in read_tar(path, LIMITS)]
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("packer", PACKERS)
def test_a_good_tar_is_read(tmp_path, packer):
    files = {f"a/{n}": os.urandom(7_000 * n) for n in range(20)}
    blocks = [member(name, size=len(content)) + padded(content) for name, content in files.items()]
    path = tmp_path / "a.tar"
    path.write_bytes(PACKERS[packer](whole(member("a", type=tarfile.DIRTYPE), *blocks)))
    assert {each.name: each.read() for each in read_tar(path, LIMITS)} == files
    content = path.read_bytes()
    if packer != "tar":
        for size in (0.1, 0.5, 0.9):
            path.write_bytes(content[: int(size * len(content))])
            with pytest.raises(DamagedFile, match="expected a whole archive"):
                [each.read() for each in read_tar(path, LIMITS)]


def test_several_streams_of_xz_in_one_file(tmp_path):
    content = whole(member("a/b", size=3) + padded(b"abc"))
    (tmp_path / "a.tar.xz").write_bytes(lzma.compress(content[:700]) + bytes(8) + lzma.compress(content[700:]))
    assert [each.read() for each in read_tar(tmp_path / "a.tar.xz", LIMITS)] == [b"abc"]


def test_xz_may_not_ask_for_all_memory(tmp_path):
    packed = lzma.LZMACompressor(filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 20}])
    content = bytearray(packed.compress(whole(member("a/b"))) + packed.flush())
    assert bounded_archives.MAX_UNPACKER_BYTES < 1 << 30
    place = (
        content.index(b"\x21\x01") + 2
    )  # the filter, and the size of its properties: then the size of the dictionary
    content[place] = 36  # 1 GiB
    content[20:24] = zlib.crc32(bytes(content[12:20])).to_bytes(4, "little")
    (tmp_path / "a.tar.xz").write_bytes(bytes(content))
    with pytest.raises(DamagedFile, match="[Mm]emory"):
        list(read_tar(tmp_path / "a.tar.xz", LIMITS))


def test_reading_a_bomb_takes_little_memory(tmp_path):
    path = tmp_path / f"x{archive.END}"
    path.write_bytes(lzma.compress(member("a/large", size=32 << 20) + bytes(32 << 20)))
    tracemalloc.start()
    with pytest.raises(DamagedFile, match="at most 50 files"):
        [each.read() for each in read_tar(path, LIMITS)]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert path.stat().st_size < 10_000 and peak < 16 << 20


def zipped(path, members, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as made:
        for name, content, mode in members:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            info.compress_type = compression
            made.writestr(info, content)


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ([(f"a/{n}", b"", 0) for n in range(60)], "at most 50 files"),
        ([("a/b", bytes(5 << 20), 0)], "at most 50 files and 4 MiB"),
        ([("a/b", b"/etc/passwd", stat.S_IFLNK | 0o777)], "got a link or a device, 'a/b'"),
        ([("a/b", b"", stat.S_IFIFO)], "got a link or a device"),
    ],
)
def test_a_zip_that_is_too_much(tmp_path, members, reason):
    zipped(tmp_path / "a.zip", members)
    with pytest.raises(DamagedFile, match=f"a.zip: .*{reason}"):
        [each.read() for each in read_zip(tmp_path / "a.zip", LIMITS)]


def test_a_million_empty_members_are_refused_before_they_are_listed(tmp_path, monkeypatch):
    zipped(tmp_path / "a.zip", [(f"a/{n:04}", b"", 0) for n in range(400)])
    monkeypatch.setattr(zipfile, "ZipFile", None)
    with pytest.raises(DamagedFile, match="at most 50 files"):
        list(read_zip(tmp_path / "a.zip", LIMITS))


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_good_zip_is_read_and_a_damaged_one_refused(tmp_path, compression):
    path = tmp_path / "a.zip"
    zipped(
        path, [("a/", b"", stat.S_IFDIR), ("a/b", b"abc" * 1000, 0), ("a/c", b"", stat.S_IFREG | 0o644)], compression
    )
    assert {each.name: each.read() for each in read_zip(path, LIMITS)} == {"a/b": b"abc" * 1000, "a/c": b""}
    whole_content = path.read_bytes()
    for place in range(0, len(whole_content), 29):
        content = bytearray(whole_content)
        content[place] ^= 4
        path.write_bytes(bytes(content))
        try:
            found = {each.name: each.read() for each in read_zip(path, LIMITS)}
        except DamagedFile as error:
            assert "\n" not in str(error)
        else:  # a flip in a date, say
            assert b"abc" * 1000 in found.values()


@pytest.mark.parametrize("read", [read_tar, read_zip])
def test_what_is_no_file_is_not_waited_for(tmp_path, read):
    os.mkfifo(tmp_path / "pipe")
    for name, reason in (("pipe", "a pipe"), (".", "a folder"), ("/dev/zero", "a device")):
        with pytest.raises(DamagedFile, match=reason):
            list(read(tmp_path / name, LIMITS))
    with pytest.raises(FileNotFoundError):
        list(read(tmp_path / "none", LIMITS))
