"""compact, repair, backup, restore as people run them."""

from pathlib import Path

from test_cli import brain, lines, run

__all__ = ["brain"]


def test_backup_and_restore_say_what_they_wrote(brain: Path) -> None:
    assert lines(run("backup", "brain", "copy", "--json")) == [{"written": "copy"}]
    assert "wrote again" in run("restore", "copy", "again").stdout
    assert run("get", "again", "paris").exit_code == 0
    refused = run("restore", "copy", "again")
    assert (refused.exit_code, "again exists" in refused.stderr) == (1, True)


def test_compact_says_what_it_gave_back(brain: Path) -> None:
    (done,) = lines(run("compact", brain, "--json"))
    assert done["old_files_removed"] is done["catalog_shrunk"] is True
    assert "->" in run("compact", brain).stdout
    assert run("compact", "missing").exit_code == 3
    assert not Path("missing").exists()
    assert run("check", brain).stdout == "sound\n"


def test_repair_names_what_is_lost(brain: Path) -> None:
    assert run("repair", brain).stdout == "sound\n"
    rows = brain / "vectors" / "rows-000.f32"
    rows.write_bytes(rows.read_bytes()[:4096])
    assert run("check", brain).exit_code == 4
    found = lines(run("repair", brain, "--json"))
    assert [x["message"] for x in found if x["lost"]] == [
        f"the vector of {name!r} is lost" for name in ("paris", "rome", "france")
    ]
    assert run("check", brain).stdout == "sound\n"
