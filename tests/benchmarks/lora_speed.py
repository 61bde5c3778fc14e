"""Train the summarizer by the plain loop and by the course's, and compare seconds and ROUGE.

    python tests/benchmarks/lora_speed.py

The plain loop is what most tutorials do: float32,
`peft` LoRA of rank 8 on the query and value projections of every layer, whole batches through
`model(input_ids, labels=...)`. Both loops read the same 140 dialogues in batches of four for the
same number of epochs. Prints seconds (of the clock and of the processor, as another program may share
the machine), tokens a second, the ratios, and ROUGE on the course's test
split (and on DialogSum's first 200 with --dialogsum), with intervals and the paired difference.
"""

from __future__ import annotations

import argparse
import time

import torch
from peft import LoraConfig, get_peft_model
from transformers import get_cosine_schedule_with_warmup

from course_utils.adaptation.examples import Example, mask_labels, tokenize_examples
from course_utils.adaptation.lora import merge_lora
from course_utils.adaptation.measurement import answer_scores
from course_utils.adaptation.recipe import LoraRecipe, train_adapter
from course_utils.adaptation.tasks import TASKS
from course_utils.adaptation.training import TrainingSettings
from course_utils.adapter_files import quiet_peft
from course_utils.comparison import bootstrap_interval, paired_difference
from course_utils.dialogues import load_dialogues
from course_utils.language_model import LanguageModel
from course_utils.model_catalogue import DEFAULT_MODEL
from course_utils.model_store import load_transformers_model


def plain_loop(rows, training: TrainingSettings):
    """Train as most tutorials do.

    Returns the merged model, seconds by the clock, seconds of processor, tokens read.
    """
    torch.manual_seed(training.seed)
    model, tokenizer = load_transformers_model(DEFAULT_MODEL, dtype="float32")
    examples = tokenize_examples(tokenizer, rows, TASKS["summary"].template)
    config = LoraConfig(r=8, lora_alpha=16, target_modules=["q_proj", "v_proj"])
    with quiet_peft():
        adapted = get_peft_model(model, config)
    weights = [w for w in adapted.parameters() if w.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=training.learning_rate)
    steps = training.epochs * -(-len(examples) // training.batch_size)
    schedule = get_cosine_schedule_with_warmup(optimizer, steps // 10, steps)
    adapted.train()
    began, worked = time.perf_counter(), time.process_time()
    for epoch in range(training.epochs):
        order = torch.randperm(len(examples)).tolist()
        for start in range(0, len(order), training.batch_size):
            batch = [examples[i] for i in order[start : start + training.batch_size]]
            loss = adapted(**padded(batch, tokenizer.pad_token_id)).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(weights, training.clip)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
        print(f"  plain loop, epoch {epoch + 1}: {time.perf_counter() - began:.0f} s", flush=True)
    seconds, work = time.perf_counter() - began, time.process_time() - worked
    tokens = training.epochs * sum(map(len, examples))
    return LanguageModel(adapted.merge_and_unload().eval(), tokenizer), seconds, work, tokens


def the_courses_loop(rows, training: TrainingSettings):
    """Train by the recipe of `course adapt`. Returns as `plain_loop` does."""
    model, tokenizer = load_transformers_model(DEFAULT_MODEL)
    worked = time.process_time()
    run = train_adapter(model, tokenizer, {"train": rows}, LoraRecipe(training=training))
    work = time.process_time() - worked
    print(f"  the course's loop: {run.seconds:.0f} s, {run.frozen_seconds:.0f} s the frozen layers")
    merge_lora(model.float())
    tokens = sum(step.tokens for step in run.steps)
    return LanguageModel(model, tokenizer), run.seconds, work, tokens


def padded(batch: list[Example], pad: int) -> dict[str, torch.Tensor]:
    """Return ids, mask and labels of a batch, filled up on the right."""
    labels = mask_labels(batch)
    ids, mask = torch.full_like(labels, pad), torch.zeros_like(labels)
    for row, example in enumerate(batch):
        ids[row, : len(example)] = torch.tensor(example.prompt + example.answer)
        mask[row, : len(example)] = 1
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def main() -> None:
    """Train twice and print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rows", type=int, default=140, help="training dialogues")
    parser.add_argument("--test", type=int, default=60, help="test dialogues of each set")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dialogsum", action="store_true", help="measure on DialogSum as well")
    options = parser.parse_args()
    training = TrainingSettings(epochs=options.epochs, seed=options.seed)
    rows = list(load_dialogues("course")["train"])[: options.rows]

    loops = {"the course": the_courses_loop, "plain loop": plain_loop}
    systems, clock, processor = {}, {}, {}
    for name, loop in loops.items():
        systems[name], clock[name], processor[name], tokens = loop(rows, training)
        print(
            f"{name:13} {clock[name]:6.0f} s by the clock, {processor[name]:6.0f} s of processor, "
            f"{tokens / clock[name]:6.0f} tokens a second",
            flush=True,
        )
    for name, seconds in {"by the clock": clock, "of processor": processor}.items():
        print(f"ratio {name}: {seconds['plain loop'] / seconds['the course']:.1f}")
    for name in ("course", "dialogsum") if options.dialogsum else ("course",):
        test = list(load_dialogues(name)["test"])[: options.test]
        print(f"{name} test, {len(test)} dialogues, ROUGE-1 in float32:")
        scores = {loop: answer_scores(model, test)["rouge1"] for loop, model in systems.items()}
        for loop, found in scores.items():
            print(f"  {loop:13} {bootstrap_interval(found)}")
        print(f"  difference    {paired_difference(*scores.values())}")


if __name__ == "__main__":
    main()
