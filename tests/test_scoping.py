"""Scoping: bytes equal to real allocations, laws equal to their optimum, briefs that decide."""

import json
import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from transformers import (
    AutoModelForCausalLM,
    BertConfig,
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    Qwen2Config,
    Qwen3Config,
)

from course_utils.comparison import Interval
from course_utils.lessons.scoping_figures import choice_figure, lifecycle_diagram, memory_figure
from course_utils.lessons.widgets.memory_calculator import MemoryCalculator
from course_utils.model_store import load_model
from course_utils.scoping.brief import Brief, Criterion
from course_utils.scoping.candidates import Run, pareto_front, run_function, run_model
from course_utils.scoping.cost import api_price, break_even, compute_hours, machines_price
from course_utils.scoping.counting_model import CountingModel
from course_utils.scoping.memory import (
    Memory,
    gpt_activation_bytes,
    measure_kept_bytes,
    memory_bytes,
    readable,
)
from course_utils.scoping.scaling import (
    BESIROGLU_2024,
    HOFFMANN_2022,
    HOFFMANN_2022_UNROUNDED,
    Allocation,
    ScalingLaw,
    kaplan_loss,
    tokens_to_pay_back,
)
from course_utils.scoping.shape import (
    PUBLISHED_SHAPES,
    DecoderShape,
    count_parameters,
    lora_parameters,
)

SIZES = {
    "vocab_size": 100, "hidden_size": 32, "intermediate_size": 80, "num_hidden_layers": 3,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64,
}  # fmt: skip
TOY = LlamaConfig(
    vocab_size=10, hidden_size=4, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2,
    num_key_value_heads=1, max_position_embeddings=64, tie_word_embeddings=True,
)  # fmt: skip


@pytest.fixture
def config():
    return LlamaConfig(**SIZES)


@pytest.fixture
def model(config):
    torch.manual_seed(0)
    return LlamaForCausalLM(config)


# shape and memory


def test_the_example_worked_by_hand():
    assert count_parameters(TOY) == 40 + (16 + 8 + 8 + 16) + 3 * 32 + 3 * 4 == 196
    served = memory_bytes(TOY, "float32", context=5)
    assert (served.weights, served.kv_cache, served.total) == (784, 80, 864)


@pytest.mark.parametrize(
    "config",
    [
        LlamaConfig(**SIZES, tie_word_embeddings=False),
        LlamaConfig(**SIZES, tie_word_embeddings=True),
        LlamaConfig(**SIZES, attention_bias=True, mlp_bias=True),
        LlamaConfig(**{**SIZES, "num_key_value_heads": 4}, head_dim=16),
        MistralConfig(**SIZES),
        Qwen2Config(**SIZES, tie_word_embeddings=True),
        Qwen3Config(**SIZES, head_dim=16),
        Qwen3Config(**SIZES, head_dim=16, attention_bias=True, tie_word_embeddings=True),
    ],
    ids=lambda config: f"{config.model_type}-tied={config.tie_word_embeddings}",
)
def test_the_parameters_are_counted_as_the_real_model_has_them(config):
    with torch.device("meta"):
        real = AutoModelForCausalLM.from_config(config).num_parameters()
    assert count_parameters(config) == real


def test_the_published_shapes_give_the_parameters_that_their_weights_have():
    assert {name: shape.parameters for name, shape in PUBLISHED_SHAPES.items()} == {
        "SmolLM2-135M": 134_515_008,
        "Qwen2.5-0.5B": 494_032_768,
        "Llama-3.2-1B": 1_235_814_400,
        "SmolLM2-1.7B": 1_711_376_384,
        "Llama-3.1-8B": 8_030_261_248,
        "Llama-3.1-70B": 70_553_706_496,
    }


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_cache_has_the_bytes_that_a_forward_pass_allocates(config, model, dtype):
    model = model.to(getattr(torch, dtype))
    with torch.inference_mode():
        cache = model(torch.ones(3, 17, dtype=torch.long), use_cache=True).past_key_values
    held = sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)
    assert memory_bytes(config, dtype, context=17, batch=3).kv_cache == held


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_gradients_and_optimizer_have_the_bytes_that_a_step_allocates(config, model, dtype):
    model = model.to(getattr(torch, dtype))
    ids = torch.ones(2, 8, dtype=torch.long)
    optimizer = torch.optim.AdamW(model.parameters())
    model(input_ids=ids, labels=ids).loss.backward()
    optimizer.step()
    planned = memory_bytes(config, dtype, context=8, batch=2, task="train")
    assert planned.gradients == sum(weight.grad.nbytes for weight in model.parameters())
    averages = [
        tensor.nbytes
        for state in optimizer.state.values()
        for name, tensor in state.items()
        if name != "step"
    ]
    assert planned.optimizer == sum(averages)


