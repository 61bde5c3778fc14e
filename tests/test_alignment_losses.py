"""The losses of preference tuning: their values, their symmetries, and trl's."""

import math
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from course_utils.alignment import (
    bradley_terry_loss,
    dpo_loss,
    implicit_rewards,
    optimal_policy,
    pair_accuracy,
    preference_probability,
)

LN2 = math.log(2)
log_probabilities = st.lists(
    st.tuples(*[st.floats(-400, -0.01, allow_subnormal=False)] * 4), min_size=1, max_size=6
)


def columns(rows):
    return torch.tensor(rows, dtype=torch.float64).T


def test_the_loss_of_a_worked_example():
    # Margin: 0.5 x ((-1 - -2) - (-4 - -3)) = 0.5 x (1 + 1) = 1.
    loss = dpo_loss(*columns([(-1.0, -4.0, -2.0, -3.0)]), beta=0.5)
    assert loss.item() == pytest.approx(math.log(1 + math.exp(-1.0)))


@given(log_probabilities, st.floats(0.01, 5))
def test_a_policy_that_is_its_reference_has_loss_ln_2(rows, beta):
    chosen, rejected, _, _ = columns(rows)
    assert dpo_loss(chosen, rejected, chosen, rejected, beta).item() == pytest.approx(LN2)


@given(log_probabilities, st.floats(0.1, 20))
def test_preferring_the_chosen_more_than_the_reference_does_lowers_the_loss(rows, more):
    chosen, rejected, _, _ = columns(rows)
    up, down = chosen + more, rejected - more
    assert dpo_loss(up, rejected, chosen, rejected) < LN2
    assert dpo_loss(chosen, down, chosen, rejected) < LN2
    assert dpo_loss(chosen - more, rejected, chosen, rejected) > LN2


@given(log_probabilities, st.floats(-50, 50))
def test_what_both_answers_share_cancels(rows, constant):
    policy_chosen, policy_rejected, chosen, rejected = columns(rows)
    loss = dpo_loss(policy_chosen, policy_rejected, chosen, rejected)
    shifted = dpo_loss(policy_chosen + constant, policy_rejected + constant, chosen, rejected)
    assert shifted.item() == pytest.approx(loss.item(), abs=1e-9)


def test_exchanging_the_answers_exchanges_the_probability_of_the_preference():
    rows = columns([(-3.0, -9.0, -5.0, -5.0)])
    right, wrong = dpo_loss(*rows), dpo_loss(rows[1], rows[0], rows[3], rows[2])
    assert math.exp(-right) + math.exp(-wrong) == pytest.approx(1)


def test_the_loss_is_the_mean_over_the_pairs():
    rows = [(-1.0, -4.0, -2.0, -3.0), (-7.0, -2.0, -3.0, -8.0)]
    each = [dpo_loss(*columns([row])).item() for row in rows]
    assert dpo_loss(*columns(rows)).item() == pytest.approx(sum(each) / 2)


def test_the_gradients_are_those_of_finite_differences():
    torch.manual_seed(0)
    logps = [(-5 * torch.rand(4, dtype=torch.float64)).requires_grad_() for _ in range(4)]
    assert torch.autograd.gradcheck(lambda *x: dpo_loss(*x, beta=0.7), logps)
    assert torch.autograd.gradcheck(bradley_terry_loss, logps[:2])


def test_the_gradient_pushes_the_chosen_up_and_the_rejected_down_by_the_same_amount():
    chosen, rejected = torch.zeros(1, requires_grad=True), torch.zeros(1, requires_grad=True)
    dpo_loss(chosen, rejected, torch.zeros(1), torch.zeros(1), beta=0.1).backward()
    assert chosen.grad.item() == pytest.approx(-0.05)  # beta x sigmoid(0)
    assert rejected.grad.item() == pytest.approx(0.05)


def test_extreme_margins_do_not_overflow():
    far = columns([(-1e4, -1.0, -1.0, -1e4)])
    assert dpo_loss(*far, beta=1.0).item() == pytest.approx(2 * 9999)
    assert dpo_loss(far[1], far[0], far[3], far[2], beta=1.0).item() == 0


def test_the_implicit_rewards_of_the_optimal_policy_are_the_rewards_up_to_a_constant():
    reference = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    rewards = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    policy = optimal_policy(reference, rewards, beta=0.3)
    found = implicit_rewards(policy.log(), reference.log(), beta=0.3)
    torch.testing.assert_close(found - found[0], rewards - rewards[0])


