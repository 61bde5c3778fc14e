"""Complete, stream, score and look inside: causal and sequence-to-sequence models alike."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from course_utils.language_model.completion import Completion, NextTokens, Score
from course_utils.language_model.completion_cache import CompletionCache
from course_utils.language_model.generation import TOKENS_PER_BATCH, complete_in_batches
from course_utils.language_model.prompt_tokens import (
    Prompt,
    batches_by_length,
    pad_left,
    tokenize,
)
from course_utils.language_model.scoring import target_logits
from course_utils.language_model.streaming import stream_row
from course_utils.progress import progress_bar


class LanguageModel:
    """A `transformers` model and its tokenizer behind one interface.

    Prompts are strings, read as they are, or chats, put through the model's chat template.
    """

    def __init__(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, name: str = "model"
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.name = name
        self._disk = CompletionCache(model)
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token

    def __repr__(self) -> str:
        millions = self.model.num_parameters() / 1e6
        kind = "encoder-decoder" if self.is_encoder_decoder else "decoder-only"
        return (
            f"LanguageModel({self.name}: {kind}, {millions:.0f} million parameters, "
            f"{str(self.model.dtype).removeprefix('torch.')} on {self.model.device})"
        )

    @property
    def is_encoder_decoder(self) -> bool:
        """Whether an encoder reads the prompt and a decoder writes the completion."""
        return self.model.config.is_encoder_decoder

    @property
    def context_window(self) -> int | None:
        """The most tokens that prompt and completion may have together; None if unlimited.

        T5's relative positions set no limit, whatever its tokenizer's model_max_length says.
        """
        return getattr(self.model.config, "max_position_embeddings", None)

    def count_tokens(self, prompt: Prompt) -> int:
        """Return the length of the prompt as the model reads it, in tokens."""
        return len(self._tokenize([prompt], room=None)[0])

    def complete(
        self,
        prompts: Sequence[Prompt],
        config: GenerationConfig | None = None,
        *,
        seed: int = 0,
        log_probabilities: bool = False,
        cache: bool = True,
        tokens_per_batch: int | None = None,
    ) -> list[Completion]:
        """Complete each prompt; the answers come in the order of the prompts.

        config: max_new_tokens (50 if unset), do_sample, temperature, ... of `transformers`.
        seed: of sampling; the caller's random state is left as it was.
        log_probabilities: also return each token's, in nats, before any filter.
        cache: read and keep deterministic completions on disk.
        tokens_per_batch: bound on rows x tokens computed at once; less needs less memory.
        Raises CourseError for an empty prompt or one over the context window, ValueError for a
        configuration that contradicts itself.
        """
        config = self._settle(config)
        rows = self._tokenize(
            prompts,
            room=None if self.is_encoder_decoder else self.context_window,
            new_tokens=config.max_new_tokens,
        )
        done: dict[int, Completion] = {}
        keys: dict[int, str] = {}
        if cache and not config.do_sample:
            settings = {**config.to_diff_dict(), "log_probabilities": log_probabilities}
            keys = {number: self._disk.key(row, settings) for number, row in enumerate(rows)}
            kept = {number: self._disk.read(key) for number, key in keys.items()}
            done = {number: completion for number, completion in kept.items() if completion}
        todo = [number for number in range(len(rows)) if number not in done]
        with (
            torch.random.fork_rng(),
            progress_bar(total=len(todo), description="Completing") as bar,
        ):
            torch.manual_seed(seed)
            for batch, completions in complete_in_batches(
                self.model,
                self.tokenizer,
                [rows[number] for number in todo],
                config,
                log_probabilities,
                tokens_per_batch,
            ):
                for place, completion in zip(batch, completions, strict=True):
                    number = todo[place]
                    done[number] = completion
                    if number in keys:
                        self._disk.write(keys[number], completion)
                bar.update(len(batch))
        return [done[number] for number in range(len(rows))]

    def stream(
        self, prompt: Prompt, config: GenerationConfig | None = None, *, seed: int = 0
    ) -> Iterator[str]:
        """Yield the completion of one prompt piece by piece, as it is computed.

        Closing the iterator stops the computation at the next token. Raises as `complete` does.
        """
        config = self._settle(config)
        room = None if self.is_encoder_decoder else self.context_window
        row = self._tokenize([prompt], room=room, new_tokens=config.max_new_tokens)[0]
        return stream_row(self.model, self.tokenizer, row, config, seed)

    @torch.inference_mode()
    def next_token_distribution(self, prompt: Prompt) -> NextTokens:
        """Return the distribution over the token that follows the prompt."""
        inputs = self._inputs(prompt)
        if self.is_encoder_decoder:
            start = self.model.config.decoder_start_token_id
            inputs["decoder_input_ids"] = torch.tensor([[start]], device=self.model.device)
        logits = self.model(**inputs).logits[0, -1]
        return NextTokens(logits.float().cpu(), self.tokenizer)

    @torch.inference_mode()
    def attention(self, prompt: Prompt) -> Tensor:
        """Return the attention weights on the prompt: (layers, heads, queries, keys).

        Of an encoder-decoder, its encoder's.
        """
        used = self.model.config._attn_implementation
        self.model.set_attn_implementation("eager")  # the fast kernels never form the weights
        try:
            output = self._read(prompt, output_attentions=True)
        finally:
            self.model.set_attn_implementation(used)
        return torch.cat(output.attentions).float().cpu()

    @torch.inference_mode()
    def hidden_states(self, prompt: Prompt) -> Tensor:
        """Return the residual stream: (layers + 1, tokens, width), embeddings first."""
        return torch.cat(self._read(prompt, output_hidden_states=True).hidden_states).float().cpu()

    def token_texts(self, prompt: Prompt) -> list[str]:
        """Return the prompt's tokens as text, one per position of `attention`."""
        return [self.tokenizer.decode([token]) for token in self._tokenize([prompt])[0]]

    @torch.inference_mode()
    def score(
        self,
        prompts: Sequence[Prompt],
        completions: Sequence[str],
        *,
        tokens_per_batch: int | None = None,
    ) -> list[Score]:
        """Return how probable the model finds each completion of its prompt.

        The completion is tokenized by itself and set behind the prompt, so begin it with the
        space that separates it from the prompt.
        Raises CourseError for an empty prompt or completion, or a pair over the context window.
        """
        rows = self._tokenize(prompts, room=None)
        targets = [self.tokenizer(text, add_special_tokens=False).input_ids for text in completions]
        for number, (row, target) in enumerate(zip(rows, targets, strict=True)):
            if not target:
                raise ValueError(f"Completion {number} is empty: there is nothing to score.")
            if self.context_window and len(row) + len(target) > self.context_window:
                raise ValueError(
                    f"Prompt {number} and its completion have {len(row) + len(target):,} tokens, "
                    f"more than the context window of {self.context_window:,}: shorten the prompt."
                )
        scores: dict[int, Score] = {}
        lengths = [len(row) + len(target) for row, target in zip(rows, targets, strict=True)]
        bound = tokens_per_batch or TOKENS_PER_BATCH[self.model.device.type]
        with progress_bar(total=len(rows), description="Scoring") as bar:
            for batch in batches_by_length(lengths, bound):
                logits = target_logits(
                    self.model,
                    self.tokenizer.pad_token_id,
                    [rows[number] for number in batch],
                    [targets[number] for number in batch],
                )
                for number, row_logits in zip(batch, logits, strict=True):
                    target = torch.tensor(targets[number], device=row_logits.device)
                    chosen = row_logits.float().log_softmax(-1).gather(-1, target[:, None])
                    scores[number] = Score(chosen[:, 0].tolist())
                bar.update(len(batch))
        return [scores[number] for number in range(len(rows))]

    def _tokenize(
        self, prompts: Sequence[Prompt], *, room: int | None = None, new_tokens: int = 0
    ) -> list[list[int]]:
        return tokenize(prompts, self.tokenizer, room=room, new_tokens=new_tokens)

    def _settle(self, config: GenerationConfig | None) -> GenerationConfig:
        """Return a complete copy of the configuration, checked."""
        from course_utils.decoding.validation import SAMPLING_ONLY, validate

        config = copy.deepcopy(config) if config is not None else GenerationConfig()
        for problem in validate(config):
            ignored = problem.setting in SAMPLING_ONLY and not config.do_sample
            if problem.severity == "error" or ignored:
                raise ValueError(problem.message)
        own = self.model.generation_config
        for name in ("eos_token_id", "pad_token_id", "bos_token_id", "decoder_start_token_id"):
            if getattr(config, name) is None:
                setattr(config, name, getattr(own, name))
        if config.pad_token_id is None:
            config.pad_token_id = self.tokenizer.pad_token_id
        config.do_sample = bool(config.do_sample)
        config.num_beams = config.num_beams or 1
        config.max_new_tokens = 50 if config.max_new_tokens is None else config.max_new_tokens
        if (config.num_return_sequences or 1) > 1:
            raise ValueError("num_return_sequences > 1: give the prompt that many times instead.")
        return config

    def _inputs(self, prompt: Prompt) -> dict[str, Tensor]:
        row = self._tokenize([prompt], room=self.context_window)[0]
        padded = pad_left([row], 0, device=self.model.device)
        return {"input_ids": padded.ids, "attention_mask": padded.mask}

    def _read(self, prompt: Prompt, **wanted: bool):
        """Run the prompt through the model, or through an encoder-decoder's encoder."""
        reader = self.model.get_encoder() if self.is_encoder_decoder else self.model
        return reader(**self._inputs(prompt), **wanted)
