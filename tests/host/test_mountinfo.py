from __future__ import annotations

import pytest

from diskcsi.host.linux import mountinfo

EXT4 = "36 35 252:16 / /mnt/a rw,noatime shared:1 master:2 - ext4 /dev/vdb rw,errors=continue"


def test_a_line_is_read_field_by_field() -> None:
    """Optional fields of any number stand before the dash."""
    assert list(mountinfo.parse(EXT4)) == [
        mountinfo.Entry(
            number="252:16",
            root="/",
            path="/mnt/a",
            fs_type="ext4",
            source="/dev/vdb",
            options=frozenset({"rw", "noatime"}),
            super_options=frozenset({"rw", "errors=continue"}),
        )
    ]


@pytest.mark.parametrize(
    ("written", "path"),
    [
        (r"/a\040b", "/a b"),
        (r"/a\011b", "/a\tb"),
        (r"/a\012b", "/a\nb"),
        (r"/a\134b", r"/a\b"),
        (r"/a\134040b", r"/a\040b"),
        (r"/a\043b", "/a#b"),
        ("/a\u2028b", "/a\u2028b"),
        ("/a\rb", "/a\rb"),
        ("/a-b", "/a-b"),
        ("/-", "/-"),
    ],
)
def test_escapes_of_a_path_are_undone_once(written: str, path: str) -> None:
    """The kernel escapes what would end a field, and nothing else ends a line."""
    table = f"{EXT4}\n{EXT4.replace('/mnt/a', written)}\n{EXT4}\n"
    assert [entry.path for entry in mountinfo.parse(table)] == ["/mnt/a", path, "/mnt/a"]


@pytest.mark.parametrize("line", ["", "36 35 252:16 / /mnt", EXT4.replace(" - ", " "), "- - -"])
def test_a_line_of_an_unknown_form_is_left_out(line: str) -> None:
    """The others still count."""
    assert len(list(mountinfo.parse(f"{line}\n{EXT4}\n"))) == 1


def test_a_source_without_a_name_is_read() -> None:
    """Filesystems without a device may have an empty one."""
    (entry,) = mountinfo.parse("1 2 0:5 / /run rw - tmpfs  rw")
    assert (entry.source, entry.device_number) == ("", "0:5")


def test_the_machines_own_table_is_read() -> None:
    """Whatever stands in it, there is a root."""
    assert "/" in {entry.path for entry in mountinfo.read()}
