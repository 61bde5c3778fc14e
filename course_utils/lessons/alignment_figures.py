"""The picture of preference tuning, drawn by code."""

from __future__ import annotations

from typing import TYPE_CHECKING

from course_utils.lessons.diagrams import Diagram

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def rlhf_diagram() -> Figure:
    """Draw RLHF's loop and the shorter way that DPO takes from the same pairs."""
    diagram = Diagram(
        11.6, 6.4, scale=0.8, title="Preferences become a reward, or go straight into the policy"
    )
    pairs = diagram.box(1.7, 3.2, "preference pairs\nchosen > rejected", "data", 2.6, 0.95)

    diagram.box(7.3, 4.75, "RLHF: learn a reward, then optimise it", "group", 8.2, 2.7)
    reward = diagram.box(4.9, 4.6, "reward model\nBradley-Terry loss", "mlp", 2.6, 0.95)
    policy = diagram.box(9.5, 5.05, "policy", "attention", 2.6, 0.6)
    reference = diagram.box(9.5, 3.95, "reference, frozen", "norm", 2.6, 0.6)
    diagram.path(pairs.top, (1.7, 4.6), reward.left)
    diagram.arrow((8.2, 5.15), (6.2, 4.85))
    diagram.note(7.2, 5.3, "answers")
    diagram.arrow((6.2, 4.6), (8.2, 4.9))
    diagram.note(7.25, 4.5, "rewards")
    diagram.arrow(reference.top, policy.bottom)
    diagram.note(9.62, 4.5, "KL penalty × β", "left")

    diagram.box(7.3, 1.5, "DPO: one loss, no sampling, no reward model", "group", 8.2, 2.2)
    direct = diagram.box(
        5.4, 1.35, "DPO loss: Bradley-Terry on\nβ ln(policy / reference)", "mlp", 3.3, 0.95
    )
    tuned = diagram.box(9.9, 1.75, "policy", "attention", 2.2, 0.6)
    frozen = diagram.box(9.9, 0.85, "reference, frozen", "norm", 2.2, 0.6)
    diagram.path(pairs.bottom, (1.7, 1.35), direct.left)
    diagram.arrow(direct.right, tuned.left)
    diagram.note(7.9, 1.85, "gradient")
    diagram.arrow(frozen.left, (7.05, 1.15))
    diagram.note(7.9, 0.75, "log-probabilities")
    return diagram.figure
