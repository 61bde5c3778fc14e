"""Compare every strategy of `course_utils.decoding` with transformers on random cases.

Run `python tests/benchmarks/decoding_equivalence.py --cases 2000`. One case is one row of logits,
or one prompt for the strategies that make whole completions. A case counts as equal when logits
agree bit for bit, or when token ids are the same. transformers has no frequency and presence
penalty: those are compared with a loop over the formula that the OpenAI API documents.
"""

import argparse
import math
import random
import sys
import time
from collections.abc import Callable, Iterator
from functools import cache

import torch
from transformers import (
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
    TypicalLogitsWarper,
)
from transformers.generation.stopping_criteria import StopStringCriteria
from transformers.generation.utils import _speculative_sampling

from course_utils import decoding

ROWS_AT_ONCE = 20
END, PAD, VOCABULARY = 1, 0, 24


def awkward_logits(rows: int, vocabulary: int, generator: torch.Generator) -> torch.Tensor:
    """Draw logits of shape (rows, vocabulary), a fifth of them of each awkward kind.

    Plain, tied (small integers), with tokens ruled out (minus infinity), one peak that takes all
    the probability, and all equal.
    """
    logits = torch.randn(rows, vocabulary, generator=generator) * 4
    kind = torch.arange(rows) % 5
    logits[kind == 1] = (logits[kind == 1] / 3).round()
    ruled_out = torch.rand(rows, vocabulary, generator=generator) < 0.5
    ruled_out[:, 0] = False
    logits[(kind == 2)[:, None] & ruled_out] = -math.inf
    logits[kind == 3, -1] = 200.0
    logits[kind == 4] = 0.5
    return logits


def batches(cases: int, seed: int) -> Iterator[tuple[torch.Tensor, random.Random]]:
    """Yield logits until `cases` rows are drawn, with a random number generator for settings."""
    draw, generator = random.Random(seed), torch.Generator().manual_seed(seed)
    while cases > 0:
        vocabulary = draw.choice([1, 2, 5, 17, 50, 333])
        yield awkward_logits(min(cases, ROWS_AT_ONCE), vocabulary, generator), draw
        cases -= ROWS_AT_ONCE


def equal_rows(ours: torch.Tensor, theirs: torch.Tensor) -> int:
    """Count the rows that agree in every bit; NaN equals NaN."""
    same = (ours == theirs) | (ours.isnan() & theirs.isnan())
    return int(same.all(dim=-1).sum())


def temperature(cases: int, seed: int) -> int:
    equal = 0
    for logits, draw in batches(cases, seed):
        value = draw.choice([1e-4, 0.5, 1.0, 2.0, 50.0, draw.uniform(0.05, 3)])
        theirs = TemperatureLogitsWarper(value)(None, logits)
        equal += equal_rows(decoding.scale_temperature(logits, value), theirs)
    return equal


def top_k(cases: int, seed: int) -> int:
    equal = 0
    for logits, draw in batches(cases, seed):
        value = draw.choice([1, 2, logits.shape[-1], logits.shape[-1] + 7, draw.randint(1, 60)])
        theirs = TopKLogitsWarper(value)(None, logits)
        equal += equal_rows(decoding.keep_top_k(logits, value), theirs)
    return equal


def top_p(cases: int, seed: int) -> int:
    equal = 0
    for logits, draw in batches(cases, seed):
        value = draw.choice([1.0, 0.999999, 1e-6, 0.5, draw.uniform(0.01, 1)])
        theirs = TopPLogitsWarper(value)(None, logits)
        equal += equal_rows(decoding.keep_top_p(logits, value), theirs)
    return equal


def min_p(cases: int, seed: int) -> int:
    equal = 0
    for logits, draw in batches(cases, seed):
        value = draw.choice([0.0, 1.0, 0.05, draw.random()])
        theirs = MinPLogitsWarper(value)(None, logits)
        equal += equal_rows(decoding.keep_min_p(logits, value), theirs)
    return equal


def typical(cases: int, seed: int) -> int:
    equal = 0
    for logits, draw in batches(cases, seed):
        value = draw.choice([0.999999, 1e-6, 0.2, draw.uniform(0.01, 0.99)])
        theirs = TypicalLogitsWarper(value)(None, logits)
        equal += equal_rows(decoding.keep_typical(logits, value), theirs)
    return equal


def _used_tokens(logits: torch.Tensor, draw: random.Random) -> tuple[torch.Tensor, torch.Tensor]:
    """Return random token ids (rows, length) and their counts."""
    rows, vocabulary = logits.shape
    used = [[draw.randrange(vocabulary) for _ in range(9)] for _ in range(rows)]
    token_ids = torch.tensor(used)
    return token_ids, decoding.token_counts(token_ids, vocabulary)


