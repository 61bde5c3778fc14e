"""Pairs scored by a model, and the model tuned on them: against the plain way and against trl."""

import copy
import math
import warnings

import pytest
import torch
from transformers import AutoTokenizer, LlamaForCausalLM

from course_utils.alignment import (
    PairScorer,
    PreferencePair,
    TokenizedPair,
    add_top_lora,
    dpo_loss,
    tokenize_pair,
    train_dpo,
)
from course_utils.prompts import PromptTemplate

PLAIN = PromptTemplate("", "", "")
PAIRS = [
    PreferencePair("the cat sat on the mat", "the dog ran", "it rained all day long", "x"),
    PreferencePair("a dog ran to the house", "the dog ran to a mat and", "it sat", "x"),
    PreferencePair("while it rained all day", "it rained", "the cat sat on the house", "x"),
]


@pytest.fixture
def tokenizer(tiny_causal_folder):
    return AutoTokenizer.from_pretrained(tiny_causal_folder)


@pytest.fixture
def model(tiny_causal_folder):
    torch.manual_seed(1)
    model = LlamaForCausalLM.from_pretrained(tiny_causal_folder).eval()
    for weight in model.parameters():  # far from uniform, so that values differ
        weight.data.normal_(std=0.3)
    return model


@pytest.fixture
def tokens(tokenizer):
    return [tokenize_pair(tokenizer, pair, PLAIN) for pair in PAIRS]


def plain_log_probability(model, prompt, answer):
    logits = model(torch.tensor([prompt + answer])).logits[0, len(prompt) - 1 : -1]
    return logits.log_softmax(-1).gather(-1, torch.tensor(answer)[:, None]).sum()


def test_a_pair_is_the_prompt_and_two_answers_that_end_their_turn(tokenizer, tokens):
    pair = tokens[0]
    assert tokenizer.decode(pair.prompt) == "the cat sat on the mat"
    assert tokenizer.decode(pair.chosen) == "the dog ran </s>"
    assert pair.rejected[-1] == tokenizer.eos_token_id


