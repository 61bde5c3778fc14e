"""A tiny Llama and a task it can learn, shared by the tests of adaptation."""

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from course_utils.adaptation.examples import Example
from course_utils.adaptation.lora import add_lora
from course_utils.adaptation.training import TrainingSettings

END = 1
QUICK = TrainingSettings(epochs=2, learning_rate=0.02, batch_size=4)


def tiny_llama(seed=0, layers=4, width=32):
    torch.manual_seed(seed)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=40, hidden_size=width, intermediate_size=48, num_hidden_layers=layers,
            num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64,
            pad_token_id=END, eos_token_id=END, bos_token_id=None, tie_word_embeddings=True, initializer_range=0.3,
        )
    ).eval()  # fmt: skip


def examples_of(seed=0, count=12):
    """Prompts of random tokens whose answer repeats their first token, then ends."""
    generator = torch.Generator().manual_seed(seed)
    made = []
    for _ in range(count):
        length = int(torch.randint(3, 9, (), generator=generator))
        prompt = torch.randint(2, 40, (length,), generator=generator).tolist()
        made.append(Example(prompt, [prompt[0], prompt[0], END]))
    return made


def weights_of(model):
    return {name: weight.detach().clone() for name, weight in model.named_parameters()}


def adapted(model, rank=2, layers=(2, 3)):
    add_lora(model, targets=("q_proj", "v_proj", "down_proj"), layers=layers, rank=rank, alpha=4)
    return model
