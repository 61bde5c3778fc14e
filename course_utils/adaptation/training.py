"""The training loop: few lines that learn, and the care around them."""

from __future__ import annotations

import contextlib
import math
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from course_utils.adaptation.checkpoints import Checkpoint
from course_utils.adaptation.examples import IGNORED, Example, batches, mask_labels
from course_utils.adaptation.frozen_layers import reader_of
from course_utils.errors import CourseError


@dataclass(frozen=True)
class TrainingSettings:
    """What decides a training run, its seed included.

    learning_rate: the highest; it rises over the first tenth of the steps and falls as a cosine.
    clip: largest norm of the gradient.
    """

    epochs: int = 3
    learning_rate: float = 1e-3
    batch_size: int = 4
    clip: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 1:
            raise ValueError(
                f"epochs={self.epochs} and batch_size={self.batch_size}: both must be at least 1."
            )
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate={self.learning_rate}: give a number above 0.")


@dataclass(frozen=True)
class Step:
    """What one step of training left behind: loss in nats a token, seconds since the start.

    validation: the loss on the validation examples, measured after the last step of an epoch.
    """

    step: int
    epoch: int
    loss: float
    learning_rate: float
    tokens: int
    seconds: float
    validation: float | None = None


@dataclass
class TrainingRun:
    """The course of a run: its steps, and the seconds spent on the frozen layers before them."""

    settings: TrainingSettings
    steps: list[Step] = field(default_factory=list)
    frozen_seconds: float = 0.0

    @property
    def seconds(self) -> float:
        """Seconds of the whole run, without those of measuring the validation loss."""
        return self.frozen_seconds + (self.steps[-1].seconds if self.steps else 0.0)

    @property
    def tokens_per_second(self) -> float:
        """Tokens of prompts and answers read a second, every epoch counted."""
        return sum(step.tokens for step in self.steps) / self.seconds

    @property
    def validation_losses(self) -> list[float]:
        """The validation loss after each epoch."""
        return [step.validation for step in self.steps if step.validation is not None]


class Reader(Protocol):
    """Where the logits come from: `SplitDecoder`, `WholeModel` or `SoftPrompt`."""

    def prepare(self, examples: Sequence[Example]) -> list[Tensor]: ...
    def logits(self, states: Sequence[Tensor], labelled: Tensor) -> Tensor: ...


def answer_loss(reader: Reader, examples: Sequence[Example], states: Sequence[Tensor]) -> Tensor:
    """Return the mean cross-entropy of the answers' tokens, in nats."""
    targets = mask_labels(examples)[:, 1:].to(states[0].device)  # a place predicts what follows it
    labelled = nn.functional.pad(targets != IGNORED, (0, 1))
    return nn.functional.cross_entropy(reader.logits(states, labelled), targets[targets != IGNORED])


