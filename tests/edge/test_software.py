"""The generated C does what ``hwgen.beats`` does, byte by byte, compiled without a warning."""

import ctypes
import shutil
import subprocess

import numpy as np
import pytest

from hwgen import registers
from hwgen.beats import Beats
from hwgen.emit.software import write_software
from hwgen.frontend.images import rounded
from hwgen.manifest import Manifest, Port
from hwgen.network import TensorType
from hwgen.sim.golden import Wire, encode

STRICT = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-Wconversion", "-O2")

#: Type, lanes, pixels: odd widths, spare lanes, spare bits, signs, vectors.
PORTS = {
    "image": (TensorType((4, 6, 3), 8, False, "int", 1 / 255, 0), 3, 2),
    "odd": (TensorType((3, 4, 5), 3, True, "int", 0.37, -1), 2, 1),
    "spare": (TensorType((2, 6, 7), 5, False, "int", 0.01, 9), 4, 3),
    "wide": (TensorType((11,), 16, True, "int", 0.003, 100), 3, 1),
    "bit": (TensorType((2, 2, 9), 1, False, "int", 1.0, 0), 4, 2),
    "bipolar": (TensorType((2, 4, 3), 1, True, "bipolar", 1.0, 1), 2, 4),
    "signs": (TensorType((3, 2, 2), 1, False, "bipolar", 0.3, 0), 2, 1),
    "sums": (TensorType((2, 2, 3), 23, True, "int", (0.5, 0.25, 0.1), 0), 2, 1),
}


def integers(rng, kind: TensorType, frames: int = 2) -> np.ndarray:
    if kind.encoding == "bipolar":
        return rng.choice([-1, 1], (frames, *kind.shape))
    made = rng.integers(kind.lo, kind.hi + 1, (frames, *kind.shape))
    made.flat[0], made.flat[1] = kind.lo, kind.hi
    return made


def stream(port: Port, frame: np.ndarray) -> bytes:
    """Beats of one frame as ``hwgen.beats`` has them, each in whole bytes."""
    wire = Wire(port.carries, port.beats, 8 * port.bytes)
    return encode(wire, frame[None])[:, : port.bytes].tobytes()


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """``(functions, manifest, header)`` of a design that has each of ``PORTS`` on both sides."""
    if shutil.which("cc") is None:
        pytest.skip("needs a C compiler")
    folder = tmp_path_factory.mktemp("software")
    sides = [
        tuple(
            Port(f"{side}_axis_{name}", name, Beats(kind, lanes, pixels))
            for name, (kind, lanes, pixels) in PORTS.items()
            if side == "m" or isinstance(kind.scale, float)
        )
        for side in "sm"
    ]
    manifest = Manifest("my-Net", *sides, probes=(), sources=(), identity="0123456789abcdef")
    write_software(folder, manifest)
    place = folder / "software"
    files = {path.name: path.read_bytes() for path in place.iterdir()}
    assert files.keys() == {"my_net.h", "my_net.c"}
    write_software(folder, manifest)
    assert files == {path.name: path.read_bytes() for path in place.iterdir()}
    command = ["cc", *STRICT, "-shared", "-fPIC", "-o", "my_net.so", "my_net.c"]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return ctypes.CDLL(str(place / "my_net.so")), manifest, files["my_net.h"].decode()


def call(function, given: np.ndarray, size: int, kind) -> np.ndarray:
    """What ``function(given, result)`` leaves in a result of ``size``, and not one beside it."""
    made = np.full(size + 8, 77, kind)
    function(np.ascontiguousarray(given).ctypes.data_as(ctypes.c_void_p),
             made.ctypes.data_as(ctypes.c_void_p))  # fmt: skip
    assert (made[size:] == 77).all()
    return made[:size]


