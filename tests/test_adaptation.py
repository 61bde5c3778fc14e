"""Adapting a model: labels, frozen layers computed once, and a loop that can be trusted."""

from itertools import pairwise

import pytest
import torch
from tiny_adaptation import END, QUICK, adapted, examples_of, tiny_llama, weights_of
from torch import nn

from course_utils.adaptation.examples import (
    IGNORED,
    Example,
    batches,
    mask_labels,
    tokenize_examples,
)
from course_utils.adaptation.frozen_layers import (
    SplitDecoder,
    WholeModel,
    first_trainable_layer,
    reader_of,
)
from course_utils.adaptation.lora import LoRALinear
from course_utils.adaptation.soft_prompt import SoftPrompt
from course_utils.adaptation.tracking import Tracker, tracked_runs
from course_utils.adaptation.training import (
    TrainingSettings,
    answer_loss,
    fine_tune,
    held_out_loss,
)
from course_utils.errors import CourseError
from course_utils.lessons.training_curve import LiveCurve
from course_utils.prompts import TEMPLATES


@pytest.fixture
def model():
    return tiny_llama()


# labels and batches


def test_labels_stand_on_the_answer_alone_and_keep_its_end_although_padding_is_the_same_token():
    labels = mask_labels([Example([5, END, 7], [8, END]), Example([4], [END])])
    hidden = IGNORED
    assert labels.tolist() == [
        [hidden, hidden, hidden, 8, END],
        [hidden, END, hidden, hidden, hidden],
    ]


def test_the_loss_of_a_batch_is_that_of_its_rows_one_by_one_whatever_the_padding(model):
    examples, reader = examples_of(), WholeModel(model)
    together = answer_loss(reader, examples, reader.prepare(examples))
    alone = [answer_loss(reader, [e], reader.prepare([e])) for e in examples]
    assert together.item() == pytest.approx(torch.stack(alone).mean().item(), abs=1e-5)


def test_the_loss_is_what_the_library_computes_from_the_same_labels(model):
    examples, reader = examples_of(), WholeModel(model)
    longest = max(map(len, examples))
    ids = torch.tensor([(e.prompt + e.answer + [END] * longest)[:longest] for e in examples])
    library = model(input_ids=ids, labels=mask_labels(examples)).loss
    ours = answer_loss(reader, examples, reader.prepare(examples))
    assert ours.item() == pytest.approx(library.item(), abs=1e-5)


def test_batches_hold_every_row_once_and_depend_on_the_seed():
    lengths = [len(e) for e in examples_of(count=50)]
    first = list(batches(lengths, 4, seed=1))
    assert sorted(row for batch in first for row in batch) == list(range(50))
    assert first == list(batches(lengths, 4, seed=1))
    assert first != list(batches(lengths, 4, seed=2))


def test_rows_of_a_batch_are_of_similar_length():
    lengths = torch.randint(10, 500, (160,), generator=torch.Generator().manual_seed(0)).tolist()
    padded = [max(lengths[row] for row in batch) * len(batch) for batch in batches(lengths, 4, 0)]
    assert sum(padded) < 1.15 * sum(lengths)


class ChatTokenizer:
    """The two calls that `tokenize_examples` makes; a template is not what is tested here."""

    eos_token_id = END

    def apply_chat_template(self, chat, add_generation_prompt, return_dict):
        return [2] * len(chat[0]["content"])

    def encode(self, text, add_special_tokens):
        return [3] * len(text)


def test_an_answer_ends_with_the_end_of_turn_and_an_overlong_example_is_named():
    rows = [{"id": "one", "dialogue": "hello", "references": ["short", "other"]}]
    (example,) = tokenize_examples(ChatTokenizer(), rows, TEMPLATES["bare"])
    assert example.answer == [3] * 5 + [END]
    with pytest.raises(CourseError, match=r"Row 0 \(one\) has 11 tokens, more than"):
        tokenize_examples(ChatTokenizer(), rows, TEMPLATES["bare"], context_window=10)
    with pytest.raises(ValueError, match="the split is empty"):
        tokenize_examples(ChatTokenizer(), [], TEMPLATES["bare"])


# frozen layers


def test_the_lowest_trainable_layer_is_found(model):
    assert first_trainable_layer(adapted(model, layers=(2,))) == 2
    assert first_trainable_layer(tiny_llama()) == 0
    assert isinstance(reader_of(tiny_llama()), WholeModel)


