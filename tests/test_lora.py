"""LoRA: by hand as by the library, saved, merged, and the adapters that are shipped."""

import copy
import json

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from tiny_adaptation import QUICK, adapted, examples_of, tiny_llama
from torch import nn

from course_utils import model_store
from course_utils.adaptation.examples import (
    tokenize_examples,
)
from course_utils.adaptation.lora import LoRALinear, add_lora, merge_lora
from course_utils.adaptation.measurement import model_card
from course_utils.adaptation.recipe import LoraRecipe, add_adapter, save_adapter
from course_utils.adaptation.tasks import TASKS
from course_utils.adaptation.training import (
    fine_tune,
    held_out_loss,
)
from course_utils.adapter_files import merge_adapter, quiet_peft
from course_utils.dialogues import load_dialogues
from course_utils.errors import CourseError
from course_utils.model_catalogue import CATALOGUE, DEFAULT_MODEL
from course_utils.model_store import ADAPTERS, load_model


@pytest.fixture
def model():
    return tiny_llama()


# LoRA by hand


def test_lora_starts_as_the_layer_it_adapts():
    linear, x = nn.Linear(6, 5), torch.randn(3, 6)
    assert torch.equal(LoRALinear(copy.deepcopy(linear), rank=2)(x), linear(x))


def test_lora_computes_what_its_two_matrices_say_and_merges_into_one_layer():
    layer, x = LoRALinear(nn.Linear(6, 5), rank=2, alpha=6), torch.randn(3, 6)
    nn.init.normal_(layer.B)
    update = 3.0 * layer.B @ layer.A
    by_hand = x @ (layer.linear.weight + update).T + layer.linear.bias
    before = layer(x)
    assert torch.allclose(before, by_hand, atol=1e-5)
    merged = layer.merged()
    assert type(merged) is nn.Linear
    assert torch.allclose(merged(x), before, atol=1e-5)


def test_only_a_and_b_receive_gradients():
    layer = LoRALinear(nn.Linear(6, 5), rank=2)
    nn.init.normal_(layer.B)
    layer(torch.randn(3, 6)).sum().backward()
    assert layer.linear.weight.grad is None
    assert layer.linear.bias.grad is None
    assert layer.A.grad.abs().sum() > 0
    assert layer.B.grad.abs().sum() > 0


def test_a_rank_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="give 1 to 5"):
        LoRALinear(nn.Linear(6, 5), rank=6)


def test_lora_by_hand_equals_the_library_in_output_and_gradient(model):
    with quiet_peft():
        library = get_peft_model(
            copy.deepcopy(model),
            LoraConfig(r=2, lora_alpha=4, target_modules=["q_proj", "v_proj", "down_proj"]),
        )
    ours = adapted(model, layers=None)
    theirs = [module for module in library.modules() if hasattr(module, "lora_A")]
    mine = [module for module in ours.modules() if isinstance(module, LoRALinear)]
    assert len(mine) == len(theirs) == 12
    for my, their in zip(mine, theirs, strict=True):
        nn.init.normal_(my.B, std=0.1)
        their.lora_A["default"].weight.data = my.A.detach().clone()
        their.lora_B["default"].weight.data = my.B.detach().clone()
    ids = torch.randint(2, 40, (3, 9))
    outputs = [m(input_ids=ids, labels=ids) for m in (ours, library)]
    assert torch.allclose(outputs[0].logits, outputs[1].logits, atol=1e-5)
    for output in outputs:
        output.loss.backward()
    for my, their in zip(mine, theirs, strict=True):
        assert torch.allclose(my.A.grad, their.lora_A["default"].weight.grad, atol=1e-6)
        assert torch.allclose(my.B.grad, their.lora_B["default"].weight.grad, atol=1e-6)


def test_merging_leaves_plain_layers_that_answer_the_same(model):
    adapted(model)
    for module in model.modules():
        if isinstance(module, LoRALinear):
            nn.init.normal_(module.B, std=0.2)
    ids = torch.randint(2, 40, (2, 7))
    before = model(input_ids=ids).logits
    merge_lora(model)
    assert not any(isinstance(module, LoRALinear) for module in model.modules())
    assert torch.allclose(model(input_ids=ids).logits, before, atol=1e-5)


def test_lora_on_a_layer_that_does_not_exist_says_which_there_are(model):
    with pytest.raises(ValueError, match="the model has down_proj, gate_proj"):
        add_lora(model, targets=["query"])


# adapters on disk


@pytest.fixture
def saved(tmp_path):
    """A trained adapter of the tiny model, and the model with it."""
    recipe = LoraRecipe(base="tiny", last_layers=2, rank=2, alpha=4)
    model = tiny_llama()
    add_adapter(model, recipe)
    fine_tune(model, examples_of(), QUICK)
    save_adapter(model, recipe, tmp_path / "adapter", "# card\n")
    return tmp_path / "adapter", model


def test_a_saved_adapter_merged_into_its_base_answers_as_the_trained_model_does(saved):
    folder, trained = saved
    ids = torch.randint(2, 40, (2, 7))
    merged = merge_adapter(tiny_llama(), folder)
    assert torch.allclose(merged(input_ids=ids).logits, trained(input_ids=ids).logits, atol=0.05)
    assert sorted(path.name for path in folder.iterdir()) == [
        "README.md", "adapter_config.json", "adapter_model.safetensors",
    ]  # fmt: skip
    assert json.loads((folder / "adapter_config.json").read_text())["base_model_name_or_path"] == (
        "tiny"
    )


