"""Train a small model on a large one's answers."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def distillation_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    labels: Tensor,
    *,
    temperature: float = 2.0,
    soft_share: float = 0.5,
) -> Tensor:
    """Mix the teacher's distribution (soft labels) with the right answers (hard labels), in nats.

    student_logits, teacher_logits: (examples, classes). labels: (examples,), class numbers.
    temperature: divides both logits in the soft part, so that the classes which the teacher finds
        unlikely count too. That part is multiplied by its square: gradients through softmax(z / T)
        shrink as 1 / T^2, and the mix would depend on T.
    soft_share: weight of the soft part, 0 for hard labels only, 1 for the teacher only.
    Returns the mean over examples; no gradient flows to the teacher.
    Raises ValueError for shapes that differ, temperature <= 0, or a share outside [0, 1].
    Hinton et al. 2015, "Distilling the Knowledge in a Neural Network", section 2.
    """
    if student_logits.ndim != 2 or student_logits.shape != teacher_logits.shape:
        raise ValueError(
            f"The student has logits of shape {tuple(student_logits.shape)}, the teacher of "
            f"{tuple(teacher_logits.shape)}: give both as (examples, classes), over the same "
            "classes."
        )
    if temperature <= 0:
        raise ValueError(f"temperature={temperature} cannot divide logits: give a value above 0.")
    if not 0 <= soft_share <= 1:
        raise ValueError(f"soft_share={soft_share} is not a share: give a value in [0, 1].")
    soft = F.kl_div(
        (student_logits / temperature).log_softmax(-1),
        (teacher_logits.detach() / temperature).log_softmax(-1),
        log_target=True,
        reduction="batchmean",
    )
    hard = F.cross_entropy(student_logits, labels)
    return soft_share * temperature**2 * soft + (1 - soft_share) * hard