def test_integers_become_the_bytes_of_the_stream_and_back(library):
    functions, manifest, _ = library
    rng = np.random.default_rng(1)
    for port in manifest.ports:
        kind, size = port.beats.type, port.beats.count * port.bytes
        for frame in integers(rng, kind):
            expected = stream(port, frame)
            if port in manifest.inputs:
                pack = functions[f"my_net_pack_{port.name}"]
                assert call(pack, frame.astype(np.int32), size, np.uint8).tobytes() == expected
                continue
            unpack = functions[f"my_net_unpack_{port.name}"]
            data = np.frombuffer(expected, np.uint8)
            found = call(unpack, data, frame.size, np.int32)
            np.testing.assert_array_equal(found, frame.reshape(-1))
            real = call(functions[f"my_net_real_{port.name}"], found, frame.size, np.float64)
            scaled = np.asarray(kind.scale) * (frame - kind.zero_point)
            np.testing.assert_array_equal(real, scaled.reshape(-1))


def test_bytes_are_packed_where_integers_fit_in_them(library):
    functions, manifest, header = library
    for port in manifest.inputs:
        kind = port.beats.type
        fits = not kind.signed and kind.bits <= 8 and kind.encoding == "int"
        assert (f"my_net_pack_{port.name}_u8(" in header) == fits
        if fits:
            (frame, _) = integers(np.random.default_rng(2), kind)
            pack = functions[f"my_net_pack_{port.name}_u8"]
            size = port.beats.count * port.bytes
            made = call(pack, frame.astype(np.uint8), size, np.uint8)
            assert made.tobytes() == stream(port, frame)


def test_real_numbers_are_rounded_as_the_frontend_rounds_them(library):
    functions, manifest, _ = library
    rng = np.random.default_rng(3)
    for port in manifest.inputs:
        kind, size = port.beats.type, port.beats.count * port.bytes
        height, width, channels = kind.map_shape
        span = (kind.hi - kind.lo + 1) * kind.scale
        real = rng.uniform(-2 * span, 2 * span, (height, width, channels)).astype(np.float32)
        # Ties, exactly where the scale lets floats hit them, and what is out of range.
        flat = real.reshape(-1)
        flat[:4] = (np.array([0.5, 1.5, -0.5, -1.5]) * kind.scale).astype(np.float32)
        flat[4:7] = np.inf, -np.inf, 1e30
        flat[7:10] = 0, -0.4 * kind.scale, 0.4 * kind.scale
        frame = rounded(real, kind).reshape(kind.shape)
        for order, given in (("hwc", real), ("chw", real.transpose(2, 0, 1))):
            made = call(functions[f"my_net_pack_{port.name}_f32_{order}"], given, size, np.uint8)
            assert made.tobytes() == stream(port, frame), (port.name, order)


def test_the_header_has_the_register_map(library):
    _, manifest, header = library
    for at in registers.REGISTERS:
        assert f"MY_NET_REG_{at.name} 0x{at.offset:02X}u" in header
    assert "#define MY_NET_HASH_LOW 0x89ABCDEFu" in header
    assert "#define MY_NET_HASH_HIGH 0x01234567u" in header
    assert "#define MY_NET_ERROR_S_AXIS_ODD_MISSING 0x00000020u" in header
    for port in manifest.ports:
        size = port.beats.count * port.bytes
        assert f"#define MY_NET_{port.name.upper()}_FRAME_BYTES {size}\n" in header


def test_integers_wider_than_the_code_are_left_out(tmp_path):
    wide = Port("m_axis", "output", Beats(TensorType((3,), 32, False)))
    narrow = Port("s_axis", "input", Beats(TensorType((3,), 8, False)))
    write_software(tmp_path, Manifest("x", (narrow,), (wide,), (), ()))
    assert not (tmp_path / "software").exists()


def test_what_is_rounded_to_signs_has_none_that_is_zero():
    signs = TensorType((5,), 1, False, "bipolar", 0.5)
    real = np.array([-3, -0.1, 0, 0.1, 3])
    np.testing.assert_array_equal(rounded(real, signs), [-1, -1, 1, 1, 1])
    tens = TensorType((5,), 8, True, "int", 0.5, 10)
    np.testing.assert_array_equal(rounded(real / 2, tens), [7, 10, 10, 10, 13])
