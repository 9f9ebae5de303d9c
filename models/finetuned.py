"""Reference networks that were trained further on few bits, as files beside their checkpoint.

`w4a4.pt2` is a fake-quantised program, `w4a4.json` its figures and how it was made.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import fx

from hwgen.frontend import load as load_program

from .reference import Reference, ReferenceFilesError


def save(
    folder: Path, bits: str, program: fx.GraphModule, frames: np.ndarray, info: Mapping[str, Any]
) -> dict[str, Any]:
    """Write both files of `bits` into `folder`, which is made if need be; `frames` are two inputs
    or more. Returns the second one's content, which holds the hash of the first."""
    folder.mkdir(parents=True, exist_ok=True)
    dynamic = ({0: torch.export.Dim.AUTO},)
    exported = torch.export.export(program, (torch.from_numpy(frames),), dynamic_shapes=dynamic)
    torch.export.save(exported, folder / f"{bits}.pt2")
    content = {**info, "program_sha256": _sha256(folder / f"{bits}.pt2")}
    (folder / f"{bits}.json").write_text(json.dumps(content, indent=2) + "\n")
    return content


def load(folder: Path, bits: str, start: Reference) -> Reference:
    """The training of `bits` in `folder`, with the images of the reference network that it started
    from; its module is the fake-quantised program. Raises `ReferenceFilesError`."""
    path, figures = folder / f"{bits}.pt2", folder / f"{bits}.json"
    if not (path.is_file() and figures.is_file()):
        raise ReferenceFilesError(f"{folder} holds no training of {bits}")
    info = json.loads(figures.read_text())
    if info["program_sha256"] != _sha256(path):
        raise ReferenceFilesError(f"{path} is not the file that {figures.name} describes")
    return replace(start, name=f"{start.name}_{bits}", module=load_program(path), info=info)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
