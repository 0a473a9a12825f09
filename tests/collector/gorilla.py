"""An independent encoder of XOR chunks, written from the format's description: slow, plain, on strings of bits."""

from __future__ import annotations

from collections.abc import Sequence

from tests.prometheus.wire import Samples

_MASK = (1 << 64) - 1


def encode_chunk(samples: Sequence[tuple[int, int]]) -> bytes:
    """Return the chunk of samples, each (milliseconds, value bits), in any order of time."""
    out = [f"{len(samples):016b}"]
    before = step = 0
    value = 0
    window: tuple[int, int] | None = None  # leading and trailing zeros of the last XOR that was written whole
    for number, (time, bits) in enumerate(samples):
        if number == 0:
            out += [_octets(_varint(_zigzag(time))), f"{bits:064b}"]
        else:
            delta = time - before
            out.append(_octets(_varint(delta & _MASK)) if number == 1 else _encode_delta(delta - step))
            text, window = _encode_xor(bits ^ value, window)
            out.append(text)
            step = delta
        before, value = time, bits
    text = "".join(out)
    text += "0" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big")


def split_chunks(samples: Samples, most: int = 120) -> list[bytes]:
    """Return the chunks of a longer series."""
    return [encode_chunk(samples[first : first + most]) for first in range(0, len(samples), most)]


def encode_frame(payload: bytes, checksum: int) -> bytes:
    """Return a frame of a streamed answer."""
    return _varint(len(payload)) + checksum.to_bytes(4, "big") + payload


def _encode_delta(change: int) -> str:
    if change == 0:
        return "0"
    for prefix, width in (("10", 14), ("110", 17), ("1110", 20)):
        if -(1 << (width - 1)) < change <= 1 << (width - 1):  # one more above than below, as Prometheus has it
            return prefix + f"{change & ((1 << width) - 1):0{width}b}"
    return "1111" + f"{change & _MASK:064b}"


def _encode_xor(xor: int, window: tuple[int, int] | None) -> tuple[str, tuple[int, int] | None]:
    if xor == 0:
        return "0", window
    leading = min(64 - xor.bit_length(), 31)
    trailing = (xor & -xor).bit_length() - 1
    if window and leading >= window[0] and trailing >= window[1]:
        return "10" + f"{xor >> window[1]:0{64 - sum(window)}b}", window
    significant = 64 - leading - trailing
    header = f"{leading:05b}{significant & 63:06b}"  # 64 does not fit six bits and is written as 0
    return "11" + header + f"{xor >> trailing:0{significant}b}", (leading, trailing)


def _zigzag(value: int) -> int:
    return ((value << 1) ^ (value >> 63)) & _MASK


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*out, value))


def _octets(raw: bytes) -> str:
    return "".join(f"{byte:08b}" for byte in raw)
