"""Wrong solutions of lab3_decoding that miss the point of the exercise."""

# %% softmax_with_temperature
# score: 1
# hint: Divide the logits by the temperature first
def softmax_with_temperature(logits, temperature):
    # multiplies by the temperature
    if temperature <= 0:
        raise ValueError("temperature must be above 0")
    scaled = logits * temperature
    weights = torch.exp(scaled - scaled.amax(dim=-1, keepdim=True))
    return weights / weights.sum(dim=-1, keepdim=True)


# %% top_k
# score: 2
# hint: Compare values with the k-th largest value
def top_k(logits, k):
    # keeps positions, so that of two equal tokens one disappears
    places = logits.topk(k).indices
    kept = torch.full_like(logits, -math.inf)
    return kept.scatter(-1, places, logits.gather(-1, places))


# %% top_p
# score: 1
# hint: the crossing token stays
def top_p(logits, p):
    # drops the token that crosses p
    if not 0 < p <= 1:
        raise ValueError("p must be in (0, 1]")
    descending, order = logits.sort(dim=-1, descending=True)
    dropped = descending.softmax(dim=-1).cumsum(dim=-1) > p
    dropped[..., 0] = False
    return logits.masked_fill(dropped.scatter(-1, order, dropped), -math.inf)


# %% sample
# score: 5
# hint: The library's order
def sample(logits, config, generator):
    # applies the temperature last
    if not config["do_sample"]:
        return logits.argmax(dim=-1)
    if config["top_k"]:
        logits = decoding.keep_top_k(logits, config["top_k"])
    logits = decoding.keep_top_p(logits, config["top_p"])
    logits = logits / config["temperature"]
    return logits.softmax(dim=-1).multinomial(1, generator=generator).squeeze(-1)


# %% generate
# score: 2
# hint: stop the loop when all have, not at the first
def generate(model, ids, config):
    # the first row that ends stops the batch
    prompt = ids.shape[1]
    reason = "length"
    for _ in range(config["max_new_tokens"]):
        chosen = model(ids)[:, -1].argmax(dim=-1)
        ids = torch.cat([ids, chosen[:, None]], dim=-1)
        texts = ["".join(config["pieces"][t] for t in row[prompt:]) for row in ids.tolist()]
        if (chosen == config["eos_id"]).any() or any(
            stop in text for stop in config["stop_strings"] for text in texts
        ):
            reason = "stop"
            break
    return [{"ids": row[prompt:], "finish_reason": reason} for row in ids.tolist()]


# %% batch_generate
# score: 2
# hint: Pad on the left
def batch_generate(model, prompts, max_new_tokens, pad_id):
    # pads on the right
    longest = max(map(len, prompts))
    ids = torch.tensor([prompt + [pad_id] * (longest - len(prompt)) for prompt in prompts])
    mask = torch.tensor([[1] * len(p) + [0] * (longest - len(p)) for p in prompts])
    with torch.inference_mode():
        for _ in range(max_new_tokens):
            logits = model(input_ids=ids, attention_mask=mask).logits
            ids = torch.cat([ids, logits[:, -1].argmax(dim=-1, keepdim=True)], dim=-1)
            mask = torch.cat([mask, torch.ones_like(mask[:, :1])], dim=-1)
    return ids[:, longest:].tolist()


# %% validate
# score: 2
# hint: A top_p outside (0, 1] is ignored
def validate(config):
    # only knows that sampling settings need sampling
    problems = []
    if not config.get("do_sample"):
        for name, neutral in (("temperature", 1), ("top_k", 0), ("top_p", 1)):
            if config.get(name, neutral) != neutral:
                problems.append(name)
    elif config.get("temperature") is not None and config["temperature"] <= 0:
        problems.append("temperature")
    return problems
