"""Compare this package with transformers: `python -m course_utils.transformer.compare`.

Prints, for SmolLM2, MiniLM and random Llama configurations, the largest difference between the
two and how often the largest logit is the same; the exit status is 1 if they disagree.
"""

import argparse
import json
import random
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from course_utils.transformer.weights import (
    decoder_from,
    load_decoder,
    load_encoder,
)

TOLERANCE = 1e-3
TEXT = (
    "Mira: The 8:15 train is late again, so start the meeting without me.\n"
    "Tom: No problem. Shall I move your slides to the end?\n"
    "Mira: Yes please, after the budget. I should arrive by half past nine.\n"
)


@dataclass(frozen=True)
class Agreement:
    """How far two models are apart on the same tokens."""

    model: str
    tokens: int
    largest_difference: float
    """The largest absolute difference between two logits (for MiniLM: between two states)."""
    argmax_agreement: float
    """The share of tokens where both models' largest value is the same one."""

    @property
    def agrees(self) -> bool:
        """Within the tolerance everywhere, and the same argmax at every token."""
        return self.largest_difference <= TOLERANCE and self.argmax_agreement == 1.0


def agreement(model: str, ours: Tensor, theirs: Tensor) -> Agreement:
    """Compare two outputs of shape (batch, length, values)."""
    return Agreement(
        model,
        ours.shape[0] * ours.shape[1],
        float((ours - theirs).abs().max()),
        float((ours.argmax(-1) == theirs.argmax(-1)).float().mean()),
    )


@torch.inference_mode()
def compare_smollm2(folder: str | Path) -> Agreement:
    """Compare the Decoder with transformers on a text, with SmolLM2's weights."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = tokenizer(TEXT, return_tensors="pt").input_ids
    theirs = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    return agreement("SmolLM2-135M", load_decoder(folder)(ids), theirs(ids).logits)


@torch.inference_mode()
def compare_minilm(folder: str | Path) -> Agreement:
    """Compare the Encoder with transformers on padded lines of a text, with MiniLM's weights."""
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    batch = tokenizer(TEXT.splitlines(), padding=True, return_tensors="pt")
    theirs = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()(**batch)
    ours = load_encoder(folder)(batch.input_ids, batch.attention_mask)
    kept = batch.attention_mask.bool()  # what stands at padding means nothing
    return agreement("MiniLM-L6", ours[kept][None], theirs.last_hidden_state[kept][None])


@torch.inference_mode()
def compare_random_llamas(count: int, seed: int = 0) -> Iterator[Agreement]:
    """Compare `count` Llama models of random shapes and weights on random tokens."""
    from transformers import LlamaConfig, LlamaForCausalLM

    draw = random.Random(seed)
    for index in range(count):
        kv_heads, group, head_width = draw.choice([1, 2, 3]), draw.choice([1, 2, 3]), 16
        tied = draw.random() < 0.5
        config = LlamaConfig(
            vocab_size=draw.randint(50, 300),
            hidden_size=kv_heads * group * head_width,
            intermediate_size=draw.choice([64, 96, 160]),
            num_hidden_layers=draw.randint(1, 4),
            num_attention_heads=kv_heads * group,
            num_key_value_heads=kv_heads,
            tie_word_embeddings=tied,
            attention_bias=draw.random() < 0.5,
            mlp_bias=draw.random() < 0.5,
            rope_parameters={"rope_type": "default", "rope_theta": draw.choice([1e4, 1e5, 5e5])},
            rms_norm_eps=draw.choice([1e-6, 1e-5]),
        )
        torch.manual_seed(seed + index)
        theirs = LlamaForCausalLM(config).eval()
        for parameter in theirs.parameters():
            parameter.normal_(std=0.4)  # norms and biases too, so that a mistake in them shows
        ids = torch.randint(config.vocab_size, (draw.randint(1, 3), draw.randint(1, 40)))
        ours = decoder_from(config.to_dict(), theirs.state_dict())
        heads = f"{config.num_attention_heads}/{kv_heads} heads"
        name = f"Llama {index + 1}: {config.num_hidden_layers} layers, {heads}, tied={tied}"
        yield agreement(name, ours(ids), theirs(ids).logits)


def main(arguments: list[str] | None = None) -> int:
    """Print a line per model; return 0 if all agree, else 1."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--random", type=int, default=20, help="how many random configurations")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print one JSON list")
    options = parser.parse_args(arguments)

    from course_utils.model_store import model_folder

    results = [
        compare_smollm2(model_folder("smollm2-135m-instruct")),
        compare_minilm(model_folder("minilm-l6-v2")),
        *compare_random_llamas(options.random, options.seed),
    ]
    if options.json:
        print(json.dumps([asdict(result) for result in results], indent=2))
    else:
        print(f"{'model':44} {'tokens':>6} {'largest difference':>18} {'same argmax':>11}")
        for result in results:
            difference, same = result.largest_difference, result.argmax_agreement
            print(f"{result.model:44} {result.tokens:6} {difference:18.1e} {same:11.1%}")
    return 0 if all(result.agrees for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
