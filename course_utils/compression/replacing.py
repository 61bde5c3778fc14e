"""Put other linear layers into a real model."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TypeVar

from torch import nn

from course_utils.compression.linears import Int8Embedding, Int8Linear

Model = TypeVar("Model", bound=nn.Module)


def inner_linears(model: nn.Module) -> dict[str, nn.Linear]:
    """Return a model's linear layers by name, without the head that scores the vocabulary.

    The head of most small models is the embedding table itself ("tied"): to change it is to
    change both ends of the model. `share_int8_table` does that, on purpose.
    """
    head = getattr(model, "get_output_embeddings", lambda: None)()
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and module is not head
    }


def replace_linears(model: Model, make: Callable[[nn.Linear], nn.Module]) -> Model:
    """Return a copy of the model with make(linear) in place of each inner linear layer.

    make: such as Int8Linear, or functools.partial(Int4Linear, group_size=64). The embedding table,
        the head tied to it, and the norms stay as they are.
    Raises ValueError if there is no such layer.
    """
    model = copy.deepcopy(model)
    linears = inner_linears(model)
    if not linears:
        raise ValueError(
            f"{type(model).__name__} has no inner nn.Linear to replace: give the model as it was "
            "loaded, not a compressed one."
        )
    for name, linear in linears.items():
        model.set_submodule(name, make(linear))
    if hasattr(model, "config"):  # two layers with equal weights may compute differently
        model.config.compression = repr(make)
    return model


def share_int8_table(model: Model) -> Model:
    """Keep the table of token vectors as int8, one scale a token, for both ends of the model.

    Changes the model in place and returns it. One table in memory serves as embedding and as head.
    Raises ValueError if the two are not tied.
    """
    table, head = model.get_input_embeddings(), model.get_output_embeddings()
    if head is None or getattr(table, "weight", None) is not head.weight:
        raise ValueError(
            "This model's embedding and head are two different tables: one int8 table cannot "
            "serve as both. Leave them as they are."
        )
    shared = Int8Linear(head)
    model.set_output_embeddings(shared)
    model.set_input_embeddings(Int8Embedding(shared))
    return model