def test_mixed_precision_takes_sixteen_bytes_a_parameter(config):
    planned = memory_bytes(config, "bfloat16", 8, task="train", master_weights=True)
    states = planned.weights + planned.gradients + planned.optimizer
    assert states == (2 + 2 + 12) * count_parameters(config)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("layers", [1, 4])
def test_the_activations_are_those_that_autograd_keeps(dtype, layers):
    config = LlamaConfig(**{**SIZES, "num_hidden_layers": layers})
    model = LlamaForCausalLM(config).to(getattr(torch, dtype)).train()
    ids = torch.randint(0, 100, (4, 60), generator=torch.Generator().manual_seed(0))
    counted = memory_bytes(config, dtype, context=60, batch=4, task="train").activations
    assert counted == pytest.approx(measure_kept_bytes(model, ids), rel=0.02)


def test_the_weights_have_the_bytes_of_the_file_but_for_its_header(config, model, tmp_path):
    model.save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    header = 8 + int.from_bytes(file.read_bytes()[:8], "little")
    assert memory_bytes(config, "float32", 8).weights == file.stat().st_size - header


@pytest.mark.parametrize("targets", [("q_proj", "v_proj"), ("k_proj", "o_proj", "down_proj")])
def test_lora_trains_as_many_parameters_as_peft_makes(config, model, targets):
    from peft import LoraConfig, get_peft_model

    made = get_peft_model(model, LoraConfig(r=4, target_modules=list(targets)))
    trained = sum(weight.numel() for weight in made.parameters() if weight.requires_grad)
    assert lora_parameters(config, 4, targets) == trained
    planned = memory_bytes(config, "float32", 8, task="lora", rank=4, targets=targets)
    assert (planned.adapter, planned.gradients) == (4 * trained, 4 * trained)
    assert planned.optimizer == 8 * trained


def test_lora_on_some_blocks_is_their_share(config):
    assert 3 * lora_parameters(config, 4, "q_proj", layers=1) == lora_parameters(
        config, 4, "q_proj"
    )


def test_quantised_weights_take_their_bits_and_compute_in_bfloat16(config):
    whole, four = (memory_bytes(config, dtype, 8) for dtype in ("bfloat16", "int4"))
    assert four.weights * 4 == whole.weights
    assert four.kv_cache == whole.kv_cache


def test_the_published_formula_by_hand():
    shape = DecoderShape.of(TOY)  # s=6, b=2, h=4, a=2: 48 * (34 + 15) for its one layer
    assert gpt_activation_bytes(shape, context=6, batch=2) == 6 * 2 * 4 * (34 + 5 * 2 * 6 / 4)


def test_memory_reads_as_a_sum_of_its_parts():
    memory = Memory(weights=538_060_032, kv_cache=1_500)
    assert str(memory) == "538 MB = weights 538 MB + kv_cache 1.5 kB"
    assert [readable(size) for size in (12, 2e12, 1e9)] == ["12 B", "2 TB", "1 GB"]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"dtype": "float8"}, "float32, bfloat16, float16, int8, int4"),
        ({"task": "pretrain"}, "serve, train, lora"),
        ({"context": 0}, "context=0 is not a size"),
        ({"batch": 1.5}, "batch=1.5 is not a size"),
        ({"context": 65}, "window of 64 tokens"),
        ({"dtype": "int4", "task": "train"}, "task='lora'"),
        ({"task": "lora", "rank": 0}, "rank=0 trains nothing"),
        ({"task": "lora", "targets": ("query",)}, "q_proj, k_proj, v_proj"),
        ({"task": "lora", "targets": ()}, "name one or more"),
    ],
)
def test_a_size_that_cannot_be_is_refused_with_the_remedy(config, wrong, says):
    with pytest.raises(ValueError, match="^.*" + says.replace("(", r"\(")):
        memory_bytes(config, **{"context": 8, **wrong})


def test_an_architecture_that_is_built_otherwise_is_refused():
    with pytest.raises(ValueError, match=r"'bert'.*model\.num_parameters"):
        count_parameters(BertConfig())
    with pytest.raises(ValueError, match="layers=4: the model has 3"):
        lora_parameters(LlamaConfig(**SIZES), 4, "q_proj", layers=4)


# scaling laws

LAWS = pytest.mark.parametrize("law", [HOFFMANN_2022, HOFFMANN_2022_UNROUNDED, BESIROGLU_2024])


