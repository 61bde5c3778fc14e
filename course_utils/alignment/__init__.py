"""Preference tuning: from pairs of answers to a policy, each step small and checked.

`preferences` makes pairs of a better and a worse summary out of the corpus. `rewards` and
`reward_model` learn a score from them. `policies` and `policy_gradient` optimise a policy over a
handful of candidates, where the optimum is known exactly. `dpo`, `pair_scoring` and
`dpo_training` tune a language model on the pairs directly. `overoptimization` measures what
happens when a learned score is pushed too far; `famous_lab` rebuilds the classifier that a
well-known lab misread. Names load on first use.
"""

from course_utils.lazy_names import lazy_names

_HOME = {
    "preferences": ("KINDS", "PreferencePair", "own_output_pairs", "preference_pairs"),
    "rewards": ("bradley_terry_loss", "pair_accuracy", "preference_probability"),
    "reward_model": (
        "FEATURES",
        "RewardModel",
        "length_rewards",
        "pair_rewards",
        "summary_features",
        "train_reward_model",
    ),
    "policies": ("best_of_n", "kl_divergence", "objective", "optimal_policy"),
    "policy_gradient": ("reinforce",),
    "overoptimization": ("CandidatePool", "candidate_pools", "lead_ladder", "pressure_curve"),
    "dpo": ("dpo_loss", "implicit_rewards"),
    "pair_scoring": ("PairScorer", "TokenizedPair", "tokenize_pair"),
    "dpo_training": ("add_top_lora", "train_dpo"),
    "famous_lab": ("rudeness_classifier",),
}
__getattr__, __all__ = lazy_names(__name__, _HOME)
