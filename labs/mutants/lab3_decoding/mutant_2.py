"""Wrong solutions of lab3_decoding that are right on the easy inputs."""

# %% softmax_with_temperature
# score: 4
# hint: Subtract each row's largest logit
def softmax_with_temperature(logits, temperature):
    # overflows
    if temperature <= 0:
        raise ValueError("temperature must be above 0")
    weights = torch.exp(logits / temperature)
    return weights / weights.sum(dim=-1, keepdim=True)


# %% top_k
# score: 3
# hint: Take the k-th largest along dim=-1 for every row
def top_k(logits, k):
    # one limit for the whole batch
    if k < 1:
        raise ValueError("k must be at least 1")
    limit = logits.flatten().topk(min(k, logits.numel())).values[-1]
    return logits.masked_fill(logits < limit, -math.inf)


# %% top_p
# score: 2
# hint: scatter it back
def top_p(logits, p):
    # leaves the mask in sorted order
    if not 0 < p <= 1:
        raise ValueError("p must be in (0, 1]")
    descending, _ = logits.sort(dim=-1, descending=True)
    probabilities = descending.softmax(dim=-1)
    dropped = probabilities.cumsum(dim=-1) - probabilities >= p
    return logits.masked_fill(dropped, -math.inf)


# %% sample
# score: 5
# hint: Pass generator=generator to multinomial
def sample(logits, config, generator):
    # draws from the global generator
    if not config["do_sample"]:
        return logits.argmax(dim=-1)
    logits = logits / config["temperature"]
    if config["top_k"]:
        logits = decoding.keep_top_k(logits, config["top_k"])
    logits = decoding.keep_top_p(logits, config["top_p"])
    return logits.softmax(dim=-1).multinomial(1).squeeze(-1)


# %% generate
# score: 3
# hint: Join the pieces of the completion so far
def generate(model, ids, config):
    # compares each token's own text with the stop strings
    completions = [[] for _ in ids]
    reasons = ["length"] * len(ids)
    for _ in range(config["max_new_tokens"]):
        chosen = model(ids)[:, -1].argmax(dim=-1)
        ids = torch.cat([ids, chosen[:, None]], dim=-1)
        for row, token in enumerate(chosen.tolist()):
            if reasons[row] == "length":
                completions[row].append(token)
                if token == config["eos_id"] or config["pieces"][token] in config["stop_strings"]:
                    reasons[row] = "stop"
        if "length" not in reasons:
            break
    return [
        {"ids": row, "finish_reason": reason}
        for row, reason in zip(completions, reasons, strict=True)
    ]


# %% batch_generate
# score: 5
# hint: Make the mask from the lengths
def batch_generate(model, prompts, max_new_tokens, pad_id):
    # takes every padding token for padding, wherever it stands
    longest = max(map(len, prompts))
    ids = torch.tensor([[pad_id] * (longest - len(prompt)) + prompt for prompt in prompts])
    mask = (ids != pad_id).long()
    with torch.inference_mode():
        for _ in range(max_new_tokens):
            logits = model(input_ids=ids, attention_mask=mask).logits
            ids = torch.cat([ids, logits[:, -1].argmax(dim=-1, keepdim=True)], dim=-1)
            mask = torch.cat([mask, torch.ones_like(mask[:, :1])], dim=-1)
    return ids[:, longest:].tolist()


# %% validate
# score: 5
# hint: 0 is a value, only None is missing
def validate(config):
    # takes 0 for missing
    problems = set()
    if config.get("top_p") and not 0 < config["top_p"] <= 1:
        problems.add("top_p")
    if config.get("do_sample"):
        if config.get("temperature") is not None and config["temperature"] <= 0:
            problems.add("temperature")
        if not config.get("top_k"):
            problems.add("top_k")
    else:
        for name, neutral in (("temperature", 1), ("top_k", 0), ("top_p", 1)):
            if config.get(name) not in (None, neutral):
                problems.add(name)
    if not config.get("max_new_tokens"):
        problems.add("max_new_tokens")
    return sorted(problems)