def test_the_law_worked_by_hand():
    law = ScalingLaw("by hand", E=1, A=8, B=8, alpha=1, beta=1)
    assert law.compute_optimal(24) == Allocation(2, 2)
    assert (law.loss(2, 2), law.loss(1, 4)) == (9, 11)
    assert law.cheapest_for(9) == Allocation(2, 2)


@LAWS
@pytest.mark.parametrize("flops", [1e18, 1.6e21, 5.76e23])
def test_the_closed_form_is_the_minimum_that_a_search_finds(law, flops):
    def loss(log_parameters):
        parameters = math.exp(log_parameters)
        return law.loss(parameters, flops / (6 * parameters))

    searched = minimize_scalar(
        loss, bounds=(math.log(1e5), math.log(1e14)), method="bounded", options={"xatol": 1e-10}
    )
    split = law.compute_optimal(flops)
    assert split.parameters == pytest.approx(math.exp(searched.x), rel=1e-4)
    assert split.flops == pytest.approx(flops)


@LAWS
def test_the_cheapest_way_to_a_loss_is_the_optimum_of_its_own_budget(law):
    way = law.cheapest_for(2.6)
    assert law.loss(way.parameters, way.tokens) == pytest.approx(2.6)
    again = law.compute_optimal(way.flops)
    assert (again.parameters, again.tokens) == pytest.approx((way.parameters, way.tokens))


def test_the_constants_give_the_ratios_that_were_published_for_them():
    ratios = [
        law.compute_optimal(5.76e23).tokens_per_parameter
        for law in (HOFFMANN_2022, HOFFMANN_2022_UNROUNDED, BESIROGLU_2024)
    ]
    assert ratios == pytest.approx([92.6, 59.1, 18.4], abs=0.1)


def test_the_older_law_falls_with_size_and_text_and_keeps_its_two_limits():
    assert kaplan_loss(1e9, 1e10) < kaplan_loss(1e8, 1e10)
    assert kaplan_loss(1e9, 1e10) < kaplan_loss(1e9, 1e9)
    assert kaplan_loss(1e9, 1e30) == pytest.approx((6.4e13 / 1e9) ** 0.076)
    assert kaplan_loss(1e40, 1e10) == pytest.approx((1.8e13 / 1e10) ** 0.103)


def test_after_the_payback_both_models_have_cost_the_same():
    small, large = Allocation(100, 10_000), Allocation(300, 1_000)
    served = tokens_to_pay_back(small, large)
    assert small.flops + 2 * 100 * served == pytest.approx(large.flops + 2 * 300 * served)
    assert tokens_to_pay_back(Allocation(100, 10), large) == 0


def test_budgets_and_losses_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="flops=0 is no budget"):
        BESIROGLU_2024.compute_optimal(0)
    with pytest.raises(ValueError, match=r"no model gets to E = 1\.8172"):
        BESIROGLU_2024.cheapest_for(1.8)
    with pytest.raises(ValueError, match="give the smaller model first"):
        tokens_to_pay_back(Allocation(3, 1), Allocation(2, 1))


def test_the_counting_model_by_hand():
    model = CountingModel("aab", alphabet=2, order=1)  # a twice, b once, two kinds
    assert model.probability("a", "") == pytest.approx((2 + 2 * 0.5) / (3 + 2))
    assert model.loss("ab") == pytest.approx(-(math.log(0.6) + math.log(0.4)) / 2)


def test_the_counting_model_gives_probabilities_that_sum_to_one():
    model = CountingModel("the cat sat on the mat", alphabet=26 + 1, order=4)
    alphabet = "abcdefghijklmnopqrstuvwxyz "
    for before in ("", "th", "the cat", "zzz"):
        assert sum(model.probability(one, before) for one in alphabet) == pytest.approx(1)
    assert model.probability("e", "th") > 0.5
    with pytest.raises(ValueError, match="give a text"):
        CountingModel("", alphabet=2)


# cost


def test_hours_and_prices_by_hand():
    assert compute_hours(7.2e15, 1e12) == 2
    assert compute_hours(7.2e15, 1e12, utilisation=0.5) == 4
    assert api_price(300, 40, price_in=0.5, price_out=1.5) == pytest.approx(0.00021)
    assert [machines_price(volume, 100, 40) for volume in (0, 100, 101)] == [40, 40, 80]


