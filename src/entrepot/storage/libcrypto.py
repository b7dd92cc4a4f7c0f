"""SHA-2 contexts of the very libcrypto that Python has loaded, as plain bytes that can be saved.

hashlib cannot save a hash in the middle. OpenSSL's older functions can: their context is a struct without pointers
(openssl/sha.h, ``SHA256_CTX`` and ``SHA512_CTX``), the same in every release, and left out only by builds with
``no-deprecated``. None of this is trusted before ``load_libcrypto`` has tried it.
"""

import ctypes
import functools
import hashlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import TypeAlias

from entrepot.oci import Algorithm

_hashlib: ModuleType | None
try:
    import _hashlib
except ImportError:  # a Python without OpenSSL
    _hashlib = None

Context: TypeAlias = ctypes.Array[ctypes.c_char]

_VERSION_TEXT = 0  # OPENSSL_VERSION of openssl/crypto.h
_SPARE = b"\xa5" * 64  # stands behind each context: a library that writes there has a larger struct than we know


@dataclass(frozen=True, slots=True)
class _Layout:
    """The struct: eight words of state, the length in bits as two words, a block, then ``num`` and ``md_len``."""

    word: int
    block: int
    digest: int

    @property
    def size(self) -> int:
        return 10 * self.word + self.block + 8

    def holds(self, context: bytes, length: int) -> bool:
        """Whether the counters are those after ``length`` bytes: the library trusts them and could overrun."""
        if len(context) != self.size:
            return False
        low, high = (_number(context, index * self.word, self.word) for index in (8, 9))
        pending, digest = (_number(context, self.size - behind, 4) for behind in (8, 4))
        bits = low + (high << 8 * self.word)
        return bits == 8 * length and pending == length % self.block and digest == self.digest


def _number(context: bytes, position: int, size: int) -> int:
    return int.from_bytes(context[position : position + size], sys.byteorder)


_LAYOUTS = {
    Algorithm.SHA256: _Layout(word=4, block=64, digest=32),
    Algorithm.SHA512: _Layout(word=8, block=128, digest=64),
}


class Sha2:
    """The functions of one algorithm; the GIL is released in all of them. A context must not be used by two threads."""

    def __init__(self, library: ctypes.CDLL, algorithm: Algorithm) -> None:
        name = algorithm.value.upper()
        self._layout = _LAYOUTS[algorithm]
        self._init = library[f"{name}_Init"]
        self._init.argtypes = [ctypes.c_void_p]
        self._update = library[f"{name}_Update"]
        self._update.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]
        self._final = library[f"{name}_Final"]
        self._final.argtypes = [ctypes.c_void_p, ctypes.c_void_p]

    def start(self) -> Context:
        """A context before the first byte."""
        context = ctypes.create_string_buffer(bytes(self._layout.size) + _SPARE, self._layout.size + len(_SPARE))
        self._init(context)
        return context

    def update(self, context: Context, data: bytes) -> None:
        """Go on with ``data``, which is not copied."""
        self._update(context, data, len(data))

    def digest(self, context: Context) -> bytes:
        """The digest so far; made from a copy, so that the context can go on."""
        copy = ctypes.create_string_buffer(context.raw, len(context))
        digest = ctypes.create_string_buffer(self._layout.digest)
        self._final(digest, copy)
        return digest.raw

    def save(self, context: Context) -> bytes:
        """The context's bytes."""
        return context.raw[: self._layout.size]

    def load(self, saved: bytes, length: int) -> Context | None:
        """A context after ``length`` bytes, or None if ``saved`` is no such context."""
        if not self._layout.holds(saved, length):
            return None
        return ctypes.create_string_buffer(saved + _SPARE, len(saved) + len(_SPARE))

    def works(self, algorithm: Algorithm) -> bool:
        """Whether contexts saved, loaded and continued at odd positions give hashlib's digest, within the struct."""
        content = bytes(range(251)) * 5
        for length in (0, 1, 55, 56, 63, 64, 65, 111, 112, 119, 127, 128, 129, 255, 1000):
            context = self.start()
            self.update(context, content[:length])
            loaded = self.load(self.save(context), length)
            if loaded is None:
                return False
            self.update(loaded, content[length:])
            if self.digest(loaded) != hashlib.new(algorithm.value, content).digest() or not loaded.raw.endswith(_SPARE):
                return False
        return True


@dataclass(frozen=True, slots=True)
class Libcrypto:
    """A library that passed the test; ``tag`` names its version and byte order, which a state must match."""

    tag: bytes
    algorithms: Mapping[Algorithm, Sha2]


@functools.cache
def load_libcrypto() -> Libcrypto | None:
    """The library, tested once per process; None where its contexts cannot be had or saved.

    It is found through ``_hashlib``, whose dependencies the loader searches too. A Python that carries OpenSSL inside
    itself is searched as a whole.
    """
    if _hashlib is None:
        return None
    try:
        library = ctypes.CDLL(getattr(_hashlib, "__file__", None))
        algorithms = {algorithm: Sha2(library, algorithm) for algorithm in Algorithm}
        version = library["OpenSSL_version"]
    except (OSError, AttributeError):
        return None
    version.argtypes = [ctypes.c_int]
    version.restype = ctypes.c_char_p
    if not all(functions.works(algorithm) for algorithm, functions in algorithms.items()):
        return None
    return Libcrypto(version(_VERSION_TEXT)[:200] + b" " + sys.byteorder.encode(), algorithms)
