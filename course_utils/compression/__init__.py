"""Smaller and faster models: fewer bits, fewer weights, a smaller model, fewer passes.

`integers` rounds weights by hand, `linears` computes with them and `replacing` puts them into a
model, `pruning` sets weights to zero, `distillation` trains a small model on a large one's
answers, `measuring` counts bytes, seconds and passes, `decision` sets the candidates side by side.
"""

from course_utils.compression.decision import Candidate, DeploymentTable
from course_utils.compression.distillation import distillation_loss
from course_utils.compression.integers import (
    Int4Weight,
    Int8Weight,
    dequantize_int4,
    dequantize_int8,
    pack_int4,
    quantize_int4,
    quantize_int8,
    unpack_int4,
)
from course_utils.compression.linears import (
    Int4KernelLinear,
    Int4Linear,
    Int8Embedding,
    Int8Linear,
)
from course_utils.compression.measuring import Speed, count_passes, measure_speed, weight_bytes
from course_utils.compression.pruning import magnitude_prune, zero_share
from course_utils.compression.replacing import inner_linears, replace_linears, share_int8_table

__all__ = [
    "Candidate",
    "DeploymentTable",
    "Int4KernelLinear",
    "Int4Linear",
    "Int4Weight",
    "Int8Embedding",
    "Int8Linear",
    "Int8Weight",
    "Speed",
    "count_passes",
    "dequantize_int4",
    "dequantize_int8",
    "distillation_loss",
    "inner_linears",
    "magnitude_prune",
    "measure_speed",
    "pack_int4",
    "quantize_int4",
    "quantize_int8",
    "replace_linears",
    "share_int8_table",
    "unpack_int4",
    "weight_bytes",
    "zero_share",
]