def test_at_the_break_even_both_cost_the_same_and_a_full_machine_has_none():
    volume, full = break_even(price_per_call=0.02, price=40, capacity=5000)
    assert volume * 0.02 == machines_price(volume, 5000, 40) == 40
    assert full == 40 / 5000
    never = break_even(price_per_call=0.02, price=40, capacity=1999)
    assert never.volume is None
    assert all(machines_price(v, 1999, 40) > 0.02 * v for v in range(0, 20_000, 7))


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: compute_hours(1, 0), "operations a second"),
        (lambda: compute_hours(1, 1, 1.2), "no share"),
        (lambda: api_price(1, 1, -1, 1), "not negative"),
        (lambda: machines_price(1, 0, 40), "positive"),
        (lambda: break_even(0, 40, 100), "must be positive"),
    ],
)
def test_costs_that_cannot_be_are_refused(call, says):
    with pytest.raises(ValueError, match=says):
        call()


# candidates


def test_the_front_are_those_that_nobody_beats():
    points = {"best": (9, 3), "fast": (5, 1), "beaten": (5, 2), "same": (5, 1), "worst": (1, 9)}
    beaten_by = pareto_front(points, ("high", "low"))
    assert [name for name, rivals in beaten_by.items() if not rivals] == ["best", "fast", "same"]
    assert beaten_by["beaten"] == ["fast", "same"]
    assert set(beaten_by["worst"]) == {"best", "fast", "beaten", "same"}
    with pytest.raises(ValueError, match="'odd' has 1 values for 2 measures"):
        pareto_front({"odd": (1,)}, ("high", "low"))


def test_a_run_gives_the_texts_of_the_model_and_times_single_ones(tiny_causal_folder):
    model = load_model(str(tiny_causal_folder), dtype="float32")
    prompts, config = (
        ["the cat", "a dog ran", "it rained all day"],
        GenerationConfig(max_new_tokens=5),
    )
    run = run_model(model, prompts, config, timed=2)
    expected = [one.text.strip() for one in model.complete(prompts, config, cache=False)]
    assert run.texts == expected
    assert run.seconds.shape == (2,)
    assert (run.seconds > 0).all()
    assert run_model(model, prompts, config, timed=3).texts == expected
    with pytest.raises(ValueError, match="timed=4 of 3 prompts"):
        run_model(model, prompts, config, timed=4)


def test_a_method_without_a_model_is_run_alike():
    run = run_function(str.upper, ["a", "b"])
    assert run.texts == ["A", "B"]
    assert Run([], np.array([1.0, 2.0, 3.0])).percentile(50) == 2


# the brief

GAIN = Criterion("gain", "points", "at least", 2, "worth the trouble")
SPEED = Criterion("p95", "s", "at most", 3, "somebody waits")


def a_brief(**changes):
    return Brief(
        **{
            "product": "Notes",
            "request": "Could AI do that?",
            "goal": "better than copying",
            "sample": "10 dialogues",
            "criteria": (GAIN, SPEED),
            "tie_break": "p95",
            "risks": ("invented facts",),
            "licences": {"model": "Apache-2.0"},
            **changes,
        }
    )


@pytest.mark.parametrize(
    ("measured", "verdict"),
    [
        (Interval(5, 2, 8), "met"),
        (Interval(5, 1.9, 8), "not settled"),
        (Interval(1, 0, 1.9), "missed"),
        (Interval(1, 0, 2), "not settled"),
        (2, "met"),
        (1.9, "missed"),
    ],
)
def test_an_interval_on_both_sides_of_the_threshold_is_not_settled(measured, verdict):
    assert GAIN.verdict(measured) == verdict


def test_at_most_is_held_against_the_upper_end():
    assert SPEED.verdict(3) == "met"
    assert SPEED.verdict(Interval(3, 2, 3.1)) == "not settled"
    assert SPEED.verdict(Interval(4, 3.1, 5)) == "missed"
    with pytest.raises(ValueError, match="p95: nan is not a finite number"):
        SPEED.verdict(math.nan)


def test_all_criteria_must_be_met_and_the_tie_break_chooses():
    sure = Interval(5, 4, 6)
    decision = a_brief().decide(
        {
            "slow": {"gain": sure, "p95": 2.5},
            "quick": {"gain": sure, "p95": 1.5},
            "late": {"gain": sure, "p95": 9},
            "unsure": {"gain": Interval(5, 0, 9), "p95": 1},
        }
    )
    assert decision.outcomes == {
        "slow": "go", "quick": "go", "late": "no-go", "unsure": "measure more"
    }  # fmt: skip
    assert (decision.outcome, decision.chosen) == ("go", "quick")


def test_a_tie_break_of_which_more_is_better_takes_the_highest_mean():
    decision = a_brief(tie_break="gain").decide(
        {"good": {"gain": Interval(5, 4, 6), "p95": 1}, "better": {"gain": 7.5, "p95": 2}}
    )
    assert decision.chosen == "better"


