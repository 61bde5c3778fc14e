"""Device, number format, seed and threads: what a run stands on."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

DEVICES = ("auto", "cuda", "mps", "cpu")
DTYPES = ("auto", "float32", "bfloat16", "float16")


def pick_device(device: str = "auto") -> torch.device:
    """Return the device to compute on: CUDA, else MPS, else CPU.

    device: "auto", or one of "cuda", "cuda:1", "mps", "cpu". The environment variable
        COURSE_DEVICE stands in for "auto".
    Raises ValueError for an unknown name or a device that this machine lacks.
    """
    import torch

    if device == "auto":
        device = os.environ.get("COURSE_DEVICE", "auto")
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if device == "auto":
        return torch.device(next(name for name, there in available.items() if there))
    kind = device.split(":")[0]
    if kind not in available:
        raise ValueError(f"device={device!r} is unknown: give one of {', '.join(DEVICES)}.")
    if not available[kind]:
        raise ValueError(f"This machine has no {kind} device: use device='auto' or 'cpu'.")
    return torch.device(device)


def pick_dtype(device: torch.device, dtype: str | torch.dtype = "auto") -> torch.dtype:
    """Return the number format to compute in.

    "auto" is bfloat16 where the device multiplies it in hardware and float32 elsewhere.
    Ask for "float32" where answers must be the same on every machine: with bfloat16 two greedy
    completions in three differ from the float32 ones somewhere.
    Raises ValueError for an unknown name.
    """
    import torch

    if isinstance(dtype, torch.dtype):
        return dtype
    if dtype not in DTYPES:
        raise ValueError(f"dtype={dtype!r} is unknown: give one of {', '.join(DTYPES)}.")
    if dtype != "auto":
        return getattr(torch, dtype)
    return torch.bfloat16 if multiplies_bfloat16(device) else torch.float32


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether the device has bfloat16 matrix products in hardware."""
    import torch

    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        # torch.cpu keeps these probes private; a release without them only costs speed.
        probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
        return any(getattr(torch.cpu, probe, lambda: False)() for probe in probes)
    return False


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch (every device)."""
    import numpy
    import torch

    random.seed(seed)
    numpy.random.seed(seed % 2**32)
    torch.manual_seed(seed)
