"""Adapt a language model to a task: LoRA by hand and by the library, trained in minutes on a CPU.

`examples` turns dialogues into tokens with the right labels, `lora` is the method by hand,
`frozen_layers` computes once what training cannot change, `training` is the loop with its
checkpoints, `tasks` says what is taught, `recipe` makes the shipped adapters.
"""
