"""Completions on disk, keyed by everything that they depend on."""

from __future__ import annotations

import contextlib
import hashlib
import json
import warnings
from dataclasses import asdict
from pathlib import Path

import torch
import transformers
import xxhash

from course_utils.language_model.completion import Completion
from course_utils.model_cache import cache_folder
from course_utils.whole_files import write_whole


class CompletionCache:
    """Deterministic completions of one model.

    The key holds a hash of the weights, so a fine-tuned model never reads its parent's answers.
    """

    def __init__(self, model: torch.nn.Module) -> None:
        self.model = model
        self._state: tuple | None = None
        self._weights_hash = ""

    def key(self, ids: list[int], settings: dict) -> str:
        """Hash the weights, the prompt's ids, the settings and the libraries' versions."""
        parts = {
            "weights": self._hash_weights(),
            "device": self.model.device.type,
            "ids": ids,
            "settings": settings,
            "versions": [torch.__version__, transformers.__version__],
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()

    def read(self, key: str) -> Completion | None:
        """Return a kept completion; a damaged file counts as none."""
        with contextlib.suppress(OSError, ValueError, TypeError):
            return Completion(**json.loads(self._file(key).read_text()))
        return None

    def write(self, key: str, completion: Completion) -> None:
        """Keep a completion. A cache that cannot be written costs a warning, never the answer."""
        file = self._file(key)
        try:
            write_whole(file, json.dumps(asdict(completion)))
        except OSError as error:
            warnings.warn(
                f"Completions cannot be kept in {file.parent} ({error.strerror}); the answers are "
                "complete, but a repeated run computes them again. Free space or set COURSE_CACHE.",
                stacklevel=2,
            )

    def _file(self, key: str) -> Path:
        return cache_folder() / "completions" / key[:2] / f"{key}.json"

    def _hash_weights(self) -> str:
        weights = list(self.model.state_dict().items())
        # An in-place change raises a tensor's version; a replaced tensor has another address.
        state = tuple((name, value.data_ptr(), value._version) for name, value in weights)
        if state != self._state:
            digest = xxhash.xxh3_128(str(self.model.config.to_dict()).encode())
            for name, value in weights:
                digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
                digest.update(value.detach().cpu().reshape(-1).view(torch.uint8).numpy())
            self._state, self._weights_hash = state, digest.hexdigest()
        return self._weights_hash
