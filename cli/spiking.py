"""`quillian npu import | export | run | inspect`: spiking simulation, of genomes and of stores."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import rendering
from .options import existing_store_argument, json_option, store_argument

if TYPE_CHECKING:
    from ..spiking import Network

POWER = ("_power", "___pwr")
"""Areas that genomes drive at every burst."""


@click.group(short_help="Run the spiking simulation.")
def npu() -> None:
    """Run spiking networks: read a genome into a store, run bursts, look at the parts.

    Every one of these commands takes --json.

    \b
    Example:
      quillian npu inspect brain
    """


@contextmanager
def remarks() -> Iterator[None]:
    """What a genome holds outside the range of the simulation, as remarks."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        yield
    for warning in told:
        rendering.note(f"note: {warning.message}")


@npu.command("import", short_help="Read a genome into a store.")
@click.argument("genome", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@store_argument
@json_option
def import_(genome: Path, store: Path, as_json: bool) -> None:
    """Build the network of GENOME (flat JSON 2.x) in STORE: neurons become concepts, synapses
    associations, and the network is kept ready to run.

    \b
    Example:
      quillian npu import genome.json connectome
    """
    from .. import connectomes, rasters
    from ..spiking import Network
    from ..store import open

    with remarks():
        network = Network.from_genome(genome)
    with open(store) as opened, opened.transaction() as transaction:
        connectomes.add_neurons(transaction, network)
        network.save(transaction)
    report = rasters.counts(network)
    if as_json:
        rendering.emit(report)
    else:
        show_counts(report)


@npu.command(short_help="Write the network in a store as a genome.")
@existing_store_argument
@click.argument("genome", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--title", default="", help="The title of the genome.")
@json_option
def export(store: Path, genome: Path, title: str, as_json: bool) -> None:
    """Write the network kept in STORE to GENOME (flat JSON 2.x), with the weights it has learned.

    Read back, it is the same network neuron by neuron and synapse by synapse. Potentials and the
    number of the burst stay behind.

    \b
    Example:
      quillian npu export connectome copy.json
    """
    from .. import blueprints, rasters
    from ..spiking import Network
    from ..store import open

    with open(store, read_only=True) as opened, opened.snapshot() as view:
        network = Network.saved(view)
    blueprints.write_genome(network, genome, title=title)
    report = rasters.counts(network)
    if as_json:
        rendering.emit(report)
    else:
        show_counts(report)


@npu.command(short_help="Run bursts of the network in a store.")
@existing_store_argument
@click.option(
    "--bursts",
    type=click.IntRange(0, 1_000_000),
    default=100,
    show_default=True,
    help="How many bursts to run.",
)
@click.option(
    "--drive",
    "driven",
    multiple=True,
    metavar="AREA[=POTENTIAL]",
    help="Put a potential (1) into an area at every burst; default: the power area. May repeat.",
)
@click.option("--save", is_flag=True, help="Keep the state, so that the next run goes on from it.")
@click.option("--svg", type=click.Path(path_type=Path), help="Write a raster plot to this file.")
@click.option("--png", type=click.Path(path_type=Path), help="The same in pixels, without names.")
@json_option
def run(
    store: Path,
    bursts: int,
    driven: tuple[str, ...],
    save: bool,
    svg: Path | None,
    png: Path | None,
    as_json: bool,
) -> None:
    """Run the network kept in STORE and show who fired.

    \b
    Example:
      quillian npu run connectome --bursts 50
    """
    from .. import rasters
    from ..spiking import Network
    from ..store import open

    with open(store, read_only=not save) as opened:
        with opened.snapshot() as view:
            network = Network.saved(view)
        drive(network, driven)
        first = network.burst
        fired = network.run(bursts)
        if save:
            with opened.transaction() as transaction:
                network.save(transaction)
    if svg is not None:
        svg.write_text(rasters.svg(network, fired, first_burst=first), encoding="utf-8")
    if png is not None:
        png.write_bytes(rasters.png(network, fired))
    report = {
        "bursts": [first, first + bursts - 1],
        "spikes": sum(len(ids) for ids in fired),
        "deliveries": network.deliveries,
        "areas": rasters.spikes_by_area(network, fired),
    }
    if as_json:
        rendering.emit(report)
        return
    for line in rasters.text(network, fired):
        click.echo(line)
    rendering.facts({name: report[name] for name in ("bursts", "spikes", "deliveries")})


def drive(network: "Network", driven: tuple[str, ...]) -> None:
    """Drive the areas named on the command line, or the power area of a network that never ran."""
    from ..errors import InvalidError

    areas = {area.name: area for area in network.areas}
    if not driven and network.burst == 1:
        driven = tuple(name for name in POWER if name in areas)
    for given in driven:
        name, _, potential = given.partition("=")
        if name not in areas:
            raise InvalidError(f"there is no area {name!r}; known: {', '.join(areas)}")
        try:
            amount = float(potential or 1)
        except ValueError as error:
            raise InvalidError(f"want AREA=POTENTIAL with a number, got {given!r}") from error
        area = areas[name]
        network.drive(range(area.first, area.first + area.count), amount)


@npu.command(short_help="Show the neurons and synapses of a genome or store.")
@click.argument("source", type=click.Path(path_type=Path), metavar="FILE-or-STORE")
@json_option
def inspect(source: Path, as_json: bool) -> None:
    """Show neurons and synapses by area, of a genome, of the network kept in a store, or of the
    graph of a store that keeps none.

    \b
    Example:
      quillian npu inspect brain --json
    """
    from .. import rasters

    report = rasters.counts(network_of(source))
    if as_json:
        rendering.emit(report)
    else:
        show_counts(report)


def network_of(source: Path) -> "Network":
    """The network of a genome file, or of a store."""
    from ..errors import NotFoundError
    from ..spiking import Network
    from ..store import open

    if source.is_file():
        with remarks():
            return Network.from_genome(source)
    with open(source, read_only=True) as opened, opened.snapshot() as view:
        try:
            return Network.saved(view)
        except NotFoundError:
            return Network.from_snapshot(view)


def show_counts(report: dict[str, Any]) -> None:
    if report["areas"]:
        columns = {
            "area": "id", "neurons": "score", "out": "score", "in": "score", "group": "dim",
            "title": "text",
        }  # fmt: skip
        keys = ("area", "neurons", "synapses_out", "synapses_in", "group", "title")
        rows = [[rendering.shown(area[key]) for key in keys] for area in report["areas"]]
        rendering.table(columns, rows)
    rendering.facts({name: report[name] for name in ("neurons", "synapses", "burst")})