@pytest.mark.parametrize("cut", [1, 2, 3, 4])
def test_a_decoder_cut_in_two_gives_the_logits_and_gradients_of_the_whole(model, cut):
    adapted(model, layers=range(min(cut, 3), 4))
    examples, weights = examples_of(), [w for w in model.parameters() if w.requires_grad]
    for module in model.modules():
        if isinstance(module, LoRALinear):
            nn.init.normal_(module.B, std=0.2)
    gradients = []
    for reader in (WholeModel(model), SplitDecoder(model, min(cut, 3))):
        model.zero_grad()
        loss = answer_loss(reader, examples, reader.prepare(examples))
        loss.backward()
        gradients.append([loss.detach(), *(w.grad.clone() for w in weights)])
    for whole, split in zip(*gradients, strict=True):
        assert torch.allclose(whole, split, atol=1e-6)


def test_cutting_a_decoder_leaves_the_model_whole(model):
    ids = torch.randint(2, 40, (2, 7))
    before = model(input_ids=ids).logits
    SplitDecoder(model, 2).prepare(examples_of())
    assert len(model.model.layers) == model.config.num_hidden_layers == 4
    assert torch.equal(model(input_ids=ids).logits, before)


# the loop


def test_training_teaches_the_answers_and_leaves_the_frozen_weights_alone(model):
    train, held_out = examples_of(0, 64), examples_of(1, 16)
    adapted(model, rank=4, layers=None)
    before, began = weights_of(model), held_out_loss(model, held_out)
    run = fine_tune(model, train, TrainingSettings(10, 0.02, 4), validation=held_out)
    assert run.validation_losses[-1] < began - 1
    assert held_out_loss(model, held_out) == pytest.approx(run.validation_losses[-1], abs=1e-4)
    changed = {name for name, w in model.named_parameters() if not torch.equal(w, before[name])}
    assert changed == {name for name, w in model.named_parameters() if w.requires_grad}


def test_a_run_notes_every_step_and_the_rate_rises_and_falls(model):
    seen = []
    run = fine_tune(adapted(model), examples_of(), TrainingSettings(10, 0.01, 4), watch=seen.append)
    assert seen == run.steps
    assert [step.step for step in seen] == list(range(1, 31))
    rates = [step.learning_rate for step in seen]
    assert max(rates) == pytest.approx(0.01)
    assert rates.index(max(rates)) == 2
    assert all(later < earlier for earlier, later in pairwise(rates[3:]))
    assert sum(step.tokens for step in seen) == 10 * sum(map(len, examples_of()))


def test_the_seed_decides_the_run():
    def trained(seed):
        model = adapted(tiny_llama())
        fine_tune(model, examples_of(), TrainingSettings(2, 0.02, 4, seed=seed))
        return weights_of(model)

    first, again, other = trained(1), trained(1), trained(2)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


class Interrupted(Exception):
    pass


def test_a_run_that_was_cut_off_goes_on_from_its_checkpoint_to_the_same_weights(tmp_path):
    def interrupt(step):
        if step.step == 5:  # in the second epoch
            raise Interrupted

    file = tmp_path / "run.pt"
    whole = adapted(tiny_llama())
    expected = fine_tune(whole, examples_of(), QUICK)
    with pytest.raises(Interrupted):
        fine_tune(adapted(tiny_llama()), examples_of(), QUICK, checkpoint=file, watch=interrupt)
    resumed, seen = adapted(tiny_llama()), []
    run = fine_tune(resumed, examples_of(), QUICK, checkpoint=file, watch=seen.append)
    assert [step.step for step in seen] == [4, 5, 6]
    assert [s.loss for s in run.steps] == [s.loss for s in expected.steps]
    assert all(torch.equal(a, b) for a, b in zip(resumed.parameters(), whole.parameters()))  # noqa: B905
    assert [path.name for path in tmp_path.iterdir()] == ["run.pt"]


def test_the_checkpoint_of_another_model_or_run_is_refused(tmp_path):
    file = tmp_path / "run.pt"
    fine_tune(adapted(tiny_llama()), examples_of(), QUICK, checkpoint=file)
    with pytest.raises(CourseError, match="belongs to another run: its model differ"):
        fine_tune(adapted(tiny_llama(seed=5)), examples_of(), QUICK, checkpoint=file)
    with pytest.raises(CourseError, match="its trainable and settings differ"):
        fine_tune(
            adapted(tiny_llama(), rank=3),
            examples_of(),
            TrainingSettings(3, 0.02, 4),
            checkpoint=file,
        )
    with pytest.raises(CourseError, match="its examples differ"):
        fine_tune(adapted(tiny_llama()), examples_of(seed=9), QUICK, checkpoint=file)