@pytest.mark.parametrize("trained_layers", [0, 1, 2])
def test_one_packed_row_gives_the_log_probabilities_of_two_plain_ones(
    model, tokens, trained_layers
):
    plain = [
        [
            plain_log_probability(model, pair.prompt, answer)
            for answer in (pair.chosen, pair.rejected)
        ]
        for pair in tokens
    ]
    plain = torch.tensor([[value.item() for value in row] for row in plain])
    model.requires_grad_(False)
    policy = add_top_lora(model, trained_layers) if trained_layers else model
    scorer = PairScorer(policy)
    prepared = [scorer.prepare(pair) for pair in tokens]
    packed = torch.stack([scorer.log_probabilities(pair) for pair in prepared])
    torch.testing.assert_close(packed.detach(), plain, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(
        torch.stack([p.reference for p in prepared]), plain, atol=1e-4, rtol=1e-4
    )
    assert scorer.frozen_layers == 2 - trained_layers


def test_the_answers_do_not_see_one_another(model, tokens):
    model.requires_grad_(False)
    scorer = PairScorer(model)
    one, other = tokens[0], TokenizedPair(tokens[0].prompt, tokens[1].chosen, tokens[0].rejected)
    first, second = (scorer.log_probabilities(scorer.prepare(pair)) for pair in (one, other))
    torch.testing.assert_close(first[1], second[1], atol=1e-5, rtol=1e-5)
    assert not torch.isclose(first[0], second[0])


def test_gradients_through_the_frozen_layers_output_are_those_of_the_whole_model(model, tokens):
    policy = add_top_lora(model, 1)
    for name, weight in policy.named_parameters():
        if "lora_B" in name:  # away from the start, where A has no gradient
            weight.data.normal_(std=0.1)
    weights = [weight for weight in policy.parameters() if weight.requires_grad]
    scorer = PairScorer(policy)
    packed = scorer.log_probabilities(scorer.prepare(tokens[0]))
    ours = torch.autograd.grad(packed[0] - packed[1], weights)
    base = policy.get_base_model()
    chosen, rejected = (
        plain_log_probability(base, tokens[0].prompt, answer)
        for answer in (tokens[0].chosen, tokens[0].rejected)
    )
    theirs = torch.autograd.grad(chosen - rejected, weights)
    for our, their in zip(ours, theirs, strict=True):
        torch.testing.assert_close(our, their, atol=1e-3, rtol=1e-3)


def test_training_lowers_the_loss_from_ln_2_and_leaves_the_frozen_weights(model, tokens):
    before = copy.deepcopy(model.state_dict())
    policy = add_top_lora(model, 1)
    scorer = PairScorer(policy)
    prepared = [scorer.prepare(pair) for pair in tokens]
    steps = train_dpo(scorer, prepared, epochs=20, pairs_per_step=3, rate=1e-2)
    assert steps[0].loss == pytest.approx(math.log(2), abs=1e-5)
    assert steps[-1].loss < 0.4
    assert steps[-1].margin > 0.5
    with policy.disable_adapter():
        again = [scorer.log_probabilities(pair) for pair in prepared]
    torch.testing.assert_close(torch.stack(again), torch.stack([p.reference for p in prepared]))
    after = {
        name.replace(".base_layer", "").removeprefix("base_model.model."): weight
        for name, weight in policy.state_dict().items()
        if "lora" not in name
    }
    assert after.keys() == before.keys()
    for name, weight in before.items():
        assert torch.equal(weight, after[name]), name


@pytest.mark.parametrize("beta", [0.1, 1.0])
def test_a_training_step_has_the_loss_of_trls_trainer(model, tokenizer, tokens, tmp_path, beta):
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    reference = copy.deepcopy(model)
    for weight in reference.parameters():
        weight.data += 0.05 * torch.randn_like(weight)
    logps = []
    for network in (model, reference):
        scorer = PairScorer(network.requires_grad_(False))
        logps += list(
            torch.stack([scorer.log_probabilities(scorer.prepare(pair)) for pair in tokens]).T
        )
    ours = dpo_loss(*logps, beta=beta)
    rows = Dataset.from_list(
        [{"prompt": p.dialogue, "chosen": " " + p.chosen + " ", "rejected": " " + p.rejected + " "}
         for p in PAIRS]
    )  # fmt: skip
    settings = DPOConfig(
        str(tmp_path), beta=beta, per_device_train_batch_size=3, max_steps=1, use_cpu=True,
        bf16=False, activation_checkpointing=False, report_to="none", save_strategy="no",
        logging_strategy="no", disable_tqdm=True,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        trainer = DPOTrainer(
            model.requires_grad_(True), reference, settings, train_dataset=rows,
            processing_class=tokenizer,
        )  # fmt: skip
        theirs = trainer.train().training_loss
    assert ours.item() == pytest.approx(theirs, abs=1e-4)


def test_a_model_whose_embeddings_are_trained_is_refused(model):
    with pytest.raises(ValueError, match="outside the blocks"):
        PairScorer(model)


def test_another_architecture_is_refused():
    with pytest.raises(ValueError, match=r"model\.layers"):
        PairScorer(torch.nn.Linear(2, 2))


def test_there_must_be_something_to_train(model, tokens):
    scorer = PairScorer(model.requires_grad_(False))
    prepared = [scorer.prepare(tokens[0])]
    with pytest.raises(ValueError, match="adapter"):
        train_dpo(scorer, prepared)
    with pytest.raises(ValueError, match="at least one prepared pair"):
        train_dpo(PairScorer(add_top_lora(model, 1)), [])
    with pytest.raises(ValueError, match="tokens in its prompt"):
        scorer.prepare(TokenizedPair([], [1], [2]))
    with pytest.raises(ValueError, match="give 1 to 2"):
        add_top_lora(model, 3)


def test_a_loss_that_is_not_a_number_stops_the_training_at_once(model, tokens):
    policy = add_top_lora(model, 1)
    scorer = PairScorer(policy)
    prepared = [scorer.prepare(pair) for pair in tokens]
    next(w for w in policy.parameters() if w.requires_grad).data.fill_(math.nan)
    with pytest.raises(ValueError, match="policy_chosen_logp holds a value that is not finite"):
        train_dpo(scorer, prepared)
