"""The thread that owns the model: many requests, one batch, decided anew at every token.

A batch that is formed once runs until its longest row is done, and a newcomer waits for all of
it. Here rows join and leave between two steps of the token loop: iteration-level scheduling, Yu
et al. 2022, "Orca: A Distributed Serving System for Transformer-Based Generative Models",
section 3.1. A prompt is read in pieces, one a step, so that a long one does not hold up the rows
that are generating: Agrawal et al. 2023, "SARATHI", section 3.
"""

from __future__ import annotations

import copy
import logging
import threading
import time
from collections import deque

import torch
from torch import Tensor
from transformers import DynamicCache, GenerationConfig
from transformers.cache_utils import DynamicLayer

from course_utils.decoding.generation import special_tokens
from course_utils.errors import CourseError
from course_utils.language_model import LanguageModel
from course_utils.language_model.prompt_tokens import shared_prefix_length
from course_utils.serving.key_value_slots import KeyValueSlots
from course_utils.serving.limits import Limits
from course_utils.serving.metrics import ServerMetrics
from course_utils.serving.row import Failure, Generation, Row

logger = logging.getLogger(__name__)

# Prompt tokens read between two decoding steps: what the generating rows wait for at most.
PROMPT_TOKENS_PER_STEP = {"cpu": 128, "mps": 1024, "cuda": 4096}
SHORTEST_PREFIX = 8  # tokens; copying fewer is not worth the trouble


class QueueFull(Exception):
    """As many requests wait as may wait. `seconds`: a guess at when there will be room."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"The queue is full for about {seconds} s.")
        self.seconds = seconds


class EngineStopped(Exception):
    """The engine takes nothing on any more."""


class Engine:
    """Generates for many requests at once in a thread of its own.

    Rows that generate fill the cache's slots from 0 on; the one whose prompt is being read has
    the slot behind them. Raises CourseError for a model whose cache it cannot keep in slots.
    """

    def __init__(self, model: LanguageModel, limits: Limits, metrics: ServerMetrics) -> None:
        _check_architecture(model)
        _check_logits(model)
        self._model, self._limits, self._metrics = model.model, limits, metrics
        self._tokenizer = copy.deepcopy(model.tokenizer)  # the event loop's side uses the other
        self._slots = KeyValueSlots(model.model, limits.max_tokens_in_flight)
        self._end_ids = set(special_tokens(model.model, GenerationConfig())[0].tolist())
        self._prompt_tokens_per_step = PROMPT_TOKENS_PER_STEP[model.model.device.type]
        self._rows: list[Row] = []
        self._reading: Row | None = None
        self._waiting: deque[Row] = deque()
        self._changed = threading.Condition()
        metrics.queue_length.set_function(lambda: self.waiting)
        self._stopping = False
        self._row_seconds = 1.0  # a running mean of how long a row takes
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    @property
    def rows(self) -> int:
        """How many requests are being computed."""
        return len(self._rows) + (self._reading is not None)

    @property
    def waiting(self) -> int:
        """How many accepted requests have no row yet."""
        return len(self._waiting)

    def submit(self, generation: Generation) -> None:
        """Accept a request. From here on it gets pieces until a last one, or a failure.

        Raises QueueFull or EngineStopped, ValueError for a request that could never have a row.
        Returns at once; may be called from any thread.
        """
        limits, row = self._limits, Row(generation, self._tokenizer, self._model.device)
        if generation.reserved > limits.max_tokens_in_flight:
            raise ValueError(
                f"{generation.reserved:,} tokens are more than max_tokens_in_flight, "
                f"{limits.max_tokens_in_flight:,}: ask for fewer."
            )
        with self._changed:
            if self._stopping:
                raise EngineStopped
            if self.rows + self.waiting >= limits.max_rows + limits.max_queue:
                rounds = (1 + self.waiting) / limits.max_rows
                raise QueueFull(max(1, round(rounds * self._row_seconds)))
            self._waiting.append(row)
            self._changed.notify()

    def cancel(self, generation: Generation) -> None:
        """Let a request go: out of the queue at once, out of the batch at the next step."""
        with self._changed:
            generation.cancelled = True
            for row in [row for row in self._waiting if row.generation is generation]:
                self._waiting.remove(row)

    def close(self) -> None:
        """Stop after the present step; what is unfinished gets a failure."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        with torch.inference_mode():
            while self._wait_for_work():
                try:
                    self._step()
                except Exception as error:
                    logger.exception("A step of the engine failed; its rows are given up.")
                    self._give_up(Failure(f"The model failed: {type(error).__name__}."))
            with self._changed:
                self._rows += self._waiting
                self._waiting.clear()
            self._give_up(Failure("The server is stopping.", stopping=True))

    def _wait_for_work(self) -> bool:
        with self._changed:
            while not (self._waiting or self.rows or self._stopping):
                self._changed.wait()
            return not self._stopping

    def _step(self) -> None:
        """Let the cancelled go, read some prompt tokens, then one token for every row."""
        for row in [row for row in self._rows if row.generation.cancelled]:
            self._leave(row)
        if self._reading and self._reading.generation.cancelled:
            self._reading = None
        self._read_prompts()
        if self._rows:
            self._metrics.batch_size.observe(len(self._rows))
            last = [[row.tokens[-1]] for row in self._rows]
            logits = self._slots.forward(0, last, [row.read for row in self._rows])
            for row in self._rows:
                row.read += 1
            self._append(list(self._rows), logits)
        if not self.rows:
            self._slots.release()

    def _read_prompts(self) -> None:
        budget = self._prompt_tokens_per_step
        while budget > 0 and (self._reading or self._admit()):
            row = self._reading
            prompt = row.generation.prompt_ids
            piece = prompt[row.read : row.read + budget]
            logits = self._slots.forward(len(self._rows), [piece], [row.read])
            row.read += len(piece)
            budget -= len(piece)
            if row.read == len(prompt):
                self._metrics.prompt_tokens.inc(len(prompt))
                self._rows.append(row)
                self._reading = None
                self._append([row], logits)

    def _admit(self) -> bool:
        """Begin with the first of the queue, if there is a row and memory for it."""
        slot = len(self._rows)
        with self._changed:
            if not self._waiting or slot == self._limits.max_rows:
                return False
            rows = [*self._rows, self._waiting[0]]
            longest = max(row.generation.reserved for row in rows)
            if len(rows) * longest > self._limits.max_tokens_in_flight:
                return False  # and nobody overtakes it: a long request is not put off for ever
            self._reading = row = self._waiting.popleft()
        row.began = time.monotonic()
        self._slots.reserve(slot + 1, longest)
        self._slots.clear(slot)
        self._copy_shared_prefix(row, slot)
        return True

    def _copy_shared_prefix(self, row: Row, slot: int) -> None:
        """Begin with what a row in the batch has computed already: the same first tokens."""
        prompt = row.generation.prompt_ids
        shared = [
            shared_prefix_length([prompt, other.generation.prompt_ids]) for other in self._rows
        ]
        if shared and max(shared) >= SHORTEST_PREFIX:
            row.read = max(shared)
            self._slots.copy(shared.index(row.read), slot, row.read)
            self._metrics.reused_tokens.inc(row.read)

    def _append(self, rows: list[Row], logits: Tensor) -> None:
        """Give each row its next token; logits: (rows, vocabulary)."""
        for row, row_logits in zip(rows, logits, strict=True):
            row.generation.deliver(row.append(row.choose(row_logits), self._end_ids))
        self._metrics.completion_tokens.inc(len(rows))
        for row in rows:
            if row.finished:
                seconds = time.monotonic() - row.began
                self._row_seconds += 0.2 * (seconds - self._row_seconds)
                self._leave(row)

    def _leave(self, row: Row) -> None:
        """Take a row out; the last one moves into its slot."""
        slot, last = self._rows.index(row), len(self._rows) - 1
        self._rows[slot] = self._rows[last]
        del self._rows[last]
        if slot != last:
            self._slots.copy(last, slot)
        if self._reading:
            self._slots.copy(last + 1, last)

    def _give_up(self, failure: Failure) -> None:
        rows = [*self._rows, self._reading] if self._reading else self._rows
        self._rows, self._reading = [], None
        self._slots.release()
        for row in rows:
            row.generation.deliver(failure)


