"""The commands of the spiking simulation, and the rasters that they show."""

import json
import struct
import zlib
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import quillian as ql
from click.testing import CliRunner, Result
from quillian import rasters
from quillian.cli.main import main
from quillian.spiking import Network

GENOME = Path(__file__).parent / "data" / "genomes" / "pioneer2_basic_genome.json"


def run(*args: object) -> Result:
    return CliRunner().invoke(main, ["npu", *(str(x) for x in args)])


@pytest.fixture
def connectome(tmp_path: Path) -> Path:
    store = tmp_path / "connectome"
    result = run("import", GENOME, store, "--json")
    assert result.exit_code == 0, result.output
    assert "leak_c outside 0..1" in result.stderr
    assert json.loads(result.stdout)["synapses"] == 112
    return store


def test_inspect_counts_by_area(connectome: Path) -> None:
    of_file, of_store = (
        json.loads(run("inspect", x, "--json").stdout) for x in (GENOME, connectome)
    )
    assert of_file == of_store
    assert (of_file["neurons"], of_file["synapses"]) == (223, 112)
    areas = {area["area"]: area for area in of_file["areas"]}
    assert (areas["i__pro"]["neurons"], areas["i__pro"]["synapses_out"]) == (160, 112)
    assert areas["o__mot"]["synapses_in"] == 112
    assert "i__pro" in run("inspect", connectome).stdout


def test_import_makes_concepts_and_associations(connectome: Path) -> None:
    with ql.open(connectome, read_only=True) as store, store.snapshot() as view:
        assert len(view) == 223
        assert view.types() == {"excites": 110}  # Two of 112 are parallel.
        assert view.get("i__pro:7,0,2").kind == "i__pro"
        weights = sorted(edge.weight for edge in view.neighbours("i__pro:7,0,2"))
    assert weights == [2, 2]


def test_runs_go_on_where_they_were_saved(connectome: Path) -> None:
    drive = ("--drive", "i__pro=2", "--drive", "___pwr")
    straight = json.loads(run("run", connectome, "--bursts", 8, *drive, "--json").stdout)
    first = json.loads(run("run", connectome, "--bursts", 5, *drive, "--save", "--json").stdout)
    second = json.loads(run("run", connectome, "--bursts", 3, "--json").stdout)
    assert (first["bursts"], second["bursts"]) == ([1, 5], [6, 8])
    assert straight["spikes"] == first["spikes"] + second["spikes"] > 0
    assert straight["areas"]["o__mot"] == first["areas"]["o__mot"] + second["areas"]["o__mot"] > 0


def test_run_shows_and_writes_a_raster(connectome: Path, tmp_path: Path) -> None:
    plot = tmp_path / "raster.svg"
    png = tmp_path / "raster.png"
    plots = ("--svg", plot, "--png", png)
    result = run("run", connectome, "--bursts", 4, "--drive", "i__pro=2", *plots)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[0].startswith("i__pro \u2588\u2588\u2588\u2588 640")
    assert ElementTree.parse(plot).getroot().tag.endswith("svg")
    assert (pixels(png.read_bytes()) == 0).any()


def test_export_reads_back_the_same(connectome: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.json"
    result = run("export", connectome, copy, "--title", "copy", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == json.loads(run("inspect", copy, "--json").stdout)
    assert run("export", tmp_path / "none", copy).exit_code == 3


def pixels(content: bytes) -> np.ndarray:
    """(height, width) of a grey PNG whose lines have no filter."""
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    parts, at = {}, 8
    while at < len(content):
        size = int.from_bytes(content[at : at + 4], "big")
        kind, body = content[at + 4 : at + 8], content[at + 8 : at + 8 + size]
        assert zlib.crc32(kind + body) == int.from_bytes(content[at + 8 + size :][:4], "big")
        parts[kind], at = body, at + 12 + size
    assert list(parts) == [b"IHDR", b"IDAT", b"IEND"]
    width, height = struct.unpack(">II", parts[b"IHDR"][:8])
    lines = np.frombuffer(zlib.decompress(parts[b"IDAT"]), np.uint8).reshape(height, width + 1)
    assert parts[b"IHDR"][8:] == b"\x08\0\0\0\0"
    assert not lines[:, 0].any()
    return lines[:, 1:]


def test_png_has_a_block_per_burst_and_neuron() -> None:
    network = Network(4, threshold=1)
    fired = [np.array(ids, np.uint32) for ids in ([], [0], [0, 1, 2, 3])]
    grey = pixels(rasters.png(network, fired))
    assert grey.shape == (500, 900)
    assert (grey[::125, ::300] == [[255, 0, 0], [255, 255, 0], [255, 255, 0], [255, 255, 0]]).all()
    many = pixels(rasters.png(Network(2000, threshold=1), [np.arange(0, 2000, 8)] * 1800))
    assert (many.shape, np.unique(many).tolist()) == ((500, 900), [112, 255])
    assert (pixels(rasters.png(network, [])) == 255).all()


def test_wrong_areas_and_missing_networks_are_one_line_errors(
    connectome: Path, tmp_path: Path
) -> None:
    assert "no area 'x'" in run("run", connectome, "--drive", "x").stderr
    assert run("run", connectome, "--drive", "i__pro=much").exit_code == 1
    with ql.open(tmp_path / "other", dim=2) as store:
        store.add(id="a")
    missing = run("run", tmp_path / "other")
    assert (missing.exit_code, missing.stderr.count("\n")) == (3, 1)
    assert json.loads(run("inspect", tmp_path / "other", "--json").stdout)["neurons"] == 1


def test_text_raster_shades_by_share() -> None:
    network = Network(4, threshold=1)
    fired = [np.array(ids, np.uint32) for ids in ([], [0], [0, 1, 2, 3])]
    lines = rasters.text(network, fired)
    assert [line.split()[0] for line in lines] == ["0-0", "1-1", "2-2", "3-3"]
    assert lines[0] == "0-0  \u2588\u2588 2"
    assert rasters.spikes_by_area(network, fired) == {"0-0": 2, "1-1": 1, "2-2": 1, "3-3": 1}
    assert rasters.text(network, fired[:1]) == ["(nobody fired)"]