def repetition(cases: int, seed: int) -> int:
    equal = 0
    for logits, draw in batches(cases, seed):
        value = draw.choice([1.0, 1.2, 5.0, 0.5, draw.uniform(0.1, 3)])
        token_ids, counts = _used_tokens(logits, draw)
        theirs = RepetitionPenaltyLogitsProcessor(value)(token_ids, logits)
        equal += equal_rows(decoding.repetition_penalty(logits, counts, value), theirs)
    return equal


def frequency(cases: int, seed: int) -> int:
    return _against_formula(cases, seed, decoding.frequency_penalty, lambda times: times)


def presence(cases: int, seed: int) -> int:
    return _against_formula(cases, seed, decoding.presence_penalty, lambda times: min(times, 1))


def _against_formula(cases: int, seed: int, ours: Callable, weight: Callable[[int], int]) -> int:
    equal = 0
    for logits, draw in batches(cases, seed):
        value = draw.choice([0.0, 0.5, 2.0, -1.0])
        token_ids, counts = _used_tokens(logits, draw)
        theirs = logits.clone()
        for row, used in enumerate(token_ids.tolist()):
            for token in set(used):
                theirs[row, token] -= value * weight(used.count(token))
        equal += equal_rows(ours(logits, counts, value), theirs)
    return equal


