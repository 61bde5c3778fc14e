"""Taking a part out: the part is really gone, and really back afterwards."""

import pytest
import torch

from course_utils.transformer.ablations import (
    ABLATIONS,
    measure_ablations,
    next_token_losses,
    prefix_losses,
    without_causal_mask,
)
from course_utils.transformer.decoder import Decoder, DecoderConfig

IDS = torch.tensor([[3, 1, 4, 1, 5, 9, 2, 6]])


@pytest.fixture
def decoder():
    torch.manual_seed(0)
    config = DecoderConfig(
        20, 16, layers=2, heads=4, kv_heads=2, head_width=4, mlp_width=24, context=16
    )
    decoder = Decoder(config).eval()
    for parameter in decoder.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return decoder


def test_every_ablation_changes_the_losses_and_is_undone(decoder):
    before = decoder(IDS)
    losses = measure_ablations(decoder, [IDS])
    assert list(losses) == list(ABLATIONS)
    assert len({round(values[0], 4) for values in losses.values()}) == len(ABLATIONS)
    assert torch.equal(decoder(IDS), before)


def test_an_ablation_is_undone_when_the_block_raises(decoder):
    with pytest.raises(RuntimeError), without_causal_mask(decoder):
        raise RuntimeError
    assert decoder.causal


def test_prefix_losses_equal_the_single_pass_while_the_mask_is_in_place(decoder):
    one_pass = next_token_losses(decoder, IDS)[0]
    torch.testing.assert_close(prefix_losses(decoder, IDS), one_pass)
    torch.testing.assert_close(prefix_losses(decoder, IDS, stride=3), one_pass[::3])


def test_prefix_losses_never_depend_on_what_comes_later(decoder):
    other = IDS.clone()
    other[:, -1] = 0
    with without_causal_mask(decoder):
        ours, theirs = prefix_losses(decoder, IDS), prefix_losses(decoder, other)
        seen = next_token_losses(decoder, IDS), next_token_losses(decoder, other)
    torch.testing.assert_close(ours[:-1], theirs[:-1])
    assert not torch.allclose(seen[0][:, :-1], seen[1][:, :-1])


def test_one_token_has_no_next_token_to_predict(decoder):
    for losses in (next_token_losses, prefix_losses):
        with pytest.raises(ValueError, match="no next token"):
            losses(decoder, IDS[:, :1])
