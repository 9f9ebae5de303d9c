"""The outcome of ``hwgen calibrate`` on the terminal."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from hwgen.cost.families import FAMILIES
from hwgen.show import out, plain, table

__all__ = ["calibrated"]


def calibrated(stored: Mapping, files: Sequence[Path]) -> None:
    """After ``hwgen calibrate``: one line a family, over specs that the fit has not seen."""
    columns = ("LUT median", "LUT 90 %", "FF median", "FF 90 %", "DSP wrong", "BRAM wrong")
    made = table("family", "specs", *columns)
    for name, found in stored["families"].items():
        errors = (
            f"{100 * found[f'{resource}_{kind}_error']:.1f} %"
            for resource in ("lut", "ff")
            for kind in ("median", "p90")
        )
        wrong = (str(found[f"{resource}_mismatches"]) for resource in ("dsp", "bram"))
        made.add_row(FAMILIES[name].title, str(found["specs"]), *errors, *wrong)
    out.print(made)
    out.print(f"\nwritten: {plain(', '.join(str(file) for file in files))}", soft_wrap=True)