def test_an_adapted_model_in_bfloat16_keeps_its_rotary_frequencies_in_float32(saved, monkeypatch):
    folder, _ = saved
    base = (tiny_llama(), None)
    real = model_store.load_transformers_model
    monkeypatch.setattr(
        model_store,
        "load_transformers_model",
        lambda name, **kwargs: base if name == "tiny" else real(name, **kwargs),
    )
    model, _ = real(str(folder), dtype="bfloat16")
    assert model.dtype == model.config.dtype == torch.bfloat16
    assert model.model.rotary_emb.inv_freq.dtype == torch.float32
    assert torch.equal(model.model.rotary_emb.inv_freq, tiny_llama().model.rotary_emb.inv_freq)


def test_saving_again_replaces_the_adapter_whole(saved):
    folder, model = saved
    save_adapter(model, LoraRecipe(base="tiny", last_layers=2, rank=2), folder, "# another card\n")
    assert (folder / "README.md").read_text() == "# another card\n"
    assert [path.name for path in folder.parent.iterdir()] == ["adapter"]


@pytest.mark.parametrize("other", [{"width": 64}, {"layers": 2}])
def test_an_adapter_of_another_model_is_refused(saved, other):
    with pytest.raises(CourseError, match="was trained on tiny, and its weights do not fit"):
        merge_adapter(tiny_llama(**other), saved[0])


def test_a_damaged_or_incomplete_adapter_is_named(saved):
    folder, _ = saved
    weights = folder / "adapter_model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CourseError, match="is damaged: copy it again"):
        merge_adapter(tiny_llama(), folder)
    weights.unlink()
    with pytest.raises(CourseError, match=r"has no adapter_model\.safetensors"):
        load_model(str(folder))


def test_more_layers_than_the_model_has_cannot_be_adapted(model):
    with pytest.raises(ValueError, match="last_layers=9, but the model has 4"):
        add_adapter(model, LoraRecipe(last_layers=9))


@pytest.mark.parametrize("name", TASKS)
def test_every_dialogue_of_the_corpus_has_an_answer_for_every_task_and_a_floor_to_beat(name):
    task = TASKS[name]
    for split in load_dialogues("course").values():
        told = task.rows(list(split))
        assert all(answer.strip() for row in told for answer in row["references"])
        assert all(method(row["dialogue"]) for row in told for method in task.floor.values())


def test_a_topic_is_learned_as_the_only_answer():
    row = {"dialogue": HEATER, "topic": "broken heater", "references": ["Marta repairs it."]}
    assert TASKS["topic"].rows([row]) == [{**row, "references": ["broken heater"]}]
    assert row["references"] == ["Marta repairs it."]


def test_a_task_that_nobody_wrote_down_is_refused():
    with pytest.raises(ValueError, match="task='rhyme' is unknown: give one of summary, topic"):
        LoraRecipe(task="rhyme")


def test_the_card_of_an_adapter_names_the_command_the_scores_and_the_gain(model):
    run = fine_tune(adapted(model), examples_of(), QUICK, validation=examples_of(1, 4))
    scores = {kind: torch.rand(20).numpy() for kind in ("rouge1", "rouge2", "rougeL")}
    better = {kind: values + 10 for kind, values in scores.items()}
    card = model_card(
        LoraRecipe(),
        run,
        {"course test, 20 dialogues": {"zero-shot": scores, "this adapter": better}},
        command="course adapt --seed 3",
        weights=123_456,
        source="mine/",
        rows={"train": range(7), "validation": range(4)},
    )
    assert "7 dialogues (mine/)" in card
    assert "datasheet" not in card  # whose dialogues they are is not ours to say
    assert "the folder of this card" in card
    assert "`course adapt --seed 3`" in card
    assert "123,456 weights" in card
    assert "paired: 10.0 [10.0, 10.0]" in card


HEATER = (
    "#Person1#: The heater in room four is broken again.\n"
    "#Person2#: I will send Marta up with the toolbox before noon."
)


@pytest.mark.model
@pytest.mark.parametrize(
    ("task", "answer"),
    [("summary", "Marta will repair the heater before noon."), ("topic", "broken heater")],
)
def test_a_shipped_adapter_is_small_loads_by_name_and_says_how_it_was_made(task, answer):
    task = TASKS[task]
    folder = ADAPTERS / CATALOGUE[task.model].source.adapter
    weights = folder / "adapter_model.safetensors"
    assert weights.stat().st_size < 1_500_000
    assert all(torch.isfinite(w).all() for w in load_file(weights).values())
    card = (folder / "README.md").read_text()
    for words in (f"# {task.title}", "`course adapt", "this adapter", task.template.instruction):
        assert words in card
    adapted, plain = (load_model(name, dtype="float32") for name in (task.model, DEFAULT_MODEL))
    rows = [{"dialogue": HEATER, "references": [answer]}]
    told = tokenize_examples(plain.tokenizer, rows, task.template)
    assert held_out_loss(adapted.model, told) < held_out_loss(plain.model, told) - 0.3


def test_an_adapter_whose_weights_are_of_other_names_is_refused(saved):
    folder, _ = saved
    weights = folder / "adapter_model.safetensors"
    renamed = {name.replace("layers.3", "layers.9"): w for name, w in load_file(weights).items()}
    save_file(renamed, weights)
    with pytest.raises(CourseError, match="do not fit"):
        merge_adapter(tiny_llama(), folder)
