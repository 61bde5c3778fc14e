"""`course adapt`: trained, measured, saved with its card; a mistake loses nothing."""

import io
import json

import pytest
from rich.console import Console
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from course_utils.adaptation.command import adapt
from course_utils.adaptation.recipe import LoraRecipe
from course_utils.adaptation.training import TrainingSettings
from course_utils.errors import CourseError
from course_utils.model_store import load_model


@pytest.fixture(scope="module")
def chat_model(tiny_causal_folder, tmp_path_factory):
    """A random Llama with a chat template and room for a whole dialogue."""
    folder = tmp_path_factory.mktemp("chat")
    tokenizer = AutoTokenizer.from_pretrained(tiny_causal_folder)
    tokenizer.chat_template = "{{ messages[0]['content'] }}"
    config = LlamaConfig.from_pretrained(tiny_causal_folder, max_position_embeddings=2048)
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def dialogues(tmp_path):
    """A folder with a training and a validation split of simple dialogues."""
    for split, numbers in {"train": range(6), "validation": range(6, 9)}.items():
        rows = [
            {"id": str(n), "dialogue": f"#Person1#: the cat {n} sat", "summary": f"a cat {n}"}
            for n in numbers
        ]
        (tmp_path / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return tmp_path


def run(recipe, out, source):
    said = io.StringIO()
    adapt(
        recipe,
        out,
        source=str(source),
        dtype="float32",
        console=Console(file=said, width=200),
        command="course adapt --seed 0",
    )
    return said.getvalue()


def test_it_trains_measures_beside_the_rivals_and_leaves_an_adapter_that_loads(
    chat_model, dialogues, tmp_path, monkeypatch
):
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("DIALOGSUM_DIR", raising=False)
    recipe = LoraRecipe(
        base=str(chat_model), last_layers=1, rank=2, training=TrainingSettings(epochs=1)
    )
    said = run(recipe, tmp_path / "out", dialogues)
    for words in ("Trained in", "lead-3", "constant", "zero-shot", "over zero-shot, paired"):
        assert words in said
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["adapter"]
    card = (tmp_path / "out" / "adapter" / "README.md").read_text()
    assert "course test, 60 dialogues" in card
    assert "| this adapter |" in card
    adapted = load_model(str(tmp_path / "out" / "adapter"), dtype="float32")
    assert adapted.model.num_parameters() == load_model(str(chat_model)).model.num_parameters()


def test_dialogues_without_a_train_split_are_refused(chat_model, tmp_path):
    row = {"id": "1", "dialogue": "#Person1#: the cat sat", "summary": "a cat"}
    (tmp_path / "test.jsonl").write_text(json.dumps(row))
    with pytest.raises(CourseError, match="has no train split"):
        run(LoraRecipe(base=str(chat_model)), tmp_path / "out", tmp_path)
