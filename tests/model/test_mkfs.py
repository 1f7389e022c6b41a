from __future__ import annotations

import pytest

from diskcsi.model.mkfs import why_never, why_not


@pytest.mark.parametrize(
    ("fs_type", "text"),
    [
        ("ext4", "-F -m0"),
        ("ext3", "-qF -m 0 -N 1000"),
        ("ext4", "-b 4096 -i 65536 -I 512 -O ^has_journal,64bit -E lazy_itable_init=0 -L data"),
        ("ext4", "-T largefile -j -J size=64,fast_commit_size=1 -Jlocation=3"),
        ("ext4", "-L -f"),
        ("xfs", "-f -K -q -b size=4096 -i size=512 -m reflink=1,crc=1 -n size=8192 -s size=4096"),
        ("xfs", "-d agcount=16,su=64k,sw=4 -d sunit=8,swidth=16 -l size=64m,version=2 -llazy-count=1"),
        ("btrfs", "-f -K -q -L data -n 16k -s 4k -O ^no-holes -m dup -d single -M"),
        ("btrfs", "--csum xxhash --nodesize=16k --force"),
        ("zfs", ""),
    ],
)  # fmt: skip
def test_options_that_name_no_device_are_allowed(fs_type: str, text: str) -> None:
    """Tuning is what the key is for."""
    assert why_not(fs_type, text.split()) == ""


@pytest.mark.parametrize(
    ("fs_type", "text", "told"),
    [
        ("btrfs", "-f /dev/loop2", "'/dev/loop2' is no option's value"),
        ("btrfs", "-f loop2", "'loop2' is no option's value"),
        ("btrfs", "-L data loop2", "'loop2' is no option's value"),
        ("btrfs", "-f -- loop2", "'--' is not allowed"),
        ("btrfs", "--rootdir etc", "'--rootdir' is not allowed"),
        ("btrfs", "-fr etc", "'-r' is not allowed"),
        ("btrfs", "--lab=x", "'--lab' is not allowed"),
        ("btrfs", "--force=x", "'--force' takes no value"),
        ("xfs", "-l logdev=loop2", "'logdev=loop2' is not allowed as a value of '-l'"),
        ("xfs", "-qllogdev=loop2", "'logdev=loop2' is not allowed as a value of '-l'"),
        ("xfs", "-l size=64m,logdev=loop2", "'logdev=loop2' is not allowed"),
        ("xfs", "-r rtdev=loop2", "'-r' is not allowed"),
        ("xfs", "-d file,name=loop2", "'file' is not allowed as a value of '-d'"),
        ("xfs", "-d name=loop2", "'name=loop2' is not allowed as a value of '-d'"),
        ("xfs", "-p proto", "'-p' is not allowed"),
        ("xfs", "-c options=file", "'-c' is not allowed"),
        ("xfs", "-N", "'-N' is not allowed"),
        ("ext4", "-J device=UUID=0a1b", "'device=UUID=0a1b' is not allowed as a value of '-J'"),
        ("ext4", "-FJdevice=loop2", "'device=loop2' is not allowed as a value of '-J'"),
        ("ext4", "-J size=4,device=loop2", "'device=loop2' is not allowed"),
        ("ext4", "-d etc", "'-d' is not allowed"),
        ("ext4", "-l bad", "'-l' is not allowed"),
        ("ext4", "-z undo", "'-z' is not allowed"),
        ("ext4", "-t xfs", "'-t' is not allowed"),
        ("ext4", "-n", "'-n' is not allowed"),
        ("ext4", "-L a/b", "'a/b' of '-L' is a path"),
        ("ext4", "-F -", "'-' is no option's value"),
        ("ext4", "-m", "'-m' lacks its value"),
        ("ext4", "--no-such", "'--no-such' is not allowed"),
        ("zfs", "-f", "mkfs of zfs may be given no options"),
    ],
)
def test_what_may_lead_to_another_device_is_refused(fs_type: str, text: str, told: str) -> None:
    """Only the disk was proved blank, so nothing else may be named, however it is written."""
    assert told in why_not(fs_type, text.split())


def test_a_refusal_tells_what_is_allowed() -> None:
    """The reader can correct the class at once."""
    assert "-l (internal, lazy-count" in why_not("xfs", ["-l", "logdev=x"])


@pytest.mark.parametrize(("text", "allowed"), [("-K", True), ("-m 0", True), ("-f x", False)])
def test_without_a_filesystem_some_mkfs_must_be_allowed_them(text: str, *, allowed: bool) -> None:
    """A class alone doesn't always tell the filesystem."""
    assert (why_never(text.split()) == "") is allowed