def test_a_damaged_checkpoint_is_named_with_the_remedy(model, tmp_path):
    file = tmp_path / "run.pt"
    file.write_bytes(b"half a file")
    with pytest.raises(CourseError, match=r"run.pt is damaged .* delete it"):
        fine_tune(adapted(model), examples_of(), QUICK, checkpoint=file)


def test_a_loss_that_is_not_a_number_stops_the_run_before_it_spoils_the_weights(model, tmp_path):
    adapted(model)
    file = tmp_path / "run.pt"

    def spoil(step):
        if step.step == 4:
            model.model.norm.weight.data.fill_(float("nan"))

    with pytest.raises(CourseError, match=r"at step 5 \(epoch 2\).*run.pt.*learning_rate=0.02"):
        fine_tune(model, examples_of(), QUICK, watch=spoil, checkpoint=file)
    assert all(w.isfinite().all() for w in model.parameters() if w.requires_grad)


def test_out_of_memory_is_told_with_the_remedy(model):
    class Full(WholeModel):
        def logits(self, states, labelled):
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried ...")

    with pytest.raises(CourseError, match="batch_size=4: halve it"):
        fine_tune(adapted(model), examples_of(), QUICK, reader=Full(model))


def test_other_errors_are_not_taken_for_a_lack_of_memory(model):
    class Broken(WholeModel):
        def logits(self, states, labelled):
            raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes do not match"):
        fine_tune(adapted(model), examples_of(), QUICK, reader=Broken(model))


def test_nothing_to_learn_from_and_nothing_to_train_are_clear_errors(model):
    with pytest.raises(ValueError, match="the training split is empty"):
        fine_tune(adapted(model), [], QUICK)
    with pytest.raises(ValueError, match="No weight requires a gradient"):
        fine_tune(model.requires_grad_(False), examples_of(), QUICK)


@pytest.mark.parametrize(
    "wrong", [{"epochs": 0}, {"batch_size": 0}, {"learning_rate": 0}, {"learning_rate": -1}]
)
def test_settings_that_no_run_could_use_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        TrainingSettings(**wrong)


# other methods


def test_a_soft_prompt_learns_while_no_weight_of_the_model_changes(model):
    before = weights_of(model)
    soft = SoftPrompt(model, words=[3, 4], length=6)
    run = fine_tune(soft, examples_of(0, 64), TrainingSettings(10, 0.1, 8), reader=soft)
    assert run.steps[-1].loss < run.steps[0].loss
    assert [name for name, _ in soft.named_parameters()] == ["vectors"]
    assert all(torch.equal(weight, before[name]) for name, weight in model.named_parameters())


def test_full_fine_tuning_changes_every_weight(model):
    before = weights_of(model)
    fine_tune(model.requires_grad_(True), examples_of(), TrainingSettings(1, 1e-3, 4))
    assert all(not torch.equal(weight, before[name]) for name, weight in model.named_parameters())


# watching


def test_a_live_curve_is_drawn_in_one_place_with_a_text_alternative(model, monkeypatch):
    shown, updated = [], []

    class Handle:
        def update(self, drawing):
            updated.append(drawing)

    def display(drawing, display_id):
        shown.append(drawing)
        return Handle()

    monkeypatch.setattr("IPython.display.display", display)
    curve = LiveCurve(steps=6)
    fine_tune(adapted(model), examples_of(), QUICK, validation=examples_of(1, 4), watch=curve)
    curve.finish()
    assert len(shown) == 1
    assert len(updated) == 1
    assert "over 6 steps" in updated[0].data
    assert "validation loss after each epoch" in updated[0].data


def test_runs_are_kept_in_a_local_store_and_read_back(model, tmp_path):
    tracker = Tracker("first", {"rank": 2}, folder=tmp_path / "runs")
    run = fine_tune(adapted(model), examples_of(), QUICK, watch=tracker)
    tracker.finish()
    again = Tracker("first", {"rank": 2}, folder=tmp_path / "runs")
    again(run.steps[0])
    again.finish()
    kept = tracked_runs(tmp_path / "runs")
    assert sorted(kept) == ["first", "first-2"]
    assert [row["loss"] for row in kept["first"]] == pytest.approx([s.loss for s in run.steps])
