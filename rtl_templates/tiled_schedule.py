"""What engines that work by tiles (``tiled``) do, step by step.

All processes decide at once; the data of each follow behind, by as many cycles as the pipelines
before it take. So a ring's reader never overtakes its writer, and no pipeline has an enable.
"""

from typing import Any

from hwgen.rtl_templates.queue import depth_for
from hwgen.schedule import Process, Put, Read, Schedule, Write

__all__ = ["compute_process", "drain_process", "schedule_of"]


def schedule_of(spec: Any) -> Schedule:
    """The schedule of ``spec``, a ``TiledSpec``."""
    store, rings = spec.store_schedule()
    processes = {
        "fill": spec.strips.fill_process(),
        **store,
        "compute": compute_process(spec),
        "drain": drain_process(spec),
    }
    return Schedule(processes, {"lines": spec.strips.lines, **rings, "results": 2 * spec.strip})


def compute_process(spec: Any) -> Process:
    """Walks strips, groups of tiles, output folds, input folds and slots."""
    folds, slots = spec.in_folds, spec.slots
    loops = (spec.strips.strips, spec.strips.groups, spec.out_folds, folds, slots)
    return Process(
        loops,
        write=Write("results", {3: (folds - 1,), 4: (slots - 1,)}),
        read=Read("tiles", 2, spec.held, (spec.held,) * 3),
    )


def drain_process(spec: Any) -> Process:
    """Walks strips, rows, groups of tiles, pixels and output folds; puts what is on the map."""
    height, width, _ = spec.op.output.map_shape
    strips, groups, m = spec.strips.strips, spec.strips.groups, spec.domain.down.m
    pixels = spec.group_pixels // spec.target_pixels
    loops = (strips, m, groups, pixels, spec.out_folds)
    rows = _on_map(0, 1, strips, m, height - (strips - 1) * m)
    left = (width - (groups - 1) * spec.group_pixels) // spec.target_pixels
    columns = _on_map(2, 3, groups, pixels, left)
    steps = strips * m * groups * pixels * spec.out_folds
    depth = depth_for(spec.latency, max(1, spec.ideal // steps))
    return Process(
        loops,
        puts=tuple(
            Put("o", spec.latency, depth, down | across) for down in rows for across in columns
        ),
        read=Read("results", 1, spec.strip, (spec.strip, spec.strip)),
    )


def _on_map(outer: int, inner: int, count: int, trip: int, left: int) -> list[dict]:
    """``At``s of the loops ``outer`` and ``inner`` that leave out what is beyond ``left`` inner
    steps of the last outer one."""
    if left == trip:
        return [{}]
    last = {outer: (count - 1,), inner: range(left)}
    return [{outer: range(count - 1)}, last] if count > 1 else [last]
