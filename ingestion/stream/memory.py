"""Memory of one batch is used again for the next."""

from __future__ import annotations

import ctypes
from contextlib import suppress

import pyarrow as pa

#: glibc's `mallopt`: what is this large is taken from the system by itself and given back, which
#: costs a page fault for each 4 KiB of it; this much may be free before any is given back; and
#: threads share this many heaps, of which each keeps what its threads have freed.
_MMAP_THRESHOLD, _TRIM_THRESHOLD, _ARENA_MAX = (-3, 1 << 20), (-1, 64 << 20), (-8, 4)


def use_again() -> None:
    """Have freed memory kept for the next batch, but not more of it than a few batches take.

    Batches are large buffers that are soon freed. Given back at once, they are a fifth of the
    loader's CPU; left to itself, glibc keeps them among small ones that stay, and a quarter more
    memory than is ever used. Where the C library or Arrow's allocator is another one, it is left
    as it is.
    """
    with suppress(AttributeError, OSError):
        mallopt = ctypes.CDLL(None).mallopt
        for option in (_MMAP_THRESHOLD, _TRIM_THRESHOLD, _ARENA_MAX):
            mallopt(*option)
    with suppress(NotImplementedError):
        pa.set_memory_pool(pa.jemalloc_memory_pool())