def fine_tune(
    model: nn.Module,
    train: Sequence[Example],
    settings: TrainingSettings | None = None,
    *,
    validation: Sequence[Example] = (),
    watch: Callable[[Step], None] | None = None,
    checkpoint: Path | None = None,
    reader: Reader | None = None,
) -> TrainingRun:
    """Train the parameters that require a gradient to predict the answers; frozen layers run once.

    watch: called after every step, such as a `LiveCurve` or a `Tracker`.
    checkpoint: a file that is written after each epoch; if it is there, training goes on from it.
    reader: another source of logits; by default the cheapest for this model.
    Raises ValueError for an empty split or nothing to train, CourseError when the loss is not a
    number any more, memory runs out, or the checkpoint belongs to another run.
    """
    settings = settings or TrainingSettings()
    if not train:
        raise ValueError("There is nothing to learn from: the training split is empty.")
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    if not weights:
        raise ValueError("No weight requires a gradient: add LoRA, or unfreeze some weights.")
    torch.manual_seed(settings.seed)
    optimizer = torch.optim.AdamW(weights, lr=settings.learning_rate, weight_decay=0.0)
    per_epoch = math.ceil(len(train) / settings.batch_size)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: _warm_up_and_cool_down(step, settings.epochs * per_epoch)
    )
    run = TrainingRun(settings)
    kept = Checkpoint(checkpoint, model, asdict(settings), train) if checkpoint else None
    done = kept.resume(optimizer, schedule, run.steps) if kept else 0
    if done == settings.epochs:
        return run
    reader = reader or reader_of(model)
    began = time.perf_counter()
    with _clear_memory_error(settings):
        states, held_out = reader.prepare(train), reader.prepare(validation)
        run.frozen_seconds = time.perf_counter() - began
        lengths = [len(example) for example in train]
        model.train()
        spent = run.steps[-1].seconds if run.steps else 0.0
        for epoch in range(done, settings.epochs):
            order = list(batches(lengths, settings.batch_size, seed=settings.seed + 7919 * epoch))
            for number, rows in enumerate(order):
                began = time.perf_counter()
                loss = answer_loss(reader, [train[i] for i in rows], [states[i] for i in rows])
                if not math.isfinite(loss.item()):
                    raise CourseError(_not_a_number(len(run.steps) + 1, epoch, settings, kept))
                loss.backward()
                nn.utils.clip_grad_norm_(weights, settings.clip)
                rate = schedule.get_last_lr()[0]
                optimizer.step()
                schedule.step()
                optimizer.zero_grad()
                spent += time.perf_counter() - began
                last = number == len(order) - 1
                step = Step(
                    step=len(run.steps) + 1,
                    epoch=epoch + 1,
                    loss=loss.item(),
                    learning_rate=rate,
                    tokens=sum(lengths[row] for row in rows),
                    seconds=spent,
                    validation=_mean_loss(model, reader, validation, held_out) if last else None,
                )
                run.steps.append(step)
                if watch:
                    watch(step)
            if kept:
                kept.write(optimizer, schedule, run.steps)
    model.eval()
    return run


def held_out_loss(model: nn.Module, examples: Sequence[Example]) -> float:
    """Return the mean loss on the answers of examples that are not trained on, in nats a token."""
    reader = reader_of(model)
    was_training = model.training
    loss = _mean_loss(model, reader, examples, reader.prepare(examples))
    model.train(was_training)
    if loss is None:
        raise ValueError("There is nothing to measure: give some examples.")
    return loss


@torch.no_grad()
def _mean_loss(
    model: nn.Module, reader: Reader, examples: Sequence[Example], states: Sequence[Tensor]
) -> float | None:
    if not examples:
        return None
    model.eval()
    total = 0.0
    for start in range(0, len(examples), 8):
        part = examples[start : start + 8]
        loss = answer_loss(reader, part, states[start : start + 8])
        total += loss.item() * sum(len(example.answer) for example in part)
    model.train()
    return total / sum(len(example.answer) for example in examples)


def _warm_up_and_cool_down(step: int, steps: int) -> float:
    """Return the share of the learning rate at a step: a tenth of linear rise, then a cosine."""
    rise = max(1, steps // 10)
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))


def _not_a_number(
    step: int, epoch: int, settings: TrainingSettings, kept: Checkpoint | None
) -> str:
    back = f" The last good state is in {kept.file}." if kept and kept.file.exists() else ""
    return (
        f"The loss is not a number any more at step {step} (epoch {epoch + 1}). The weights of the "
        f"step before are in the model.{back} Lower learning_rate={settings.learning_rate:g} or "
        f"clip={settings.clip:g}, or look for a broken example."
    )


@contextlib.contextmanager
def _clear_memory_error(settings: TrainingSettings) -> Iterator[None]:
    """Turn the devices' ways of saying "out of memory" into one sentence with the remedy."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:  # torch.OutOfMemoryError is a RuntimeError
        said = str(error).lower()
        if not isinstance(error, MemoryError) and not re.search("out of memory|can't alloc", said):
            raise
        raise CourseError(
            f"Memory ran out with batch_size={settings.batch_size}: halve it, adapt fewer layers, "
            "or close other notebooks. What the last checkpoint holds is not lost."
        ) from error
