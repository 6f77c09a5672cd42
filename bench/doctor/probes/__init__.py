"""Small computations whose results are known: one for each metric, encoder, tokenizer and sampler."""
