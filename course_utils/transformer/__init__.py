"""A transformer from scratch that loads real weights: each piece short, equal to the library's.

tokenization, positions, attention, layers: the pieces. decoder, encoder, encoder_decoder: the
three architectures. cache: what makes generating fast. weights: real checkpoints. ablations:
what is lost without a piece. `python -m course_utils.transformer.compare` shows the agreement
with transformers.
"""
