"""A training run on disk: written whole after every epoch, taken up where it stopped."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import xxhash
from torch import nn

from course_utils.adaptation.examples import Example
from course_utils.errors import CourseError
from course_utils.whole_files import write_whole

if TYPE_CHECKING:
    from course_utils.adaptation.training import Step


class Checkpoint:
    """The trainable weights, the optimizer and the steps of one run, in one file.

    The file names the run that it belongs to, by its settings and by hashes of the frozen
    weights and of the examples: another run's checkpoint is refused.
    """

    def __init__(
        self, file: Path, model: nn.Module, settings: dict, train: Sequence[Example]
    ) -> None:
        self.file = Path(file)
        self._trainable = {n: w for n, w in model.named_parameters() if w.requires_grad}
        self._run = {
            "model": _hash_frozen(model),
            "trainable": {name: list(w.shape) for name, w in self._trainable.items()},
            "examples": xxhash.xxh3_64_hexdigest(repr(list(train)).encode()),
            "settings": settings,
        }

    def resume(self, optimizer, schedule, steps: list[Step]) -> int:
        """Load the file into model, optimizer and schedule; returns how many epochs are done.

        Raises CourseError if it cannot be read or belongs to another run.
        """
        from course_utils.adaptation.training import Step

        if not self.file.exists():
            return 0
        try:
            kept = torch.load(self.file, weights_only=True)
            found = kept["run"]
        except Exception as error:
            raise CourseError(
                f"The checkpoint {self.file} is damaged ({type(error).__name__}): delete it to "
                "begin again."
            ) from error
        other = [part for part, value in self._run.items() if found.get(part) != value]
        if other:
            raise CourseError(
                f"The checkpoint {self.file} belongs to another run: its {' and '.join(other)} "
                "differ. Give another file, or delete this one to begin again."
            )
        with torch.no_grad():
            for name, weight in self._trainable.items():
                weight.copy_(kept["weights"][name])
        optimizer.load_state_dict(kept["optimizer"])
        schedule.load_state_dict(kept["schedule"])
        torch.set_rng_state(kept["random"])
        steps.extend(Step(**step) for step in kept["steps"])
        return steps[-1].epoch if steps else 0

    def write(self, optimizer, schedule, steps: Sequence[Step]) -> None:
        """Write the state beside its place, then rename it."""
        state = {
            "run": self._run,
            "weights": {name: w.detach().cpu() for name, w in self._trainable.items()},
            "optimizer": optimizer.state_dict(),
            "schedule": schedule.state_dict(),
            "random": torch.get_rng_state(),
            "steps": [asdict(step) for step in steps],
        }
        buffer = io.BytesIO()
        torch.save(state, buffer)
        try:
            write_whole(self.file, buffer.getvalue())
        except OSError as error:
            raise CourseError(
                f"The checkpoint {self.file} cannot be written ({error.strerror}): free space or "
                "give another file. The one written before is untouched."
            ) from error


def _hash_frozen(model: nn.Module) -> str:
    digest = xxhash.xxh3_128()
    for name, weight in model.named_parameters():
        if not weight.requires_grad:
            digest.update(name.encode())
            digest.update(weight.detach().cpu().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
