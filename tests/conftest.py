"""Offline, on the CPU, with tiny real models and the default one."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["COURSE_DEVICE"] = "cpu"

import pytest
from word_tokenizer import word_tokenizer


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items):
    """Say which tests share a worker of pytest-xdist, and begin with the longest.

    A file's tests stay together, because they share fixtures, but every lab is a group of its own.
    """
    for item in items:
        params = item.callspec.params if hasattr(item, "callspec") else {}
        group = params.get("lab", item.path.stem)
        item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=lambda item: item.path.stem != "test_labs")


@pytest.fixture
def draw():
    """Random numbers, the same in every run."""
    import torch

    return torch.Generator().manual_seed(7)


@pytest.fixture(scope="session")
def tiny_causal_folder(tmp_path_factory):
    """A random Llama with grouped-query attention, saved to disk."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("causal")
    tokenizer = word_tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64,
        pad_token_id=0, eos_token_id=1, bos_token_id=None,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_seq2seq_folder(tmp_path_factory):
    """A random T5, saved to disk."""
    import torch
    from transformers import T5Config, T5ForConditionalGeneration

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("seq2seq")
    tokenizer = word_tokenizer()
    config = T5Config(
        vocab_size=len(tokenizer), d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4,
        pad_token_id=0, eos_token_id=1, decoder_start_token_id=0,
    )  # fmt: skip
    T5ForConditionalGeneration(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def smollm():
    """The default model in float32, as graders use it."""
    from course_utils.model_store import load_model

    return load_model(dtype="float32")