@cache
def tiny_model(seed: int) -> LlamaForCausalLM:
    """A random two-layer Llama whose distributions are neither flat nor certain."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        initializer_range=0.35,
        eos_token_id=END,
        pad_token_id=PAD,
        bos_token_id=2,
    )
    model = LlamaForCausalLM(config).eval()
    model.generation_config.pad_token_id = PAD
    return model


def prompts(cases: int, seed: int) -> Iterator[tuple[torch.Tensor, torch.Tensor, random.Random]]:
    """Yield batches of left-padded prompts with their masks."""
    draw = random.Random(seed)
    while cases > 0:
        rows, length = min(cases, ROWS_AT_ONCE), draw.randint(1, 6)
        ids = torch.tensor(
            [[draw.randrange(2, VOCABULARY) for _ in range(length)] for _ in range(rows)]
        )
        padding = torch.tensor([draw.randint(0, length - 1) for _ in range(rows)])
        mask = (torch.arange(length) >= padding[:, None]).long()
        yield ids.where(mask == 1, PAD), mask, draw
        cases -= rows


def _equal_completions(config: GenerationConfig, ids: torch.Tensor, mask: torch.Tensor) -> int:
    model = tiny_model(ids.shape[1])
    torch.manual_seed(0)
    theirs = model.generate(ids, attention_mask=mask, generation_config=config)[:, ids.shape[1] :]
    torch.manual_seed(0)
    ours = decoding.generate(model, ids, config, attention_mask=mask).token_ids
    return equal_rows(ours, theirs) if ours.shape == theirs.shape else 0


def greedy(cases: int, seed: int) -> int:
    equal = 0
    for ids, mask, draw in prompts(cases, seed):
        config = GenerationConfig(
            max_new_tokens=draw.randint(1, 8),
            repetition_penalty=draw.choice([1.0, 1.3]),
            eos_token_id=draw.choice([END, [END, 5, 9]]),
        )
        equal += _equal_completions(config, ids, mask)
    return equal


def ancestral(cases: int, seed: int) -> int:
    equal = 0
    for ids, mask, draw in prompts(cases, seed):
        config = GenerationConfig(
            do_sample=True,
            max_new_tokens=draw.randint(1, 8),
            temperature=draw.choice([0.5, 1.0, 2.0]),
            top_k=draw.choice([None, 0, 5, 99]),
            top_p=draw.choice([None, 0.5, 0.9, 1.0]),
            min_p=draw.choice([None, 0.1]),
            typical_p=draw.choice([None, 0.8]),
            repetition_penalty=draw.choice([None, 1.3]),
        )
        equal += _equal_completions(config, ids, mask)
    return equal


def beams(cases: int, seed: int) -> int:
    equal = 0
    for ids, _, draw in prompts(cases, seed):
        model = tiny_model(ids.shape[1])
        width = draw.randint(2, 4)
        config = GenerationConfig(
            num_beams=width,
            num_return_sequences=width,
            max_new_tokens=draw.randint(1, 6),
            length_penalty=draw.choice([0.0, 1.0, 2.0, -1.0]),
            early_stopping=draw.choice([True, False, "never"]),
            eos_token_id=draw.choice([END, [END, 5, 9]]),
        )
        mask = torch.ones_like(ids)
        theirs = model.generate(ids, attention_mask=mask, generation_config=config)
        theirs = theirs[:, ids.shape[1] :].reshape(len(ids), width, -1).tolist()
        ends = torch.tensor(config.eos_token_id).reshape(-1).tolist()
        for prompt, expected in zip(ids, theirs, strict=True):
            found = decoding.beam_search(model, prompt, config)
            equal += [beam.token_ids for beam in found] == [
                until_end(row, ends) for row in expected
            ]
    return equal


def until_end(token_ids: list[int], end_ids: list[int]) -> list[int]:
    """Cut off the padding that follows the first end token."""
    ends = [place for place, token in enumerate(token_ids) if token in end_ids]
    return token_ids[: ends[0] + 1] if ends else token_ids


def speculative_sampling(cases: int, seed: int) -> int:
    draw, generator, equal = random.Random(seed), torch.Generator().manual_seed(seed), 0
    for case in range(cases):
        length, vocabulary = draw.randint(1, 5), draw.choice([2, 5, 50])
        draft = torch.randn(length, vocabulary, generator=generator)
        target = torch.randn(length + 1, vocabulary, generator=generator)
        target[:length] = target[:length] * draw.random() + draft
        token_ids = decoding.sample(draft, generator)
        torch.manual_seed(case)
        theirs, _ = _speculative_sampling(token_ids[None], draft[None], length, target[None])
        torch.manual_seed(case)
        equal += torch.equal(decoding.verify_draft(token_ids, draft, target), theirs[0])
    return equal


def speculative_greedy(cases: int, seed: int) -> int:
    equal = 0
    for ids, _, draw in prompts(cases, seed):
        config = GenerationConfig(max_new_tokens=draw.randint(1, 6))
        target, draft = tiny_model(ids.shape[1]), tiny_model(ids.shape[1] + draw.choice([0, 1]))
        mask = torch.ones_like(ids)
        theirs = target.generate(ids, attention_mask=mask, generation_config=config)
        for prompt, expected in zip(ids, theirs[:, ids.shape[1] :].tolist(), strict=True):
            ours = decoding.speculative_generate(target, draft, prompt, config, draft_length=3)
            equal += ours.token_ids.tolist() == until_end(expected, [END])
    return equal


@cache
def letter_tokenizer():
    """A tokenizer whose vocabulary is short pieces of text, so that stop strings straddle tokens."""
    from itertools import product

    from tokenizers import Tokenizer, decoders, models
    from transformers import PreTrainedTokenizerFast

    pieces = list("def") + ["".join(text) for n in (1, 2, 3) for text in product("abc.", repeat=n)]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges=[]))
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer)


def stop_strings(cases: int, seed: int) -> int:
    draw, equal, tokenizer = random.Random(seed), 0, letter_tokenizer()
    for _ in range(math.ceil(cases / ROWS_AT_ONCE)):
        stops = [
            "".join(draw.choices("abc.", k=draw.randint(1, 4))) for _ in range(draw.randint(1, 3))
        ]
        rows = min(cases, ROWS_AT_ONCE)
        cases -= rows
        ids = [[draw.randrange(len(tokenizer)) for _ in range(5)] for _ in range(rows)]
        theirs = StopStringCriteria(tokenizer, stops)(torch.tensor(ids), None).tolist()
        ours = [decoding.ends_in_stop_string(row, stops, tokenizer) for row in ids]
        equal += sum(a == b for a, b in zip(ours, theirs, strict=True))
    return equal


STRATEGIES = {
    "temperature": temperature,
    "top-k": top_k,
    "top-p": top_p,
    "min-p": min_p,
    "typical": typical,
    "repetition penalty": repetition,
    "frequency penalty (formula)": frequency,
    "presence penalty (formula)": presence,
    "greedy": greedy,
    "ancestral sampling": ancestral,
    "beam search": beams,
    "speculative sampling": speculative_sampling,
    "speculative greedy": speculative_greedy,
    "stop strings": stop_strings,
}


def main() -> int:
    """Print a line for each strategy; exit with 1 if any case differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=2000, help="random cases for each strategy")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    all_equal = True
    print(f"{'strategy':30} {'equal':>7} {'cases':>7} {'seconds':>8}")
    for name, count_equal in STRATEGIES.items():
        began = time.perf_counter()
        equal = count_equal(options.cases, options.seed)
        seconds = time.perf_counter() - began
        print(f"{name:30} {equal:7} {options.cases:7} {seconds:8.1f}", flush=True)
        all_equal = all_equal and equal == options.cases
    return 0 if all_equal else 1


if __name__ == "__main__":
    sys.exit(main())