def _check_architecture(model: LanguageModel) -> None:
    layers = [] if model.is_encoder_decoder else DynamicCache(config=model.model.config).layers
    if not layers or not all(type(layer) is DynamicLayer for layer in layers):
        raise CourseError(
            f"{model.name} cannot be served: the engine needs a decoder-only model that attends to "
            "all earlier tokens in every layer (no encoder, no sliding window). Use "
            "LanguageModel.complete for this one."
        )


@torch.inference_mode()
def _check_logits(model: LanguageModel) -> None:
    """Make sure that two rows of different length, in slots, get the logits they get alone."""
    texts, slots = [list(range(8)), list(range(5))], KeyValueSlots(model.model, max_tokens=16)
    try:
        slots.reserve(rows=2, columns=8)
        for slot, ids in enumerate(texts):
            slots.forward(slot, [ids[:-1]], [0])
        together = slots.forward(0, [ids[-1:] for ids in texts], [len(ids) - 1 for ids in texts])
        for ids, logits in zip(texts, together, strict=True):
            alone = model.model(torch.tensor([ids], device=model.model.device)).logits[0, -1]
            if (alone.float() - logits).abs().max() > 0.25 * logits.std():
                raise ValueError("rows of a batch do not get the logits they get alone")
    except Exception as error:
        raise CourseError(
            f"{model.name} cannot be served: its attention does not work on rows that come and go "
            f"({error}). Use LanguageModel.complete for this one."
        ) from error
