"""The Tcl script for Vivado, as text: nothing here can run it."""

from hwgen.beats import Beats
from hwgen.emit.ip import write_ip
from hwgen.manifest import Manifest, Port
from hwgen.network import TensorType


def test_the_script(tmp_path, snapshot):
    kind = TensorType((3,), 8, False)
    ports = [(Port(f"{side}_axis", name, Beats(kind)),) for side, name in (("s", "a"), ("m", "b"))]
    manifest = Manifest(
        "my-net", *ports, (), ("accelerator.v", "rom.v"), identity="0123456789abcdef"
    )
    (tmp_path / "rtl").mkdir()
    for name in ("fc_weights.hex", "conv_weights.hex"):
        (tmp_path / "rtl" / name).write_text("")
    path = write_ip(tmp_path, manifest)
    text = path.read_text()
    snapshot("package.tcl", text)
    assert text.count("{") == text.count("}") and text.count("[") == text.count("]")
    assert write_ip(tmp_path, manifest).read_text() == text
