"""
Durations in buckets, fine enough that nobody sees them and few enough to be kept for every day.

Up to 63 ms each duration is a bucket of its own; above, each power of two has 32 of equal width.
So a duration taken for the middle of its bucket is wrong by at most 1/64 of itself.
"""

from __future__ import annotations

_SHARES = 32
_SHARE_BITS = 5
_EXACT = 2 * _SHARES
#: How wrong the middle of a bucket can be, as a share of the duration.
RELATIVE_ERROR = 1 / (2 * _SHARES)


def bucket_of(duration: int) -> int:
    """
    Return the number of a duration's bucket; longer ones have higher numbers.
    """
    if duration < _EXACT:
        return duration
    shift = duration.bit_length() - _SHARE_BITS - 1
    return shift * _SHARES + (duration >> shift)


def bounds_of(bucket: int) -> tuple[int, int]:
    """
    Return the shortest and the longest duration of a bucket.
    """
    if bucket < _EXACT:
        return bucket, bucket
    shift = bucket // _SHARES - 1
    first = (bucket % _SHARES + _SHARES) << shift
    return first, first + (1 << shift) - 1
