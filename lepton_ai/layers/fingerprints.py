"""Fingerprints of words: the same number for the same word on every machine, in every run.

The hashes are those that TensorFlow and Keras use, so that a word falls into the same bin there:
FarmHash's 64-bit fingerprint (Pike & Alakuijala 2014) and SipHash-2-4 (Aumasson & Bernstein 2012).
Python computes them for each different word once, not for each occurrence.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

_MASK = (1 << 64) - 1
_K0, _K1, _K2 = 0xC3A5C85C97CB3127, 0xB492B66FBE98F273, 0x9AE16A3B2F90404F
_CROSS_KEY = 0xDECAFCAFFE


def _turn(value: int, count: int) -> int:
    """A right rotation of 64 bits."""
    return ((value >> count) | (value << (64 - count))) & _MASK


def _mixed(value: int) -> int:
    return value ^ (value >> 47)


def _word(data: bytes, place: int, size: int = 8) -> int:
    return int.from_bytes(data[place : place + size], "little")


def _pair(u: int, v: int, factor: int) -> int:
    a = _mixed(((u ^ v) * factor) & _MASK)
    b = _mixed(((v ^ a) * factor) & _MASK)
    return (b * factor) & _MASK


def _short(data: bytes) -> int:
    """Up to 16 bytes."""
    count = len(data)
    factor = (_K2 + 2 * count) & _MASK
    if count >= 8:
        a, b = (_word(data, 0) + _K2) & _MASK, _word(data, count - 8)
        c = (_turn(b, 37) * factor + a) & _MASK
        d = ((_turn(a, 25) + b) * factor) & _MASK
        return _pair(c, d, factor)
    if count >= 4:
        a = _word(data, 0, 4)
        return _pair((count + (a << 3)) & _MASK, _word(data, count - 4, 4), factor)
    if count:
        y = data[0] + (data[count >> 1] << 8)
        z = count + (data[-1] << 2)
        return (_mixed((y * _K2 & _MASK) ^ (z * _K0 & _MASK)) * _K2) & _MASK
    return _K2


def _middle(data: bytes) -> int:
    """From 17 to 32 bytes."""
    count = len(data)
    factor = (_K2 + 2 * count) & _MASK
    a, b = (_word(data, 0) * _K1) & _MASK, _word(data, 8)
    c, d = (_word(data, count - 8) * factor) & _MASK, (_word(data, count - 16) * _K2) & _MASK
    first = (_turn((a + b) & _MASK, 43) + _turn(c, 30) + d) & _MASK
    return _pair(first, (a + _turn((b + _K2) & _MASK, 18) + c) & _MASK, factor)


def _long(data: bytes) -> int:
    """From 33 to 64 bytes."""
    count = len(data)
    factor = (_K2 + 2 * count) & _MASK
    a, b = (_word(data, 0) * _K2) & _MASK, _word(data, 8)
    c, d = (_word(data, count - 8) * factor) & _MASK, (_word(data, count - 16) * _K2) & _MASK
    y = (_turn((a + b) & _MASK, 43) + _turn(c, 30) + d) & _MASK
    z = _pair(y, (a + _turn((b + _K2) & _MASK, 18) + c) & _MASK, factor)
    e, f = (_word(data, 16) * factor) & _MASK, _word(data, 24)
    g = ((y + _word(data, count - 32)) * factor) & _MASK
    h = ((z + _word(data, count - 24)) * factor) & _MASK
    first = (_turn((e + f) & _MASK, 43) + _turn(g, 30) + h) & _MASK
    return _pair(first, (e + _turn((f + a) & _MASK, 18) + g) & _MASK, factor)


def _weak(data: bytes, place: int, a: int, b: int) -> tuple[int, int]:
    """Two sums over 32 bytes."""
    w, x, y, z = (_word(data, place + 8 * i) for i in range(4))
    a = (a + w) & _MASK
    b = _turn((b + a + z) & _MASK, 21)
    c = a
    a = (a + x + y) & _MASK
    b = (b + _turn(a, 44)) & _MASK
    return (a + z) & _MASK, (b + c) & _MASK


def _longest(data: bytes) -> int:
    """More than 64 bytes, in rounds of 64; the last round covers the last 64."""
    count, x = len(data), 81
    y = (81 * _K1 + 113) & _MASK
    z = (_mixed((y * _K2 + 113) & _MASK) * _K2) & _MASK
    v, w = (0, 0), (0, 0)
    x = (x * _K2 + _word(data, 0)) & _MASK
    end = (count - 1) // 64 * 64
    for place in range(0, end, 64):
        x, y, z, v, w = _round(data, place, x, y, z, v, w, _K1, (1, 1))
    factor = (_K1 + ((z & 0xFF) << 1)) & _MASK
    w = ((w[0] + ((count - 1) & 63)) & _MASK, w[1])
    v = ((v[0] + w[0]) & _MASK, v[1])
    w = ((w[0] + v[0]) & _MASK, w[1])
    x, y, z, v, w = _round(data, count - 64, x, y, z, v, w, factor, (9, 9))
    first = (_pair(v[0], w[0], factor) + _mixed(y) * _K0 + z) & _MASK
    return _pair(first, (_pair(v[1], w[1], factor) + x) & _MASK, factor)


def _round(
    data: bytes, at: int, x: int, y: int, z: int, v: tuple[int, int], w: tuple[int, int],
    factor: int, weights: tuple[int, int],
) -> tuple[int, int, int, tuple[int, int], tuple[int, int]]:  # fmt: skip
    x = (_turn((x + y + v[0] + _word(data, at + 8)) & _MASK, 37) * factor) & _MASK
    y = (_turn((y + v[1] + _word(data, at + 48)) & _MASK, 42) * factor) & _MASK
    x ^= (w[1] * weights[0]) & _MASK
    y = (y + v[0] * weights[1] + _word(data, at + 40)) & _MASK
    z = (_turn((z + w[0]) & _MASK, 33) * factor) & _MASK
    v = _weak(data, at, (v[1] * factor) & _MASK, (x + w[0]) & _MASK)
    w = _weak(data, at + 32, (z + w[1]) & _MASK, (y + _word(data, at + 16)) & _MASK)
    return z, y, x, v, w  # x and z change places


def farm(word: str) -> int:
    """FarmHash's fingerprint of a word in UTF-8.

    Example:
        >>> [farm(word) % 3 for word in "ABCDE"]
        [1, 0, 1, 1, 2]
    """
    data = word.encode()
    if len(data) <= 16:
        return _short(data)
    if len(data) <= 32:
        return _middle(data)
    return _long(data) if len(data) <= 64 else _longest(data)


def sip(word: str, key: Sequence[int]) -> int:
    """SipHash-2-4 of a word in UTF-8 with two secret numbers.

    Example:
        >>> [sip(word, (133, 137)) % 3 for word in "ABCDE"]
        [1, 2, 1, 0, 2]
    """
    data = word.encode()
    one, two = (k & _MASK for k in key)
    state = [
        one ^ 0x736F6D6570736575, two ^ 0x646F72616E646F6D,
        one ^ 0x6C7967656E657261, two ^ 0x7465646279746573,
    ]  # fmt: skip
    whole = len(data) // 8 * 8
    last = _word(data, whole) | (len(data) & 0xFF) << 56
    for block in [*(_word(data, place) for place in range(0, whole, 8)), last]:
        state[3] ^= block
        _sip_rounds(state, 2)
        state[0] ^= block
    state[2] ^= 0xFF
    _sip_rounds(state, 4)
    return state[0] ^ state[1] ^ state[2] ^ state[3]


def _sip_rounds(state: list[int], count: int) -> None:
    a, b, c, d = state
    for _ in range(count):
        a, c = (a + b) & _MASK, (c + d) & _MASK
        b, d = _turn(b, 51) ^ a, _turn(d, 48) ^ c
        a = _turn(a, 32)
        a, c = (a + d) & _MASK, (c + b) & _MASK
        d, b = _turn(d, 43) ^ a, _turn(b, 47) ^ c
        c = _turn(c, 32)
    state[:] = a, b, c, d


def crossed(parts: Sequence[str | int]) -> int:
    """One fingerprint of several values together; whole numbers stand for themselves.

    Example:
        >>> crossed(["B", 101]) % 5, crossed(["A", 102]) % 5
        (4, 3)
    """
    factor, joined = 0xC6A4A7935BD1E995, _CROSS_KEY
    for part in parts:
        value = farm(part) if isinstance(part, str) else part & _MASK
        joined ^= factor
        joined ^= (_mixed((value * factor) & _MASK) * factor) & _MASK
        joined = (joined * factor) & _MASK
        joined = _mixed((_mixed(joined) * factor) & _MASK)
    return joined


def each(values: np.ndarray, fingerprint: Callable[[str], int], bins: int) -> np.ndarray:
    """The bins of an array of words, each different word looked at once."""
    words, places = np.unique(values, return_inverse=True)
    found = np.array([fingerprint(str(word)) % bins for word in words], dtype=np.int64)
    return found[places].reshape(values.shape)
