"""A whole model made smaller: integers, pruning, distillation, and the decision between them."""

import json
import math
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from course_utils.comparison import Interval
from course_utils.compression import (
    Candidate,
    DeploymentTable,
    Int4KernelLinear,
    Int4Linear,
    Int8Linear,
    count_passes,
    dequantize_int8,
    distillation_loss,
    inner_linears,
    magnitude_prune,
    measure_speed,
    pack_int4,
    quantize_int4,
    quantize_int8,
    replace_linears,
    share_int8_table,
    weight_bytes,
    zero_share,
)
from course_utils.errors import CourseError


@pytest.fixture
def llama():
    """A random Llama whose embedding and head are tied, as SmolLM2's are."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=48, hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, tie_word_embeddings=True,
    )  # fmt: skip
    return LlamaForCausalLM(config).eval()


# A whole model


@pytest.mark.parametrize(
    ("make", "kind"),
    [(Int8Linear, Int8Linear), (partial(Int4Linear, group_size=16), Int4Linear)],
)
def test_every_inner_linear_is_replaced_and_the_given_model_left_as_it_was(llama, make, kind):
    before = {name: value.clone() for name, value in llama.state_dict().items()}
    small = replace_linears(llama, make)
    assert sum(isinstance(module, kind) for module in small.modules()) == 2 * 7
    assert not inner_linears(small)
    assert isinstance(small.lm_head, nn.Linear)
    assert small.lm_head.weight is small.model.embed_tokens.weight
    assert all(torch.equal(before[name], value) for name, value in llama.state_dict().items())


def test_quantized_models_say_nearly_what_the_model_says(llama):
    ids = torch.arange(1, 25)[None]
    with torch.inference_mode():
        expected = llama(ids).logits
        errors = {
            name: float((replace_linears(llama, make)(ids).logits - expected).abs().mean())
            for name, make in {
                "int8": Int8Linear,
                "int4, groups of 8": partial(Int4Linear, group_size=8),
                "int4, whole rows": partial(Int4Linear, group_size=32),
            }.items()
        }
    assert 0 < errors["int8"] < errors["int4, groups of 8"] < errors["int4, whole rows"]
    assert errors["int8"] < 0.05 * expected.std()


def test_the_int8_table_is_one_and_serves_both_ends(llama):
    ids = torch.arange(1, 25)[None]
    small = share_int8_table(replace_linears(llama, Int8Linear))
    expected = dequantize_int8(*quantize_int8(llama.lm_head.weight))
    assert torch.allclose(small.model.embed_tokens(ids), expected[ids], atol=1e-6)
    assert small.model.embed_tokens.head is small.lm_head
    with torch.inference_mode():
        difference = (small(ids).logits - llama(ids).logits).abs().mean()
    assert 0 < difference < 0.1 * llama(ids).logits.std()


def test_bytes_are_those_of_the_tensors_and_shared_ones_count_once(llama):
    inner = sum(linear.weight.numel() for linear in inner_linears(llama).values())
    outputs = sum(linear.out_features for linear in inner_linears(llama).values())
    table = llama.lm_head.weight.numel()
    rest = weight_bytes(llama) - 4 * (inner + table)  # norms and rotary frequencies
    assert 0 < rest < 1000
    int8 = replace_linears(llama, Int8Linear)
    assert weight_bytes(int8) == inner + 4 * outputs + 4 * table + rest
    share_int8_table(int8)
    assert weight_bytes(int8) == inner + 4 * outputs + table + 4 * 48 + rest
    int4 = replace_linears(llama, partial(Int4Linear, group_size=16))
    assert weight_bytes(int4) == inner * (4 + 32 / 16) / 8 + 4 * table + rest


def test_a_quantized_model_survives_the_disk(llama, tmp_path):
    from safetensors.torch import load_model, save_model

    def small():
        return share_int8_table(replace_linears(llama, Int4Linear))

    model, ids = small(), torch.arange(1, 25)[None]
    save_model(model, tmp_path / "weights.safetensors")
    assert (tmp_path / "weights.safetensors").stat().st_size < 1.3 * weight_bytes(model) + 4000
    other = small()
    for buffer in other.buffers():
        buffer.zero_()
    load_model(other, tmp_path / "weights.safetensors", strict=False)
    other.model.rotary_emb = model.model.rotary_emb  # computed from the configuration, not saved
    assert torch.equal(other(ids).logits, model(ids).logits)


def test_two_compressions_of_one_model_never_share_kept_completions(llama):
    from course_utils.language_model.completion_cache import CompletionCache

    models = [
        llama,
        replace_linears(llama, Int8Linear),
        replace_linears(llama, partial(Int8Linear, round_inputs=False)),
    ]
    assert len({CompletionCache(model).key([1, 2], {}) for model in models}) == 3


# Pruning


@pytest.mark.parametrize("share", [0.0, 0.1, 0.25, 0.5, 1.0])
def test_exactly_the_asked_share_is_zero_in_every_layer(llama, share):
    pruned = magnitude_prune(llama, share)
    for name, linear in inner_linears(pruned).items():
        before = llama.get_submodule(name).weight
        count = round(share * before.numel())
        assert int((linear.weight == 0).sum()) == count
        kept = linear.weight != 0
        assert torch.equal(linear.weight[kept], before[kept])
        if 0 < count < before.numel():
            assert before[~kept].abs().max() <= before[kept].abs().min()
    assert zero_share(pruned) == pytest.approx(share, abs=1e-3)
    assert weight_bytes(pruned) == weight_bytes(llama)
    assert zero_share(llama) == 0


def test_weights_of_equal_size_are_cut_to_the_exact_share_all_the_same():
    linear = nn.Linear(10, 10, bias=False)
    nn.init.ones_(linear.weight)
    assert zero_share(magnitude_prune(nn.Sequential(linear), 0.37)) == 0.37


# Distillation


def test_the_soft_part_is_zero_when_the_student_agrees_with_the_teacher(draw):
    logits, labels = torch.randn(5, 7, generator=draw), torch.arange(5)
    agree = distillation_loss(logits + 3, logits, labels, temperature=2, soft_share=1)
    assert agree == pytest.approx(0, abs=1e-6)
    hard = distillation_loss(logits, torch.zeros(5, 7), labels, soft_share=0)
    assert hard == pytest.approx(float(F.cross_entropy(logits, labels)))


def test_distillation_loss_by_hand():
    """Two classes, T=1: the teacher says 3/4 to 1/4, the student 1/2 to 1/2."""
    student, teacher = torch.zeros(1, 2), torch.tensor([[math.log(3), 0.0]])
    divergence = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    loss = distillation_loss(student, teacher, torch.tensor([1]), temperature=1, soft_share=0.25)
    assert float(loss) == pytest.approx(0.25 * divergence + 0.75 * math.log(2))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0, 10.0])
def test_the_gradient_is_t_times_the_difference_of_the_softened_distributions(draw, temperature):
    """d/dz of T^2 KL is T (q - p), for each example; Hinton et al. 2015, equation 2 times T^2."""
    student = torch.randn(6, 9, generator=draw, requires_grad=True)
    teacher = torch.randn(6, 9, generator=draw, requires_grad=True)
    distillation_loss(
        student, teacher, torch.zeros(6, dtype=torch.long), temperature=temperature, soft_share=1
    ).backward()
    softened = (student / temperature).softmax(-1) - (teacher / temperature).softmax(-1)
    assert torch.allclose(student.grad, temperature * softened / 6, atol=1e-6)
    assert teacher.grad is None


def test_at_a_high_temperature_the_gradient_is_the_difference_of_logits(draw):
    """Hinton et al. 2015, equation 4: (z - v) / classes, for logits with mean zero."""
    student = torch.randn(3, 8, generator=draw)
    student = (student - student.mean(-1, keepdim=True)).requires_grad_()
    teacher = torch.randn(3, 8, generator=draw)
    teacher -= teacher.mean(-1, keepdim=True)
    distillation_loss(
        student, teacher, torch.zeros(3, dtype=torch.long), temperature=1000, soft_share=1
    ).backward()
    assert torch.allclose(student.grad, (student - teacher) / 8 / 3, atol=1e-3)


# Measuring


def test_passes_are_counted_inside_the_block_only(llama):
    ids = torch.arange(1, 7)[None]
    with count_passes(llama) as passes:
        llama(ids)
        llama(input_ids=ids[:, :2].repeat(4, 1))
    llama(ids)
    assert passes == [6, 8]


def test_speed_counts_the_tokens_of_all_rows(llama):
    with count_passes(llama) as passes:
        speed = measure_speed(llama, rows=2, prompt_tokens=16, new_tokens=3)
    assert passes == [8, 32, 32, 2, 2, 2]  # a warm-up, the prompts twice, three tokens each
    assert speed.reading > 0
    assert speed.seconds(100, 10) == pytest.approx(100 / speed.reading + 10 / speed.writing)


# The decision


@pytest.fixture
def table():
    plain = Candidate(
        "as loaded", 269.0, Interval(0, 0, 0), Interval(30, 25, 35), 500, 20, 2.0, 0.06
    )
    small = Candidate(
        "int8", 135.4, Interval(0.01, -0.02, 0.04), Interval(29, 24, 34), 700, 26, 1.4, 0.04
    )
    return DeploymentTable([plain, small], 8, "a laptop", "the fastest", "int8", "It is faster.")


def test_the_decision_is_written_for_people_and_for_programs(table, tmp_path):
    page, data = table.write(tmp_path / "new")
    assert "| **int8** | 135 | +0.010 [-0.020, +0.040] | 29.0 [24.0, 34.0] |" in page.read_text()
    assert "**Ship: int8.** It is faster." in page.read_text()
    kept = json.loads(data.read_text())
    assert (kept["shipped"], kept["n"]) == ("int8", 8)
    assert kept["candidates"][1]["loss_rise"] == {"mean": 0.01, "low": -0.02, "high": 0.04}


def test_what_was_not_measured_cannot_be_shipped(table):
    with pytest.raises(ValueError, match="ship one of as loaded, int8"):
        replace(table, shipped="int2")


def test_a_folder_that_cannot_be_written_is_named(table, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CourseError, match="may write to"):
        table.write(tmp_path / "file")


# Bad input


@pytest.mark.parametrize(
    ("call", "remedy"),
    [
        (lambda: quantize_int8(torch.ones(2, 2, dtype=torch.int8)), "original"),
        (lambda: quantize_int8(torch.tensor([[1.0, float("nan")]])), "not finite"),
        (lambda: quantize_int4(torch.ones(2, 64), 48), "such as 64"),
        (lambda: quantize_int4(torch.ones(2, 64), 0), "divisor"),
        (lambda: quantize_int4(torch.ones(2, 5), 5), "even"),
        (lambda: quantize_int4(torch.ones(8), 8), r"\(out, in\)"),
        (lambda: quantize_int4(torch.full((2, 4), float("inf")), 4), "not finite"),
        (lambda: pack_int4(torch.tensor([1, 16])), "0 to 15"),
        (lambda: pack_int4(torch.tensor([1, 2, 3])), "even number"),
        (lambda: Int4KernelLinear(nn.Linear(64, 32), group_size=16), "Int4Linear"),
        (lambda: Int4KernelLinear(nn.Linear(64, 30)), "multiple of 16"),
        (lambda: replace_linears(nn.Sequential(nn.ReLU()), Int8Linear), "as it was loaded"),
        (lambda: magnitude_prune(nn.Linear(2, 2), 30), r"in \[0, 1\]"),
        (lambda: magnitude_prune(nn.Linear(2, 2), -0.1), r"in \[0, 1\]"),
        (lambda: _distil(torch.zeros(2, 4)), "the same classes"),
        (lambda: _distil(temperature=0), "above 0"),
        (lambda: _distil(soft_share=1.5), r"in \[0, 1\]"),
    ],
)
def test_bad_input_is_refused_with_the_remedy(call, remedy):
    with pytest.raises(ValueError, match=remedy):
        call()


def _distil(teacher=None, **settings):
    teacher = torch.zeros(2, 3) if teacher is None else teacher
    return distillation_loss(torch.zeros(2, 3), teacher, torch.tensor([0, 1]), **settings)


def test_two_different_tables_are_not_merged_into_one(llama):
    llama.lm_head = nn.Linear(32, 48, bias=False)
    with pytest.raises(ValueError, match="two different tables"):
        share_int8_table(llama)


def test_a_model_compressed_twice_is_refused(llama):
    with pytest.raises(ValueError, match="as it was loaded"):
        replace_linears(replace_linears(llama, Int8Linear), Int8Linear)
