"""Scoping: bytes equal to real allocations, and the pictures that show them."""

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    BertConfig,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    Qwen2Config,
    Qwen3Config,
)

from course_utils.comparison import Interval
from course_utils.lessons.scoping_figures import choice_figure, lifecycle_diagram, memory_figure
from course_utils.lessons.widgets.memory_calculator import MemoryCalculator
from course_utils.scoping.memory import (
    Memory,
    gpt_activation_bytes,
    measure_kept_bytes,
    memory_bytes,
    readable,
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