@pytest.mark.parametrize(
    ("gain", "outcome"), [(Interval(5, 0, 9), "measure more"), (Interval(-3, -5, -1), "no-go")]
)
def test_without_a_go_nothing_is_chosen(gain, outcome):
    decision = a_brief().decide({"only": {"gain": gain, "p95": 1}})
    assert (decision.outcome, decision.chosen) == (outcome, None)


def test_the_fingerprint_follows_the_rule_and_nothing_else():
    moved = Criterion("gain", "points", "at least", 1, "worth the trouble")
    assert a_brief().fingerprint == a_brief(risks=("others",)).fingerprint
    assert a_brief().fingerprint != a_brief(criteria=(moved, SPEED)).fingerprint
    assert a_brief().fingerprint != a_brief(tie_break="gain").fingerprint


def test_the_brief_is_written_for_people_and_for_programs(tmp_path):
    decision = a_brief().decide({"a|b": {"gain": Interval(5, 4, 6), "p95": 1.234}})
    page, data = decision.write(tmp_path / "new" / "folder")
    text = page.read_text()
    assert text.startswith("# Notes: go: a|b\n")
    assert "| a\\|b | 5.0 [4.0, 6.0] (met) | 1.23 (met) | go |" in text
    assert decision.brief.fingerprint in text
    assert "## Open questions" not in text
    read = json.loads(data.read_text())
    assert read["measured"]["a|b"]["gain"] == {"mean": 5, "low": 4, "high": 6}
    assert (read["outcome"], read["chosen"]) == ("go", "a|b")
    assert read["criteria"][0]["threshold"] == 2


def test_a_rule_or_a_measurement_that_does_not_hang_together_is_refused():
    with pytest.raises(ValueError, match="a name of its own"):
        a_brief(criteria=(GAIN, GAIN))
    with pytest.raises(ValueError, match="tie_break='price' is none of the criteria"):
        a_brief(tie_break="price")
    with pytest.raises(ValueError, match="no candidate"):
        a_brief().decide({})
    with pytest.raises(ValueError, match=r"'a' needs exactly one measurement for each of \['gain'"):
        a_brief().decide({"a": {"gain": 3}})


# the calculator and the figures


def test_the_calculator_follows_its_form_and_says_what_fits():
    calculator = MemoryCalculator(model="SmolLM2-135M", budget=1)
    drawn = calculator.picture.value
    expected = memory_bytes(PUBLISHED_SHAPES["SmolLM2-135M"], "bfloat16", 1024, 8)
    assert calculator.estimates()["serve it"] == expected
    assert f"To serve it: {expected} (fits)." in calculator.words.value
    assert "To train all of it" in calculator.words.value
    calculator.batch.value = 64
    assert calculator.picture.value != drawn
    assert "(does not fit)" in calculator.words.value


def test_the_calculator_says_what_cannot_be_computed():
    calculator = MemoryCalculator(model="SmolLM2-135M")
    calculator.context.value = 131_072
    assert "window of 8192 tokens" in calculator.words.value
    assert calculator.picture.value == b""
    calculator.context.value = 64
    calculator.dtype.value = "int4"
    assert list(calculator.estimates()) == ["serve it", "train a LoRA adapter"]


def test_the_calculator_carries_a_picture_where_no_widget_runs():
    data, metadata = MemoryCalculator()._repr_mimebundle_()
    assert data["image/png"].startswith(b"\x89PNG")
    assert "Llama-3.2-1B in bfloat16, 8 x 1,024 tokens" in metadata["image/png"]["alt"]


def test_the_figures_say_what_they_were_given():
    def texts(figure):
        figure.draw_without_rendering()
        return " ".join(text.get_text() for text in figure.findobj(match=_is_text))

    memory = Memory(weights=2_000_000, kv_cache=1_000_000)
    drawn = texts(memory_figure({"serve": memory}, "Small", budget=4e6))
    assert all(word in drawn for word in ("Small", "serve", "3 MB", "KV cache", "there is"))
    quality = {"a": Interval(30, 25, 35), "b": Interval(30.1, 25, 35), "c": Interval(20, 15, 25)}
    drawn = texts(choice_figure(quality, {"a": 2, "b": 2.1, "c": 1e-6}, ["a"], title="T", limit=5))
    assert all(word in drawn for word in ("T", "a", "b", "c", "too slow"))
    assert all(word in texts(lifecycle_diagram()) for word in ("scope", "brief", "no-go"))


def _is_text(artist):
    return hasattr(artist, "get_text") and hasattr(artist, "get_fontsize")