@given(st.floats(-30, 30), st.floats(-30, 30), st.floats(-30, 30))
def test_bradley_terry_is_symmetric_and_ignores_a_constant(first, second, constant):
    a, b = torch.tensor([first]).double(), torch.tensor([second]).double()
    both = preference_probability(a, b) + preference_probability(b, a)
    assert both.item() == pytest.approx(1)
    shifted = bradley_terry_loss(a + constant, b + constant).item()
    assert shifted == pytest.approx(bradley_terry_loss(a, b).item(), abs=1e-9)
    assert bradley_terry_loss(a, a).item() == pytest.approx(LN2)


def test_a_tie_counts_half_in_the_accuracy():
    accuracy = pair_accuracy(torch.tensor([2.0, 1.0, 0.0]), torch.tensor([1.0, 1.0, 1.0]))
    assert accuracy.tolist() == [100.0, 50.0, 0.0]


@pytest.mark.parametrize("beta", [0, -0.1, math.nan, math.inf])
def test_a_beta_that_is_not_above_zero_is_refused(beta):
    with pytest.raises(ValueError, match="above 0"):
        dpo_loss(*columns([(-1.0, -2.0, -1.0, -2.0)]), beta=beta)


def test_bad_log_probabilities_are_refused_with_their_name():
    good = torch.tensor([-1.0, -2.0])
    with pytest.raises(ValueError, match="policy_rejected_logp holds a value that is not finite"):
        dpo_loss(good, torch.tensor([-1.0, math.nan]), good, good)
    with pytest.raises(ValueError, match="reference_chosen_logp holds"):
        dpo_loss(good, good, torch.tensor([-1.0, -math.inf]), good)
    with pytest.raises(ValueError, match="Shapes differ"):
        dpo_loss(good, good, good, torch.tensor([-1.0]))
    with pytest.raises(ValueError, match="no pairs"):
        dpo_loss(*[torch.zeros(0)] * 4)
    with pytest.raises(ValueError, match="chosen holds"):
        bradley_terry_loss(torch.tensor([math.inf]), torch.zeros(1))


@pytest.fixture(scope="module")
def library_trainer(tiny_causal_folder, tmp_path_factory):
    """Build trl's trainer, whose loss is then given log-probabilities of our choice."""
    from datasets import Dataset
    from transformers import AutoTokenizer, LlamaForCausalLM
    from trl import DPOConfig, DPOTrainer

    arguments = DPOConfig(
        str(tmp_path_factory.mktemp("trl")), use_cpu=True, bf16=False, report_to="none",
        activation_checkpointing=False, max_length=None,
    )  # fmt: skip
    model, reference = (LlamaForCausalLM.from_pretrained(tiny_causal_folder) for _ in range(2))
    row = {"prompt": "the cat", "chosen": " sat", "rejected": " ran"}
    trainer = DPOTrainer(
        model, reference, arguments, train_dataset=Dataset.from_list([row]),
        processing_class=AutoTokenizer.from_pretrained(tiny_causal_folder),
    )  # fmt: skip
    trainer.precompute_ref_logps = True  # so that it reads the reference's from the batch
    return trainer


class Scripted(torch.nn.Module):
    """Answers with given log-probabilities, in the form that trl's trainer reads."""

    def __init__(self, log_probabilities):
        super().__init__()
        self.answer = type("Output", (), {})()
        self.answer.log_probs = log_probabilities
        for name in ("entropy", "mean_logits"):
            setattr(self.answer, name, torch.zeros_like(log_probabilities))
        self.answer.is_top1 = torch.zeros_like(log_probabilities, dtype=torch.bool)

    def forward(self, **inputs):
        return self.answer


@settings(max_examples=40, deadline=None)
@given(log_probabilities, st.floats(0.01, 3))
def test_the_loss_equals_trls(library_trainer, rows, beta):
    policy_chosen, policy_rejected, chosen, rejected = columns(rows).float()
    library_trainer.beta = beta
    batch = {
        "input_ids": torch.zeros(2 * len(rows), 2, dtype=torch.long),
        "attention_mask": torch.ones(2 * len(rows), 2, dtype=torch.long),
        "completion_mask": torch.tensor([[0, 1]]).repeat(2 * len(rows), 1),
        "ref_chosen_logps": chosen,
        "ref_rejected_logps": rejected,
    }
    model = Scripted(torch.cat([policy_chosen, policy_rejected])[:, None])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        theirs = library_trainer.compute_loss(model, batch)
    ours = dpo_loss(policy_chosen, policy_rejected, chosen, rejected, beta)
    torch.testing.assert_close(ours, theirs)
