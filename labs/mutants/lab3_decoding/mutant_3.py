"""Wrong solutions of lab3_decoding that fail in one corner."""

# %% softmax_with_temperature
# score: 3
# hint: Sum along the last axis
def softmax_with_temperature(logits, temperature):
    # normalizes the whole batch at once
    if temperature <= 0:
        raise ValueError("temperature must be above 0")
    scaled = logits / temperature
    weights = torch.exp(scaled - scaled.max())
    return weights / weights.sum()


# %% top_k
# score: 4
# hint: Ask topk for min(k, vocabulary)
def top_k(logits, k):
    # fails when there are fewer than k tokens
    if k < 1:
        raise ValueError("k must be at least 1")
    return logits.masked_fill(logits < logits.topk(k).values[..., -1:], -math.inf)


# %% top_p
# score: 5
# hint: top_p=3 must not pass in silence
def top_p(logits, p):
    # swallows what is out of range, as the library does
    if p >= 1:
        return logits
    descending, order = logits.sort(dim=-1, descending=True)
    probabilities = descending.softmax(dim=-1)
    dropped = probabilities.cumsum(dim=-1) - probabilities >= p
    dropped[..., 0] = False
    return logits.masked_fill(dropped.scatter(-1, order, dropped), -math.inf)


# %% sample
# score: 3
# hint: neither with the logits themselves nor all alike
def sample(logits, config, generator):
    # draws uniformly from the tokens that are left
    if not config["do_sample"]:
        return logits.argmax(dim=-1)
    logits = logits / config["temperature"]
    if config["top_k"]:
        logits = decoding.keep_top_k(logits, config["top_k"])
    logits = decoding.keep_top_p(logits, config["top_p"])
    left = (logits > -math.inf).float()
    return left.multinomial(1, generator=generator).squeeze(-1)


# %% generate
# score: 6
# hint: leave the loop as soon as no row is running
def generate(model, ids, config):
    # always takes all steps, and cuts afterwards
    completions = [[] for _ in ids]
    reasons = ["length"] * len(ids)
    for _ in range(config["max_new_tokens"]):
        chosen = model(ids)[:, -1].argmax(dim=-1)
        ids = torch.cat([ids, chosen[:, None]], dim=-1)
        for row, token in enumerate(chosen.tolist()):
            if reasons[row] == "length":
                completions[row].append(token)
                text = "".join(config["pieces"][t] for t in completions[row])
                stops = config["stop_strings"]
                if token == config["eos_id"] or any(stop in text for stop in stops):
                    reasons[row] = "stop"
    return [
        {"ids": row, "finish_reason": reason}
        for row, reason in zip(completions, reasons, strict=True)
    ]


# %% batch_generate
# score: 5
# hint: Do not loop over the prompts
def batch_generate(model, prompts, max_new_tokens, pad_id):
    # one prompt after another: no batch at all
    answers = []
    for prompt in prompts:
        ids = torch.tensor([prompt])
        with torch.inference_mode():
            for _ in range(max_new_tokens):
                best = model(input_ids=ids).logits[:, -1].argmax(dim=-1, keepdim=True)
                ids = torch.cat([ids, best], dim=-1)
        answers.append(ids[0, len(prompt) :].tolist())
    return answers


# %% validate
# score: 5
# hint: not at the first problem
def validate(config):
    # returns at the first problem
    if config.get("top_p") is not None and not 0 < config["top_p"] <= 1:
        return ["top_p"]
    if config.get("do_sample"):
        if config.get("temperature") is not None and config["temperature"] <= 0:
            return ["temperature"]
        if config.get("top_k") is None:
            return ["top_k"]
    else:
        unused = [
            name
            for name, neutral in (("temperature", 1), ("top_k", 0), ("top_p", 1))
            if config.get(name) not in (None, neutral)
        ]
        if unused:
            return unused
    return ["max_new_tokens"] if config.get("max_new_tokens") is None else []
