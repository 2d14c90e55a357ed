"""Debian package lists: stanzas are concepts, dependencies associations."""

import io
import subprocess

import pytest
from quillian.errors import BadRecordError, NotFoundError
from quillian.reading import Edge, Item, available, read_packages, refuse

TEXT = b"""Package: vim
Version: 2:9.0
Section: editors
Installed-Size: 3500
Depends: vim-common (= 2:9.0), libc6 (>= 2.34), perl:any | awk
Description: Vi IMproved
 A text editor.
 .
 Really.
Tag: role::program, interface::commandline

Package: libc6
Version: 2.36
Description: GNU C Library

Package: libc6
Version: 2.35
Description: an older one
"""


def read(text: bytes = TEXT) -> list[Item | Edge]:
    return list(read_packages(io.BytesIO(text), "p", on_bad=refuse))


def test_stanza_becomes_an_item() -> None:
    vim = read()[0]
    assert isinstance(vim, Item)
    assert (vim.id, vim.text) == ("vim", "vim: Vi IMproved. A text editor. Really.")
    assert vim.data == {
        "version": "2:9.0",
        "section": "editors",
        "installed_size": 3500,
        "tags": ["role::program", "interface::commandline"],
    }


def test_dependencies_become_edges_and_alternatives_share_the_weight() -> None:
    edges = [(x.target, x.type, x.weight) for x in read() if isinstance(x, Edge)]
    assert edges == [
        ("vim-common", "depends", 1.0),
        ("libc6", "depends", 1.0),
        ("perl", "depends", 0.5),
        ("awk", "depends", 0.5),
    ]


def test_name_without_a_stanza_is_a_virtual_package() -> None:
    virtual = [x.id for x in read() if isinstance(x, Item) and x.kind == "virtual-package"]
    assert virtual == ["vim-common", "perl", "awk"]


def test_of_several_versions_the_first_counts() -> None:
    texts = [x.text for x in read() if isinstance(x, Item) and x.id == "libc6"]
    assert texts == ["libc6: GNU C Library"]


def test_malformed_stanzas_are_named() -> None:
    bad: list[BadRecordError] = []
    text = b"Package: a\nnonsense\n\nVersion: 1\n"
    found = list(read_packages(io.BytesIO(text), "p", on_bad=bad.append))
    assert [x.id for x in found if isinstance(x, Item)] == ["a"]
    assert [str(x) for x in bad] == [
        "p:2: want 'Field: value' or a line that goes on",
        "p:4: a stanza without Package:",
    ]


def test_machine_without_apt_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, **__: object) -> None:
        raise FileNotFoundError("apt-cache")

    monkeypatch.setattr(subprocess, "run", missing)
    with pytest.raises(NotFoundError, match="--packages FILE"):
        available()
