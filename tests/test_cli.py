"""The commands as people run them: output, exit codes, examples of the help, quick start."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import quillian as ql
from click.testing import CliRunner, Result
from quillian.cli import main as cli
from quillian.cli.main import COMMANDS, EXIT_CODES, main
from test_importing import index_bytes

WORDNET = Path(__file__).parent / "wordnet"
CITIES = """id,text,pop,kind
paris,Paris is the capital of France,2.1,city
rome,Rome is the capital of Italy,2.8,city
france,France is a country,68.0,country
"""


def run(*args: object, input: str | bytes | None = None) -> Result:
    return CliRunner().invoke(main, [str(x) for x in args], input=input)


def lines(result: Result) -> list[Any]:
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.fixture
def brain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store `brain` in a folder of its own, which is the current one."""
    monkeypatch.chdir(tmp_path)
    Path("cities.csv").write_text(CITIES)
    result = run("ingest", "brain", "cities.csv", "--embedder", "bundled")
    assert result.exit_code == 0, result.output
    assert run("link", "brain", "paris", "france", "capital_of", "--weight", "0.5").exit_code == 0
    return tmp_path / "brain"


# Help.


def test_version_is_the_packages() -> None:
    assert run("--version").stdout.startswith("quillian, version ")


def test_help_imports_neither_numpy_nor_an_embedder() -> None:
    code = (
        "import sys; from quillian.cli.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print([x for x in ('numpy', 'lmdb', 'wordllama', 'rich') if x in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def examples(name: str) -> list[str]:
    """The lines of the help that start with the program's name, behind "Example:"."""
    command = main.get_command(click.Context(main), name)
    assert command is not None
    found = re.findall(r"^\s*(quillian .*)$", command.help or "", re.MULTILINE)
    return [str(x) for x in found]


@pytest.mark.parametrize("name", COMMANDS)
def test_example_of_the_help_runs(name: str, brain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("notes.txt").write_text("A dog barks.\n\nA cat sleeps.\n")
    Path("people.csv").write_text("id,text\nada,Ada wrote the first program\n")
    Path("index.bin").write_bytes(index_bytes(np.eye(4, 64, dtype=np.float32), range(4)))
    assert name != "restore" or run("backup", "brain", "brain.backup").exit_code == 0
    (example,) = examples(name)
    result = run(*shlex.split(example)[1:])
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_takes_json(name: str) -> None:
    assert "--json" in run(name, "--help").stdout


# Ingest.


def test_ingest_says_what_it_did(brain: Path) -> None:
    (report,) = lines(run("ingest", brain, "cities.csv", "--json"))
    assert (report["added"], report["known"], report["bad"]) == (0, 3, 0)
    assert (report["embedder"], report["dim"], report["interrupted"]) == ("bundled", 64, False)
    assert report["store_concepts"] == 3
    shown = run("ingest", brain, "cities.csv")
    assert "vectors: by the embedder bundled (64-d)" in shown.stderr
    assert "0 added, 3 known already" in shown.stdout


def test_ingest_reads_standard_input(brain: Path) -> None:
    line = '{"id": "x", "text": "a dog"}\n{"association": "t", "source": "x", "target": "rome"}\n'
    (report,) = lines(run("ingest", brain, "-", "--json", input=line))
    assert (report["added"], report["associations"]) == (1, 1)


def test_ingest_names_the_bad_line_and_writes_nothing(brain: Path) -> None:
    Path("bad.jsonl").write_text('{"id": "ok"}\n{oops\n')
    result = run("ingest", brain, "bad.jsonl")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].startswith("error: bad.jsonl:2: not JSON")
    assert run("get", brain, "ok").exit_code == 3


def test_ingest_skips_bad_lines_when_told(brain: Path) -> None:
    Path("bad.jsonl").write_text('{"id": "ok"}\n{oops\n')
    result = run("ingest", brain, "bad.jsonl", "--skip-bad")
    assert result.exit_code == 0
    assert "skipped: bad.jsonl:2: not JSON" in result.stderr
    assert "1 bad records" in result.stdout
    assert run("get", brain, "ok").exit_code == 0


def test_ingest_reads_wordnet(tmp_path: Path) -> None:
    command = ("ingest", tmp_path / "wn", "--wordnet", WORDNET, "--embedder", "bundled", "--json")
    (report,) = lines(run(*command))
    assert (report["added"], report["associations"]) == (20, 28)
    (again,) = lines(run(*command))
    assert (again["added"], again["known"], again["store_associations"]) == (0, 20, 28)


def test_ingest_reads_package_lists(tmp_path: Path) -> None:
    path = tmp_path / "Packages"
    path.write_text("Package: vim\nDepends: libc6\nDescription: editor\n")
    command = ("ingest", tmp_path / "s", "--packages", path, "--no-embed", "--json")
    (report,) = lines(run(*command))
    assert (report["added"], report["associations"], report["embedder"]) == (2, 1, None)


def test_ingest_takes_given_vectors(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\ntwo\n")
    np.save(tmp_path / "v.npy", np.eye(2, dtype=np.float32))
    np.save(tmp_path / "q.npy", np.eye(2, dtype=np.float32)[1])
    command = ("ingest", tmp_path / "s", tmp_path / "a.txt", "--by", "line", "--json")
    (report,) = lines(run(*command, "--vectors", tmp_path / "v.npy"))
    assert (report["dim"], report["embedder"]) == (2, None)
    found = lines(run("query", tmp_path / "s", "--vector", tmp_path / "q.npy", "-k", 1, "--json"))
    assert [row["text"] for row in found] == ["two"]


def test_ingest_chooses_fields(brain: Path) -> None:
    Path("f.jsonl").write_text('{"key": "k", "title": "t", "body": "b"}\n')
    fields = ("--id-field", "key", "--text-field", "body", "--name-field", "title")
    assert run("ingest", brain, "f.jsonl", *fields, "--source", "mine").exit_code == 0
    (found,) = lines(run("get", brain, "k", "--json"))
    assert (found["text"], found["name"], found["source"]) == ("b", "t", "mine")


@pytest.mark.parametrize(
    "args", [("none.csv",), ("--wordnet", "."), ("--packages", "none"), ("empty",)], ids=" ".join
)
def test_missing_input_is_named_and_creates_no_store(brain: Path, args: tuple[str, ...]) -> None:
    Path("empty").mkdir()
    result = run("ingest", "new", *args)
    assert result.exit_code == 3
    assert len(result.stderr.splitlines()) == 1
    assert not Path("new").exists()


def test_vectors_that_are_no_array_are_refused(brain: Path) -> None:
    Path("v.npy").write_text("nonsense")
    result = run("ingest", "new", "cities.csv", "--vectors", "v.npy")
    assert (result.exit_code, result.stderr) == (1, "error: v.npy is no .npy file of numbers\n")


def test_error_of_the_system_is_one_line_without_its_number(brain: Path) -> None:
    result = run("ingest", "cities.csv/store", "cities.csv")
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1
    assert "Errno" not in result.stderr


@pytest.mark.parametrize(
    "args",
    [
        ("ingest", "brain"),
        ("ingest", "brain", "cities.csv", "--no-embed", "--embedder", "bundled"),
        ("query", "brain"),
        ("query", "brain", "x", "--types", "t"),
        ("query", "brain", "x", "--where", "nonsense"),
        ("nonsense",),
    ],
)
def test_wrong_command_lines_exit_with_2(brain: Path, args: tuple[str, ...]) -> None:
    assert run(*args).exit_code == 2


def test_interrupted_ingest_commits_what_is_done_and_goes_on_later(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "quillian.cli.main", "ingest", str(tmp_path / "s"), "-"]
    options = ["--no-embed", "--json", "--batch", "10"]
    child = subprocess.Popen(
        [*command, *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdin is not None
    records = [json.dumps({"id": f"i{n}"}) + "\n" for n in range(25)]
    child.stdin.write("".join(records))
    child.stdin.flush()  # And stays open: the reader waits for more.
    wait_until(lambda: count(tmp_path / "s") >= 20)
    child.send_signal(signal.SIGINT)
    stdout, stderr = child.communicate(timeout=60)
    assert child.returncode == 130, stderr
    report = json.loads(stdout)
    assert report["interrupted"] is True
    assert report["added"] == report["store_concepts"] >= 20
    (again,) = lines(run("ingest", tmp_path / "s", "-", "--json", input="".join(records)))
    assert (again["added"] + again["known"], again["store_concepts"]) == (25, 25)


def count(path: Path) -> int:
    try:
        with ql.open(path, read_only=True) as store:
            return int(store.stats()["concepts"])
    except (ql.NotFoundError, ql.CorruptError, ql.StorageError):
        return 0


def wait_until(holds: Any, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)  # Waits for another process.


# Query and the others.


def test_query_finds_filters_expands_and_explains(brain: Path) -> None:
    found = lines(run("query", brain, "capital of Italy", "--json"))
    assert found[0]["id"] == "rome"
    found = lines(run("query", brain, "capital", "--where", "pop<2.5", "--json"))
    assert [row["id"] for row in found] == ["paris"]
    command = ("query", brain, "Paris", "-k", 1, "--expand", 1, "--types", "capital_of")
    found = lines(run(*command, "--exact", "--json"))
    assert [(row["id"], row["hop"], row["via"]) for row in found] == [
        ("paris", 0, ""),
        ("france", 1, "capital_of"),
    ]
    shown = run(*command, "--explain").stdout
    assert "1 capital_of" in shown
    assert "Near(k=1" in shown
    assert "Expand(" in shown


def test_query_spreads_along_the_types_asked_for(brain: Path) -> None:
    command = ("query", brain, "Paris", "-k", 1, "--spread")
    found = lines(run(*command, "--types", "capital_of", "--json"))
    assert [row["id"] for row in found] == ["paris", "france"]
    assert sum(row["score"] for row in found) + found[0]["short"] == pytest.approx(1, abs=1e-4)
    assert "Spread(" in run(*command, "--explain").stdout


def test_query_without_an_embedder_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one")
    assert run("ingest", tmp_path / "s", tmp_path / "a.txt", "--no-embed").exit_code == 0
    result = run("query", tmp_path / "s", "one", "--exact")
    assert result.exit_code == 1
    assert "quillian[embed]" in result.stderr


def test_get_shows_a_concept_and_what_it_is_linked_to(brain: Path) -> None:
    (found,) = lines(run("get", brain, "paris", "--json"))
    assert found["data"] == {"pop": 2.1}
    link = {"association": "capital_of", "source": "paris", "target": "france", "weight": 0.5}
    assert found["out"] == [link]
    assert run("get", brain, "france").stdout.count("capital_of") == 1
    assert run("get", brain, "nobody").exit_code == 3


def test_link_needs_a_store_and_its_ends(brain: Path, tmp_path: Path) -> None:
    assert run("link", tmp_path / "none", "a", "b", "t").exit_code == 3
    assert not (tmp_path / "none").exists()
    assert run("link", brain, "paris", "atlantis", "t").exit_code == 3
    assert run("link", brain, "paris", "atlantis", "t", "--create").exit_code == 0
    assert run("link", brain, "paris", "rome", "t", "--confidence", 2).exit_code == 1


def test_stats_counts(brain: Path) -> None:
    (found,) = lines(run("stats", brain, "--json"))
    assert (found["concepts"], found["types"]) == (3, {"capital_of": 1})
    assert "capital_of  1" in run("stats", brain).stdout


def test_export_reads_back_the_same(brain: Path) -> None:
    lines_out = run("export", brain).stdout
    command = ("ingest", "again", "-", "--embedder", "bundled", "--json")
    (report,) = lines(run(*command, input=lines_out))
    assert (report["added"], report["associations"]) == (3, 1)
    assert run("export", "again").stdout == lines_out
    (summary,) = lines(run("export", brain, "--format", "graphml", "-o", "g.xml", "--json"))
    assert summary["file"] == "g.xml"
    assert Path("g.xml").read_text().endswith("</graphml>\n")


def test_check_finds_a_flipped_bit_and_exits_with_4(brain: Path) -> None:
    assert run("check", brain).stdout == "sound\n"
    assert lines(run("check", brain, "--json")) == []
    rows = next((brain / "vectors").glob("rows-*"))
    content = bytearray(rows.read_bytes())
    place = next(i for i, byte in enumerate(content[4096:], 4096) if byte)
    content[place] ^= 1
    rows.write_bytes(content)
    result = run("check", brain, "--json")
    assert result.exit_code == 4
    assert "damaged" in json.loads(result.stdout.splitlines()[0])["message"]


def test_file_that_is_no_catalog_exits_with_4(brain: Path) -> None:
    (brain / "catalog.mdb").write_bytes(b"nonsense" * 2000)
    result = run("stats", brain)
    assert result.exit_code == 4
    assert len(result.stderr.splitlines()) == 1


def test_locked_store_exits_with_5(brain: Path) -> None:
    command = [sys.executable, "-m", "quillian.cli.main", "link", str(brain), "paris", "rome", "t"]
    with ql.open(brain) as store, store.transaction():
        done = subprocess.run([*command, "--lock-timeout", "0.1"], capture_output=True, text=True)
    assert done.returncode == 5
    assert f"pid {os.getpid()}" in done.stderr


def test_demo_answers_three_questions() -> None:
    report, nearest, filtered, neighbours = lines(run("demo", "--json"))
    assert (report["concepts"], report["associations"]) == (2321, 6134)
    assert "violin.n.01" in [id for _, id, _ in nearest["rows"]]
    assert len(filtered["rows"]) == 5
    assert ["antonym", "sadness.n.01"] in [row[:2] for row in neighbours["rows"]]


def test_demo_can_keep_its_store(tmp_path: Path) -> None:
    assert run("demo", tmp_path / "demo").exit_code == 0
    found = lines(run("query", tmp_path / "demo", "a hot drink", "--json"))
    assert len(found) == 10


def test_doctor_knows_the_disk_and_the_lock(brain: Path) -> None:
    (found,) = lines(run("doctor", brain, "--json"))
    assert found["lock"] == {"store": True, "writer_pid": None}
    assert found["disk"]["writable"] is True
    assert "isa" in run("doctor").stdout


def test_exit_codes_are_the_documented_ones() -> None:
    codes = {value for name, value in vars(cli).items() if re.fullmatch(r"EXIT_[A-Z_]+", name)
             and isinstance(value, int)}  # fmt: skip
    assert codes == set(EXIT_CODES)


def test_guide_names_only_options_that_exist_and_the_json_of_its_example_runs(brain: Path) -> None:
    guide = (Path(__file__).parent.parent / "docs/cli.md").read_text(encoding="utf-8")
    known = set(re.findall(r"--[a-z-]+", "".join(run(x, "--help").stdout for x in COMMANDS)))
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", guide)) <= known
    (example,) = re.findall(r"```json\n(.*?)```", guide, re.DOTALL)
    (report,) = lines(run("ingest", "new", "-", "--no-embed", "--json", input=example))
    assert (report["added"], report["associations"]) == (2, 1)


def test_completion_is_clicks_own() -> None:
    result = CliRunner().invoke(main, [], env={"_QUILLIAN_COMPLETE": "bash_source"},
                                prog_name="quillian")  # fmt: skip
    assert "_quillian_completion" in result.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_is_documented(name: str) -> None:
    page = (Path(__file__).parent.parent / "docs/commands.md").read_text(encoding="utf-8")
    section = page.partition(f"\n## quillian {name}\n")[2].partition("\n## ")[0]
    options = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", section))
    command = main.get_command(click.Context(main), name)
    assert command is not None
    wanted = {x for p in command.params if isinstance(p, click.Option) for x in p.opts}
    assert wanted <= options
