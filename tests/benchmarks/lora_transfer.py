"""Measure whether LoRA on the course's own dialogues transfers to DialogSum.

    DIALOGSUM_DIR=... python tests/benchmarks/lora_transfer.py --epochs 3

Trains the default model on the 140 training dialogues (LoRA of rank 8 on the query and value
projections, loss on the summary alone) and prints ROUGE with 95% intervals on the course's
test split and on the first 60 of DialogSum's test dialogues, before and after. The frozen
weights are float32, or bfloat16 where that is faster; the adapter is always float32.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator

import torch
from peft import LoraConfig, get_peft_model
from transformers import GenerationConfig, get_linear_schedule_with_warmup

from course_utils.baselines import BASELINES, human_ceiling
from course_utils.comparison import bootstrap_interval, paired_difference
from course_utils.dialogues import load_dialogues
from course_utils.errors import CourseError
from course_utils.language_model import LanguageModel
from course_utils.metrics import rouge_per_example
from course_utils.model_store import load_transformers_model
from course_utils.prompts import TEMPLATES
from course_utils.runtime import seed_everything

TEMPLATE = TEMPLATES["summarize"]


def tokenize_example(tokenizer, dialogue: str, summary: str) -> tuple[list[int], list[int]]:
    """Give the prompt's tokens, and the summary's with the end-of-turn token."""
    prompt = tokenizer.apply_chat_template(
        TEMPLATE.chat(dialogue), add_generation_prompt=True, return_dict=False
    )
    return prompt, [*tokenizer.encode(summary), tokenizer.eos_token_id]


def batches(examples, size: int, pad: int, generator) -> Iterator[tuple[torch.Tensor, ...]]:
    """Yield ids, mask and labels, each (rows, longest), padded right; -100 hides a label."""
    order = torch.randperm(len(examples), generator=generator).tolist()
    for start in range(0, len(order), size):
        rows = [examples[i] for i in order[start : start + size]]
        longest = max(len(prompt) + len(answer) for prompt, answer in rows)
        ids = torch.full((len(rows), longest), pad)
        mask = torch.zeros_like(ids)
        labels = torch.full_like(ids, -100)
        for row, (prompt, answer) in enumerate(rows):
            end = len(prompt) + len(answer)
            ids[row, :end] = torch.tensor(prompt + answer)
            mask[row, :end] = 1
            labels[row, len(prompt) : end] = torch.tensor(answer)
        yield ids, mask, labels


def train(model, tokenizer, rows, *, epochs: int, rate: float, size: int, seed: int, dtype: str):
    """Train a LoRA adapter and merge it: returns the plain model, adapted, in eval mode."""
    seed_everything(seed)
    examples = [tokenize_example(tokenizer, r["dialogue"], r["references"][0]) for r in rows]
    adapted = get_peft_model(
        model, LoraConfig(r=8, lora_alpha=16, target_modules=["q_proj", "v_proj"])
    )
    weights = [weight for weight in adapted.parameters() if weight.requires_grad]
    print(f"{sum(w.numel() for w in weights):,} of {adapted.num_parameters():,} weights train")
    optimizer = torch.optim.AdamW(weights, lr=rate)
    steps = epochs * -(-len(examples) // size)
    schedule = get_linear_schedule_with_warmup(optimizer, steps // 10, steps)
    generator = torch.Generator().manual_seed(seed)
    base = adapted.get_base_model().train()
    for epoch in range(epochs):
        started, losses = time.perf_counter(), []
        for ids, mask, labels in batches(examples, size, tokenizer.eos_token_id, generator):
            hidden = base.model(input_ids=ids, attention_mask=mask).last_hidden_state
            counted = labels[:, 1:] != -100  # logits only where there is a label
            logits = base.lm_head(hidden[:, :-1][counted]).float()
            loss = torch.nn.functional.cross_entropy(logits, labels[:, 1:][counted])
            loss.backward()
            torch.nn.utils.clip_grad_norm_(weights, 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            losses.append(loss.item())
        seconds = time.perf_counter() - started
        print(f"epoch {epoch + 1}: loss {sum(losses) / len(losses):.3f} nats, {seconds:.0f} s")
    return adapted.float().merge_and_unload().to(getattr(torch, dtype)).eval()


def scores(model, tokenizer, rows, label: str):
    """Print ROUGE with intervals of greedy summaries; returns the scores per dialogue."""
    prompts = [TEMPLATE.chat(row["dialogue"]) for row in rows]
    config = GenerationConfig(max_new_tokens=60, do_sample=False)
    answers = LanguageModel(model, tokenizer).complete(prompts, config)
    predictions = [answer.text.strip() for answer in answers]
    found = rouge_per_example(predictions, [row["references"] for row in rows])
    show(label, found)
    print(f"    such as: {predictions[0]!r}")
    return found


def show(label: str, found) -> None:
    """Print one line of ROUGE-1, 2 and L."""
    print(f"  {label:14}", "  ".join(str(bootstrap_interval(found[kind])) for kind in found))


def main() -> None:
    """Train, and print the table before and after."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--n", type=int, default=60, help="test dialogues of each set")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--train-on", default="course", help="course or dialogsum")
    options = parser.parse_args()

    course = load_dialogues("course")
    tests = {"course": course["test"]}
    try:
        tests["dialogsum"] = load_dialogues("dialogsum")["test"]
    except CourseError as error:
        print(f"Without DialogSum: {error}")
    tests = {name: list(rows)[: options.n] for name, rows in tests.items()}

    model, tokenizer = load_transformers_model("smollm2-135m-instruct", dtype=options.dtype)
    before = {}
    for name, rows in tests.items():
        print(f"{name}, {len(rows)} dialogues: ROUGE-1, ROUGE-2, ROUGE-L")
        references = [row["references"] for row in rows]
        show("references", human_ceiling(references))
        for label, baseline in BASELINES.items():
            summaries = [baseline(row["dialogue"]) for row in rows]
            show(label, rouge_per_example(summaries, references))
        before[name] = scores(model, tokenizer, rows, "zero-shot")

    rows = list(load_dialogues(options.train_on)["train"])
    print(f"Training on {len(rows)} dialogues of {options.train_on}, {options.epochs} epochs")
    model = train(
        model,
        tokenizer,
        rows,
        epochs=options.epochs,
        rate=options.rate,
        size=options.batch,
        seed=options.seed,
        dtype=options.dtype,
    )
    for name, rows in tests.items():
        print(f"{name}, after")
        after = scores(model, tokenizer, rows, "LoRA")
        gain = {kind: paired_difference(after[kind], before[name][kind]) for kind in after}
        print(f"  {'gain':14}", "  ".join(map(str, gain.values())))


if __name__ == "__main__":
    main()
