"""How many bytes a decoder needs to serve or to train: each part counted from its shape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

from course_utils.scoping.shape import DecoderShape, lora_parameters

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PretrainedConfig, PreTrainedModel

Task = Literal["serve", "train", "lora"]
TASKS = ("serve", "train", "lora")
BYTES_PER_VALUE = {"float32": 4.0, "bfloat16": 2.0, "float16": 2.0, "int8": 1.0, "int4": 0.5}


@dataclass(frozen=True)
class Memory:
    """Bytes by what they hold; `total` is their sum.

    adapter: LoRA's own weights. optimizer: AdamW's two averages, and the float32 master copy
    where one is kept. activations: what the forward pass keeps for the backward pass.
    """

    weights: int
    kv_cache: int = 0
    adapter: int = 0
    gradients: int = 0
    optimizer: int = 0
    activations: int = 0

    @property
    def total(self) -> int:
        """The sum of the parts."""
        return sum(self.parts().values())

    def parts(self) -> dict[str, int]:
        """The parts that are not zero, by name."""
        return {name: size for name, size in asdict(self).items() if size}

    def __str__(self) -> str:
        parts = " + ".join(f"{name} {readable(size)}" for name, size in self.parts().items())
        return f"{readable(self.total)} = {parts}"


def memory_bytes(
    config: PretrainedConfig | DecoderShape,
    dtype: str = "float32",
    context: int = 2048,
    batch: int = 1,
    *,
    task: Task = "serve",
    master_weights: bool = False,
    rank: int = 8,
    targets: Sequence[str] = ("q_proj", "v_proj"),
) -> Memory:
    """Estimate the bytes that a dense decoder needs.

    dtype: of the weights. Keys, values and activations have it too, save that int8 and int4
        weights compute in bfloat16. The scales that quantised weights carry are left out.
    context, batch: tokens in a row (prompt and completion), and rows at once.
    task: "serve" (weights, KV cache), "train" (all weights with AdamW) or "lora" (frozen
        weights; float32 adapters of `rank` on the `targets`, with AdamW).
    master_weights: for "train" in a 16-bit dtype, keep a float32 copy of the weights and float32
        averages, as mixed precision does. Without it they have the dtype of the weights, which is
        what `torch.optim.AdamW` allocates.
    Left out: passing buffers of the computation, the framework itself. For "lora" the activations
    are those of training it all: frozen layers keep less of their input, float32 adapters keep it
    in float32; in small models with `peft` that came to 0.7 (two targets) to 1.4 times (all).
    Raises ValueError for an unknown dtype, task or architecture, sizes that are no whole numbers
    from 1 on, a context over the window, and training in a quantised dtype.
    """
    shape = DecoderShape.of(config)
    _check(shape, dtype, context, batch, task)
    width = BYTES_PER_VALUE[dtype]
    computing = width if width >= 2 else BYTES_PER_VALUE["bfloat16"]
    weights = round(shape.parameters * width)
    if task == "serve":
        return Memory(weights, kv_cache=kv_cache_bytes(shape, computing, context, batch))
    activations = activation_bytes(shape, computing, context, batch)
    if task == "lora":
        adapter = 4 * lora_parameters(shape, rank, targets)
        return Memory(
            weights,
            adapter=adapter,
            gradients=adapter,
            optimizer=2 * adapter,
            activations=activations,
        )
    copies = 3 * 4 if master_weights and width < 4 else 2 * width  # master + two averages, or two
    return Memory(
        weights,
        gradients=weights,
        optimizer=round(shape.parameters * copies),
        activations=activations,
    )


def kv_cache_bytes(shape: DecoderShape, width: float, context: int, batch: int) -> int:
    """Count the cache: a key and a value for each layer, key-value head, token and row.

    width: bytes of one value.
    """
    return round(2 * shape.layers * shape.kv_heads * shape.head_dim * context * batch * width)


def activation_bytes(shape: DecoderShape, width: float, context: int, batch: int) -> int:
    """Count what a training step's forward pass keeps for the backward pass.

    width: bytes of one value; norms, the softmax and the loss are computed in float32.
    Per block and token are kept: around each of two norms the stream in float32, its normed
    form and the result; queries, keys, values and what attention returns; in the MLP the gate,
    its SiLU, the other branch and their product. After the blocks: a norm, and the
    log-probabilities of the whole vocabulary in float32. Attention is of the kind that never
    stores its (context x context) weights, as `sdpa` is.
    Counted after the example of Korthikanti et al. 2022, "Reducing Activation Recomputation in
    Large Transformer Models", section 4, who do it for GPT's block.
    """
    norm = shape.hidden * (4 + 2 * width) + 4
    attention = 2 * (shape.heads + shape.kv_heads) * shape.head_dim * width + 4 * shape.heads
    block = 2 * norm + attention + 4 * shape.intermediate * width
    return round(context * batch * (shape.layers * block + norm + 4 * shape.vocabulary))


def gpt_activation_bytes(shape: DecoderShape, context: int, batch: int) -> int:
    """Give the published formula for GPT's block in 16 bits: sbh(34 + 5as/h) bytes a layer.

    s: context, b: batch, h: hidden, a: heads. The second term is the attention weights.
    Korthikanti et al. 2022, equation 1.
    """
    quadratic = 5 * shape.heads * context / shape.hidden
    return round(shape.layers * context * batch * shape.hidden * (34 + quadratic))


def measure_kept_bytes(model: PreTrainedModel, token_ids: Tensor) -> int:
    """Run the forward pass of a training step and add up what autograd keeps of it.

    token_ids: (batch, context), also used as labels. Memory that several kept tensors share
    counts once, the weights not at all.
    """
    import torch

    weights = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    kept = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model(input_ids=token_ids, labels=token_ids, use_cache=False)
    return sum(storage.nbytes() for storage in kept.values())


def readable(size: float) -> str:
    """Write a number of bytes in decimal units: 538060032 is "538 MB"."""
    for unit, bytes_of_it in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= bytes_of_it:
            return f"{size / bytes_of_it:.3g} {unit}"
    return f"{size:.0f} B"


def _check(shape: DecoderShape, dtype: str, context: int, batch: int, task: str) -> None:
    if dtype not in BYTES_PER_VALUE:
        raise ValueError(f"dtype={dtype!r} is unknown: give one of {', '.join(BYTES_PER_VALUE)}.")
    if task not in TASKS:
        raise ValueError(f"task={task!r} is unknown: give one of {', '.join(TASKS)}.")
    for name, size in (("context", context), ("batch", batch)):
        if size != int(size) or size < 1:
            raise ValueError(f"{name}={size} is not a size: give a whole number from 1 on.")
    if context > shape.context_window:
        raise ValueError(
            f"context={context} is over the model's window of {shape.context_window} tokens: "
            "count prompt and completion together, and stay within it."
        )
    if task == "train" and BYTES_PER_VALUE[dtype] < 2:
        raise ValueError(
            f"All weights cannot be trained in {dtype}: use a 16- or 32-bit dtype, or task='lora', "
            "which leaves the quantised weights as they are."
        )
