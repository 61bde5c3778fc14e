"""The widgets' Python side, their pictures, and the diagrams."""

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from course_utils.lessons import diagrams
from course_utils.lessons.plots import use_course_style
from course_utils.lessons.texts import read_passages
from course_utils.lessons.widgets.attention_browser import AttentionBrowser
from course_utils.lessons.widgets.fallback import visible
from course_utils.lessons.widgets.mask_toggler import MASKS, MaskToggler, reach
from course_utils.lessons.widgets.token_view import TokenView
from course_utils.transformer.attention import MultiHeadAttention
from course_utils.transformer.layers import MLP, Block, RMSNorm


def read(text):
    tokens = text.split(" ")
    count = len(tokens)
    if not text:
        raise ValueError("The sequence is empty: give at least one token.")
    torch.manual_seed(count)
    return tokens, torch.rand(3, 2, count, count).tril().softmax(-1)


@pytest.fixture
def byte_tokenizer():
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {symbol: rank for rank, symbol in enumerate(alphabet)}
    vocabulary["ab"] = len(vocabulary)
    tokenizer = Tokenizer(models.BPE(vocabulary, [("a", "b")]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer)


def test_the_browser_receives_the_weights_to_a_16_bit_step():
    browser = AttentionBrowser(read, "one two three", layer=2, head=1)
    _, attention = read("one two three")
    received = np.frombuffer(browser.weights, dtype="<u2").reshape(3, 2, 3, 3) / 65_535
    assert np.abs(received - attention.numpy()).max() < 1e-4
    assert browser.tokens == ["one", "two", "three"]


def test_a_new_text_is_read_and_a_bad_one_leaves_the_last_and_says_why():
    browser = AttentionBrowser(read, "one two three")
    browser.text = "four five"
    assert browser.tokens == ["four", "five"]
    assert len(browser.weights) == 3 * 2 * 2 * 2 * 2
    browser.text = ""
    assert browser.tokens == ["four", "five"]
    assert "empty" in browser.problem
    browser.text = "a " * 65
    assert "64 at most" in browser.problem
    browser.text = "six"
    assert browser.problem == ""


def test_a_head_that_does_not_exist_or_weights_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="There is no layer 3, head 0"):
        AttentionBrowser(read, "one two", layer=3)
    with pytest.raises(ValueError, match="does not fit 1 tokens"):
        AttentionBrowser(lambda text: ([text], torch.ones(1, 1, 2, 2)), "one")


def test_each_widget_carries_a_picture_with_a_text_alternative(byte_tokenizer):
    use_course_style()
    for widget in (AttentionBrowser(read, "one two $5"), TokenView(byte_tokenizer, "ab $c नम")):
        data, metadata = widget._repr_mimebundle_()
        assert data["image/png"].startswith(b"\x89PNG")
        assert metadata["image/png"]["alt"] == widget.describe()
        assert "application/vnd.jupyter.widget-view+json" in data


def test_the_token_view_shows_pieces_ids_and_bytes(byte_tokenizer):
    view = TokenView(byte_tokenizer, "ab a")
    assert [token["piece"] for token in view.tokens] == ["ab", "·", "a"]
    assert [token["bytes"] for token in view.tokens] == ["61 62", "20", "61"]
    view.text = "é"  # two bytes, each a token that is no whole character
    assert [token["piece"] for token in view.tokens] == ["<c3>", "<a9>"]
    assert view.summary == "2 tokens for 1 characters (2 bytes)."


def test_a_very_long_text_is_cut_and_said_to_be(byte_tokenizer):
    view = TokenView(byte_tokenizer, "a" * 2001)
    assert len(view.tokens) == 2000
    assert "Only the first 2000 characters" in view.summary


def test_white_space_in_a_token_is_visible():
    assert [visible(piece) for piece in (" a", "\n", "\t", "")] == ["·a", "↵", "⇥", "∅"]


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("name", MASKS)
def test_a_token_knows_what_a_real_stack_lets_it_depend_on(name, layers):
    torch.manual_seed(0)
    mask, inputs = MASKS[name](7), torch.randn(1, 7, 8, requires_grad=True)
    states = inputs
    for _ in range(layers):
        block = Block(8, MultiHeadAttention(8, 2), MLP(8, 16), RMSNorm)
        states, _ = block(states, mask)
    depends = [
        torch.autograd.grad(states[0, row].sum(), inputs, retain_graph=True)[0][0].abs().sum(-1) > 0
        for row in range(7)
    ]
    assert torch.equal(reach(mask, layers), torch.stack(depends))


def test_the_mask_toggler_says_what_the_chosen_token_knows_and_carries_a_still_picture():
    toggler = MaskToggler(["a", " <b>", "c", "d"], mask="decoder, window of 2", token=3, layers=2)
    says = "decoder, window of 2: token 4 (d) looks at 2 of 4 tokens; after 2 layers it knows of 3"
    assert toggler.describe() == f"{says}, not of 1."
    toggler.mask.value = "encoder"
    assert toggler.describe().endswith("it knows of 4, of all.")
    assert "&lt;b&gt;" in toggler.page.value
    data = toggler._repr_mimebundle_()
    assert data["text/html"] == toggler.page.value
    assert data["text/plain"] == toggler.describe()
    with pytest.raises(ValueError, match="17 tokens: give 2 to 16"):
        MaskToggler(["a"] * 17)
    with pytest.raises(ValueError, match="layers=0"):
        reach(MASKS["encoder"](3), 0)


@pytest.mark.parametrize(
    "draw",
    [diagrams.block_diagram, diagrams.encoder_decoder_diagram, diagrams.architectures_diagram],
)
def test_every_diagram_draws(draw, tmp_path):
    use_course_style()
    draw().savefig(tmp_path / "diagram.png")
    assert (tmp_path / "diagram.png").stat().st_size > 5000


def test_a_stack_is_joined_by_arrows_from_below():
    diagram = diagrams.Diagram(4, 4)
    lower, upper = diagram.stack(2, 1, [("a", "data"), ("b", "norm")])
    assert lower.top[1] < upper.bottom[1]
    assert len(diagram.axes.texts) == 3  # two labels and an arrow


def test_the_passages_are_prose_of_some_length():
    assert len(read_passages()) == 8
    assert all(30 < len(passage.split()) < 80 for passage in read_passages())
