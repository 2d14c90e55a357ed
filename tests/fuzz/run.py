"""Fuzz the C core's readers of files: `python tests/fuzz/run.py --seconds 300 [TARGET...]`.

Builds every target with clang's libFuzzer, AddressSanitizer and UndefinedBehaviorSanitizer, makes a
corpus of one sound file with the core's own writer, runs it, and prints executions and, with
--coverage, how many lines of the reading files were reached. A finding ends it with status 1 and
leaves the input in the folder that it names.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
CSRC = HERE.parent.parent / "csrc"
TARGETS = {  # Source, macro, and the files whose lines count.
    "rows": ("rows.c", "ROWS_LOG", ("vectors.c",)),
    "index": ("index.c", "INDEX_FILE", ("index_file.c",)),
    "graph_log": ("graph.c", "GRAPH_LOG", ("graph_log.c", "graph.c")),
    "extents": ("graph.c", "GRAPH_EXTENTS", ("extent_file.c", "extent.c")),
    "words": ("words.c", "WORDS_FILE", ("postings.c", "postings_merge.c")),
    "npu": ("npu.c", "NPU_COLUMNS", ("npu.c", "npu_synapses.c")),
}
FLAGS = ["-g", "-O1", "-std=c11", "-fno-omit-frame-pointer", f"-I{CSRC}", "-w"]
CHECKS = "address,undefined"
INPUT_BYTES_MAX = 1 << 17
INPUT_SECONDS_MAX = 20


class FindingError(Exception):
    """A target failed; the message holds the end of its output."""


@dataclass(frozen=True)
class Result:
    """What a run did: executions, edges of the control flow that it reached, inputs it kept."""

    executions: int
    edges: int
    corpus: int


def _call(*command: str, **how: object) -> str:
    done = subprocess.run(command, text=True, errors="replace", capture_output=True, **how)  # type: ignore[call-overload]
    if done.returncode:
        raise FindingError(
            f"{' '.join(command[:3])} ...\n{done.stdout[-2000:]}{done.stderr[-6000:]}"
        )
    return str(done.stdout + done.stderr)


def core(folder: Path, *flags: str) -> list[str]:
    """Objects of the core, its checksum under another name: common.h has one that is always 0."""
    compiler = [*(["ccache"] if shutil.which("ccache") else []), "clang"]
    objects = []
    for source in sorted(CSRC.glob("*.c")):
        if source.name.endswith(("_neon.c",)):
            continue
        target = folder / f"{source.stem}.o"
        renamed = ["-Dql_crc32c=ql_crc32c_true"] if source.name == "crc32c.c" else []
        _call(*compiler, *FLAGS, *flags, *renamed, "-c", str(source), "-o", str(target))
        objects.append(str(target))
    return objects


def build(name: str, folder: Path, objects: list[str], *flags: str) -> tuple[Path, Path]:
    """The fuzzer of a target, and the program that makes its seed."""
    source, macro, _ = TARGETS[name]
    program, seeder = folder / name, folder / f"{name}-seed"
    common = [*FLAGS, f"-D{macro}", str(HERE / source), *objects, "-lm", "-lpthread"]
    _call("clang", f"-fsanitize=fuzzer,{CHECKS}", *flags, *common, "-o", str(program))
    _call("clang", f"-fsanitize={CHECKS}", "-DSEED_MAIN", *flags, *common, "-o", str(seeder))
    return program, seeder


def fuzz(name: str, programs: tuple[Path, Path], folder: Path, seconds: float, seed: int) -> Result:
    """Run one target; FindingError if it fails."""
    program, seeder = programs
    corpus = folder / f"{name}-corpus"
    corpus.mkdir(exist_ok=True)
    _call(str(seeder), str(corpus / "sound"))
    output = _call(
        str(program),
        f"-max_total_time={int(seconds)}",
        f"-seed={seed}",
        f"-max_len={INPUT_BYTES_MAX}",
        f"-timeout={INPUT_SECONDS_MAX}",
        "-rss_limit_mb=3000",
        "-print_final_stats=1",
        "-use_value_profile=1",
        f"-artifact_prefix={folder}/{name}-",
        str(corpus),
    )
    runs = re.findall(r"number_of_executed_units: (\d+)", output)
    edges = re.findall(r"cov: (\d+)", output)
    return Result(int(runs[-1]), int(edges[-1]), len(list(corpus.iterdir())))


def coverage(name: str, folder: Path) -> str:
    """Which share of the lines of the reading files the corpus of a run reaches."""
    made = folder / "covered"
    made.mkdir(exist_ok=True)
    flags = ["-fprofile-instr-generate", "-fcoverage-mapping"]
    program, _ = build(name, made, core(made, *flags), *flags)
    raw, merged = made / f"{name}.profraw", made / f"{name}.profdata"
    environment = {**os.environ, "LLVM_PROFILE_FILE": str(raw)}
    inputs = [str(path) for path in (folder / f"{name}-corpus").iterdir()]
    _call(str(program), "-runs=0", *inputs, env=environment)
    tool = "llvm-profdata" if shutil.which("llvm-profdata") else "llvm-profdata-14"
    _call(tool, "merge", "-sparse", str(raw), "-o", str(merged))
    sources = [str(CSRC / file) for file in TARGETS[name][2]]
    reader = tool.replace("profdata", "cov")
    return _call(reader, "report", str(program), f"-instr-profile={merged}", *sources)


def main() -> int:
    parser = argparse.ArgumentParser(description="Fuzz the readers of files.")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=" ".join(TARGETS))
    parser.add_argument("--seconds", type=float, default=300, help="for each target")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--coverage", action="store_true")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="quillian-fuzz-"))
    print(f"in {folder}", flush=True)
    objects = core(folder, f"-fsanitize=fuzzer-no-link,{CHECKS}")
    failed = False
    for name in given.targets or TARGETS:
        programs = build(name, folder, objects)
        try:
            result = fuzz(name, programs, folder, given.seconds, given.seed)
        except FindingError as finding:
            print(f"{name}: {finding}", flush=True)
            failed = True
            continue
        print(f"{name}: {result}", flush=True)
        if given.coverage:
            print(coverage(name, folder), flush=True)
    if not failed:
        shutil.rmtree(folder)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
