"""Scaling laws: the loss that a model of a size can reach with an amount of text."""

from __future__ import annotations

from dataclasses import dataclass


def training_flops(parameters: float, tokens: float) -> float:
    """Estimate the operations of training: 6 for each parameter and token.

    A forward pass multiplies and adds with each weight (2), the backward pass does it twice over.
    Kaplan et al. 2020, section 2.1; attention's own products are left out.
    """
    return 6 * parameters * tokens


def inference_flops(parameters: float, tokens: float) -> float:
    """Estimate the operations of reading or writing tokens: 2 for each parameter and token."""
    return 2 * parameters * tokens


@dataclass(frozen=True)
class Allocation:
    """A size of model and an amount of text to train it on."""

    parameters: float
    tokens: float

    @property
    def flops(self) -> float:
        """The operations of the training."""
        return training_flops(self.parameters, self.tokens)

    @property
    def tokens_per_parameter(self) -> float:
        """How often the size the text is: about 20 is the rule of thumb after Hoffmann et al."""
        return self.tokens / self.parameters


@dataclass(frozen=True)
class ScalingLaw:
    """The loss L(N, D) = E + A / N**alpha + B / D**beta, in nats per token.

    E: what no model can get below on that text. N: parameters. D: tokens seen, each once.
    The constants hold for the tokenizer, text and range of sizes that they were fitted on.
    """

    name: str
    E: float
    A: float
    B: float
    alpha: float
    beta: float
    source: str = ""

    def loss(self, parameters: float, tokens: float) -> float:
        """Predict the loss of `parameters` trained on `tokens`, both positive (arrays may be given)."""
        return self.E + self.A / parameters**self.alpha + self.B / tokens**self.beta

    def compute_optimal(self, flops: float) -> Allocation:
        """Split a training budget C = 6ND so that the loss is least, in closed form.

        N = G (C/6)**(beta/(alpha+beta)), D = (C/6) / N, G = (alpha A / (beta B))**(1/(alpha+beta)).
        Raises ValueError unless flops > 0. Hoffmann et al. 2022, equation 4.
        """
        if not flops > 0:
            raise ValueError(f"flops={flops} is no budget: give a positive number, such as 1e21.")
        both = self.alpha + self.beta
        balance = (self.alpha * self.A / (self.beta * self.B)) ** (1 / both)
        parameters = balance * (flops / 6) ** (self.beta / both)
        return Allocation(parameters, flops / 6 / parameters)

    def cheapest_for(self, loss: float) -> Allocation:
        """Give the size and text that reach `loss` with the fewest operations of training.

        On the way of least loss alpha A / N**alpha = beta B / D**beta, so each follows from loss - E.
        Raises ValueError for a loss that no model reaches.
        """
        excess = loss - self.E
        if not excess > 0:
            raise ValueError(
                f"loss={loss} cannot be reached: by this law no model gets to E = {self.E} or below."
            )
        parameters = (self.A * (1 + self.alpha / self.beta) / excess) ** (1 / self.alpha)
        tokens = (self.B * (1 + self.beta / self.alpha) / excess) ** (1 / self.beta)
        return Allocation(parameters, tokens)


HOFFMANN_2022 = ScalingLaw(
    "Hoffmann 2022, as printed", E=1.69, A=406.4, B=410.7, alpha=0.34, beta=0.28,
    source="Training Compute-Optimal Large Language Models, approach 3 (arXiv 2203.15556)",
)  # fmt: skip
HOFFMANN_2022_UNROUNDED = ScalingLaw(
    "Hoffmann 2022, four digits", E=1.6934, A=406.4, B=410.7, alpha=0.3392, beta=0.2849,
    source="from the source text of the same paper, as Besiroglu et al. 2024 report it",
)  # fmt: skip
BESIROGLU_2024 = ScalingLaw(
    "Besiroglu 2024, new fit", E=1.8172, A=482.01, B=2085.43, alpha=0.3478, beta=0.3658,
    source="Chinchilla Scaling: A replication attempt (arXiv 2404.10102)",
)  # fmt: skip


def kaplan_loss(parameters: float, tokens: float) -> float:
    """Predict the loss by the older law: ((N_c/N)**(a_N/a_D) + D_c/D)**a_D, in nats per token.

    parameters: without embeddings, as that paper counts.
    Kaplan et al. 2020, "Scaling Laws for Neural Language Models", equation 1.5 and table 2.
    """
    return ((6.4e13 / parameters) ** (0.076 / 0.103) + 1.8e13 / tokens) ** 0.103


def tokens_to_pay_back(small: Allocation, large: Allocation) -> float:
    """Say after how many served tokens a smaller model has saved what its training cost more.

    small, large: two ways to the same loss. Serving costs 2 operations a parameter and token.
    Returns 0 where the small one's training is not dearer.
    Raises ValueError unless `small` has fewer parameters.
    The question is that of Sardana and Frankle 2023, "Beyond Chinchilla-Optimal".
    """
    if not small.parameters < large.parameters:
        raise ValueError(
            f"{small.parameters:.3g} parameters are not fewer than {large.parameters:.3g}: "
            "give the smaller model first."
        )
    extra = small.flops - large.flops
    return max(0.0, extra / (2 * (large.parameters - small.parameters)))
