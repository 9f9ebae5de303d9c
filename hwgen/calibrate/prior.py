"""What a unit of each feature takes by its looks, before anything is measured.

The constants of a fit are pulled to these, and not to those of the fit before, so that a fit does
not depend on how often it was made. Those of ``GIVEN`` are known, and stay.
"""

from hwgen.cost.families import FAMILIES

__all__ = ["GIVEN", "prior"]

#: LUTs by the inputs of a LUT; gates where it has one.
LUT = {
    4: {
        "adder": 1.0,
        "adder_constant": 1.0,
        "small_adder": 1.0,
        "full_adder": 2.0,
        "accumulator": 2.0,
        "compare": 1.0,
        "compare_constant": 0.3,
        "clip": 1.0,
        "mux": 1.0,
        "logic": 1.0,
        "product": 1.5,
        "table": 1.0,
        "select": 1.0,
        "digit": 1.0,
        "digits": 1.5,
        "digit_adder": 1.0,
        "rom": 1.0,
        "row": 1.0,
    },
    6: {
        "adder": 1.0,
        "adder_constant": 0.5,
        "small_adder": 0.5,
        "full_adder": 2.0,
        "accumulator": 1.0,
        "compare": 0.5,
        "compare_constant": 0.2,
        "clip": 1.0,
        "mux": 1.0,
        "logic": 0.6,
        "product": 1.0,
        "table": 1.0,
        "select": 1.0,
        "digit": 1.0,
        "digits": 0.2,
        "digit_adder": 1.0,
        "rom": 0.6,
        "row": 0.5,
    },
    1: {
        "adder": 12.0,
        "adder_constant": 5.0,
        "small_adder": 6.0,
        "full_adder": 12.0,
        "accumulator": 17.0,
        "compare": 6.0,
        "compare_constant": 1.0,
        "clip": 3.0,
        "hold": 4.0,
        "mux": 4.0,
        "logic": 3.0,
        "product": 13.0,
        "table": 2.0,
        "select": 2.0,
        "digit": 8.0,
        "digits": 8.0,
        "digit_adder": 12.0,
        "rom": 0.3,
        "row": 1.0,
    },
}

#: LUTs of a memory cell, from the data sheets named in ``families``.
CELL = {"ecp5": 6.0, "gowin": 6.0, "xc7": 4.0, "xcup": 8.0}

#: Features whose constant is known, by family: LUTs that are memories and shift registers.
GIVEN = {"ecp5": ("cell",), "gowin": ("cell",), "xc7": ("cell", "shift"), "xcup": ("cell", "shift")}


def prior(family: str, resource: str) -> dict[str, float]:
    """Constants by feature, for ``resource`` "lut" or "ff"."""
    flip_flops = {"register": 1.0, "read": 1.0}
    if resource == "ff":
        return flip_flops if family in CELL else {**flip_flops, "cell": 1.0}
    luts = {**LUT[FAMILIES[family].inputs], "cell": CELL.get(family, 1.0)}
    return {**luts, "shift": 1.0} if "shift" in GIVEN.get(family, ()) else luts
