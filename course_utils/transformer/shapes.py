"""Names for the shapes that flow through a transformer; every signature here uses them."""

from typing import Annotated

from torch import Tensor

TokenIds = Annotated[Tensor, "batch length"]
PaddingMask = Annotated[Tensor, "batch length: 1 or True where there is a token"]
States = Annotated[Tensor, "batch length width"]
Heads = Annotated[Tensor, "batch heads length head_width"]
AttentionWeights = Annotated[Tensor, "batch heads queries keys: each row sums to 1"]
AttentionMask = Annotated[Tensor, "broadcasts to batch heads queries keys: True = may look"]
Logits = Annotated[Tensor, "batch length vocabulary"]
