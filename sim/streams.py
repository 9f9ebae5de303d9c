"""How the driver reaches ports and probes of an accelerator that Verilator has compiled."""

from hwgen.manifest import Manifest, Port, Probe

__all__ = ["control_file", "storage_bytes", "stream_table"]


def storage_bytes(bits: int) -> int:
    """Bytes in which Verilator stores a signal of ``bits`` bits."""
    for size in (1, 2, 4, 8):
        if bits <= 8 * size:
            return size
    return 4 * -(-bits // 32)


def control_file(manifest: Manifest) -> str:
    """Verilator's control file: the probes can be read from C++, the RTL stays as it is."""
    lines = ["`verilator_config"]
    for probe in manifest.probes:
        for wire in ("payload", "valid", "ready"):
            lines.append(f'public_flat_rd -module "{manifest.top}" -var "{probe.signal}__{wire}"')
    return "\n".join(lines) + "\n"


def stream_table(manifest: Manifest) -> str:
    """``streams.h``: inputs, probes and outputs, in the order in which their data comes."""
    lines = []

    def entry(name: str, signals: list[str], last: str | None, bits: int, frame: int) -> None:
        pointers = [f"reinterpret_cast<uint8_t*>(&{signal})" for signal in signals]
        pointers.append(f"reinterpret_cast<uint8_t*>(&{last})" if last else "nullptr")
        lines.append(f'{{"{name}", {", ".join(pointers)}, {storage_bytes(bits)}, {frame}}},')

    def port(where: Port, leaves: bool) -> None:
        stem = f"top_.{where.name}"
        signals = [f"{stem}_{end}" for end in ("tdata", "tvalid", "tready")]
        last = f"{stem}_tlast" if leaves else None
        entry(where.name, signals, last, 8 * where.bytes, where.beats.count)

    def probe(where: Probe) -> None:
        # Verilator writes two underscores as ___05F.
        stem = f"top_.rootp->{manifest.top}__DOT__"
        signals = [
            stem + f"{where.signal}__{end}".replace("__", "___05F")
            for end in ("payload", "valid", "ready")
        ]
        entry(where.signal, signals, None, where.beats.width, where.beats.count)

    for where in manifest.inputs:
        port(where, leaves=False)
    for where in manifest.probes:
        probe(where)
    for where in manifest.outputs:
        port(where, leaves=True)
    counts = {"INPUTS": len(manifest.inputs), "OUTPUTS": len(manifest.outputs)}
    defines = [f"#define {name} {count}" for name, count in counts.items()]
    return "\n".join([*defines, "#define STREAMS \\", *(f"{line} \\" for line in lines), ""]) + "\n"
