"""``main.json`` as a page for people."""

from collections.abc import Callable, Mapping

from hwgen.synth import LARGE

__all__ = ["markdown"]

RESOURCES = ("lut", "ff", "dsp", "bram")

#: Tools whose version the head names; the rest are in the JSON.
TOOLS = ("verilator", "Yosys", "nextpnr-ecp5")


def markdown(found: Mapping) -> str:
    """Tables of everything that was measured."""
    lines = [
        f"# Reference networks, {found['bits']} bits, as fast as they fit",
        "",
        f"Written by `{found['command']}` from `main.json`, which it also wrote. Measured on "
        f"{found['machine']['cores']} cores ({found['machine']['processor']}), Python "
        f"{found['machine']['python']}, "
        + ", ".join(f"{name} {found['tools'][name]}" for name in TOOLS)
        + ".",
        "",
        f"Designs of more than {LARGE:,} LUTs are synthesised stage by stage, others whole; not at "
        "all where that needs more than the 4 GB that Yosys has in WebAssembly, or was not asked "
        "for (`--no-synth`). A clock that is assumed was not checked by any tool; nextpnr is given "
        "an hour. Seconds to "
        "build the simulator: from nothing, Verilator's own library included. Frames simulated a "
        "second: without stalls, every layer's stream compared with the golden model.",
    ]
    for name, network in found["networks"].items():
        boards = network["boards"].values()
        accuracy = network["accuracy"]
        lines += [
            "",
            f"## {name}",
            "",
            f"Accuracy on {accuracy['images']:,} test images: {accuracy['float']:.2f} % in float, "
            f"{accuracy['integer']:.2f} % in integers.",
            "",
            "| | " + " | ".join(board["title"] for board in boards) + " |",
            "|---|" + "---:|" * len(boards),
        ]
        for title, text in ROWS.items():
            lines.append(f"| {title} | " + " | ".join(text(board) for board in boards) + " |")
        for board in boards:
            if routed := board["clock"]["routed"]:
                lines += ["", _critical(board["title"], routed)]
    return "\n".join(lines) + "\n"


def _cycles(board: Mapping, key: str) -> str:
    pair = board["cycles"][key]
    if pair["simulated"] == pair["estimated"]:
        return f"{pair['simulated']:,} (as estimated)"
    return f"{pair['simulated']:,} (estimated: {pair['estimated']:,})"


def _area(name: str) -> Callable[[Mapping], str]:
    def text(board: Mapping) -> str:
        area = board["area"]
        estimated, made = area["estimated"][name], area["synthesised"]
        share = 100 * (made or area["estimated"])[name] / area["board"][name]
        if made is None:
            return f"{estimated:,} / not synthesised, {share:.1f} % of the board"
        real = made[name]
        return f"{estimated:,} / {real:,} ({_error(estimated, real)}), {share:.1f} % of the board"

    return text


def _error(estimated: int, real: int) -> str:
    return f"{100 * (estimated / real - 1):+.1f} %" if real else f"{estimated - real:+d}"


def _clock(board: Mapping) -> str:
    clock = board["clock"]
    routed = f"{clock['routed']['clock_mhz']:g} MHz" if clock["routed"] else "not routed"
    return f"{clock['assumed_mhz']:g} MHz / {routed}"


def _seconds(*names: str) -> Callable[[Mapping], str]:
    def text(board: Mapping) -> str:
        values = [board["seconds"][name] for name in names]
        return " / ".join("–" if value is None else f"{value:g}" for value in values)

    return text


ROWS: dict[str, Callable[[Mapping], str]] = {
    "bit-exact, every layer, with and without stalls": lambda b: "yes" if b["bit_exact"] else "NO",
    "interval, cycles simulated": lambda b: _cycles(b, "interval"),
    "latency, cycles simulated": lambda b: _cycles(b, "latency"),
    "every frame ends in the cycle foretold": (
        lambda b: "yes" if b["every_frame_on_time"] else "NO"
    ),
    "multipliers for multiply-adds / to requantise": (
        lambda b: f"{b['multipliers']['mac']:,} / {b['multipliers']['requantise']:,}"
    ),
    "utilisation of multipliers": lambda b: f"{100 * b['utilisation']:.1f} %",
    **{f"{name.upper()} estimated / Yosys": _area(name) for name in RESOURCES},
    "clock assumed / routed": _clock,
    "frames a second": lambda b: (
        f"{b['frames_per_second']:,.0f} at {b['clock']['used_mhz']:g} MHz ({b['clock']['source']})"
    ),
    "seconds to plan / to emit": _seconds("plan", "emit"),
    "seconds to build the simulator": _seconds("simulator"),
    "seconds to synthesise / with routing": _seconds("synthesise", "route"),
    "frames simulated a second": lambda b: f"{b['simulation']['frames_per_second']:,.0f}",
    "cycles simulated a second": lambda b: f"{b['simulation']['cycles_per_second']:,}",
}


def _critical(title: str, routed: Mapping) -> str:
    path = routed["critical"]
    return (
        f"nextpnr's critical path on the {title}: {path['logic_ns']:g} ns of logic and "
        f"{path['routing_ns']:g} ns of wires, from `{path['source']}` to `{path['sink']}`."
    )
