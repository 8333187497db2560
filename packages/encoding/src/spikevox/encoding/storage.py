"""Compact storage of a voxelised spike train: packed voxel keys and packed levels.

Little-endian. Header: magic ``SPVX``, version (uint16), levels (uint16), T, N, C (uint32 each), smallest coordinate x, y,
z (int32 each), bits of a coordinate x, y, z (uint8 each). Then N keys of the sum of those bits, the levels of (T, N, C) at
``ceil(log2(D + 1))`` bits each, both filled up to whole bytes, and the CRC-32 of all before it (uint32).
"""

import struct
import zlib

import numpy as np
import torch
from numpy.typing import NDArray

from spikevox.encoding.spike_train import SpikeTrain, SpikeTrainError

_MAGIC = b"SPVX"
_VERSION = 1
_HEADER = struct.Struct("<4sHHIIIiiiBBB")
_CHECKSUM = struct.Struct("<I")


def pack_spikes(coordinates: NDArray[np.integer], train: SpikeTrain) -> bytes:
    """Stores voxels and their spikes.

    Args:
        coordinates: (N, 3) integer voxel coordinates.
        train: (T, N, C) spikes of these voxels.

    Raises:
        SpikeTrainError: numbers of voxels that differ, or coordinates that span more than 62 bits.

    Example:
        >>> train = SpikeTrain.from_values(torch.tensor([[3.0, 0.0], [1.0, 4.0]]), levels=4)
        >>> len(pack_spikes(np.array([[0, 0, 0], [1, 2, 3]]), train))
        43
    """
    steps, count, channels = train.spikes.shape
    if coordinates.shape != (count, 3):
        raise SpikeTrainError(f"expected coordinates ({count}, 3) for these spikes, got {coordinates.shape}.")
    lower = coordinates.min(axis=0).astype(np.int64) if count else np.zeros(3, np.int64)
    moved = coordinates.astype(np.int64) - lower
    bits = [int(m).bit_length() for m in moved.max(axis=0)] if count else [0, 0, 0]
    if sum(bits) > 62:
        raise SpikeTrainError(f"the voxels span {sum(bits)} bits; at most 62 can be stored.")
    keys = (moved[:, 0] << (bits[1] + bits[2])) | (moved[:, 1] << bits[2]) | moved[:, 2]
    header = _HEADER.pack(_MAGIC, _VERSION, train.levels, steps, count, channels, *lower.tolist(), *bits)
    levels = train.spikes.cpu().numpy().reshape(-1).astype(np.int64)
    body = header + _pack(keys, sum(bits)) + _pack(levels, train.levels.bit_length())
    return body + _CHECKSUM.pack(zlib.crc32(body))


def unpack_spikes(data: bytes) -> tuple[NDArray[np.int32], SpikeTrain]:
    """Coordinates (N, 3) and spikes (T, N, C) as they were stored.

    Raises:
        SpikeTrainError: data that are truncated, damaged, of another kind or of a later version.
    """
    if len(data) < _HEADER.size + _CHECKSUM.size or not data.startswith(_MAGIC):
        raise SpikeTrainError(f"these {len(data)} bytes are no stored spike train: they must begin with {_MAGIC!r}.")
    _, version, levels, steps, count, channels, *rest = _HEADER.unpack_from(data)
    if version != _VERSION:
        raise SpikeTrainError(
            f"stored with version {version}; this one reads {_VERSION}. Install a later spikevox-encoding."
        )
    lower, bits = np.array(rest[:3]), rest[3:]
    key_bits, level_bits = sum(bits), int(levels).bit_length()
    sizes = [-(-count * key_bits // 8), -(-steps * count * channels * level_bits // 8)]
    expected = _HEADER.size + sum(sizes) + _CHECKSUM.size
    if len(data) != expected:
        raise SpikeTrainError(
            f"expected {expected} bytes for {count} voxels, got {len(data)}: truncated, or joined with other data."
        )
    if zlib.crc32(data[: -_CHECKSUM.size]) != _CHECKSUM.unpack_from(data, len(data) - _CHECKSUM.size)[0]:
        raise SpikeTrainError("the checksum does not match: the data are damaged.")
    start = _HEADER.size
    keys = _unpack(data[start : start + sizes[0]], count, key_bits)
    values = _unpack(data[start + sizes[0] : start + sum(sizes)], steps * count * channels, level_bits)
    mask = [(1 << b) - 1 for b in bits]
    moved = np.stack([keys >> (bits[1] + bits[2]), (keys >> bits[2]) & mask[1], keys & mask[2]], axis=1)
    spikes = torch.from_numpy(values.astype(np.uint8).reshape(steps, count, channels))
    return (moved + lower).astype(np.int32), SpikeTrain(spikes, levels)


def _pack(values: NDArray[np.int64], bits: int) -> bytes:
    """The lowest ``bits`` bits of each value, one after another, lowest first."""
    table = (values[:, None] >> np.arange(bits)) & 1
    return np.packbits(table.astype(np.uint8).reshape(-1), bitorder="little").tobytes()


def _unpack(data: bytes, count: int, bits: int) -> NDArray[np.int64]:
    flat = np.unpackbits(np.frombuffer(data, np.uint8), count=count * bits, bitorder="little")
    return (flat.reshape(count, bits).astype(np.int64) << np.arange(bits)).sum(axis=1)
