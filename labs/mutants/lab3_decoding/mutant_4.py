"""Wrong solutions of lab3_decoding: constants, and answers that look at too much or too little."""

# %% softmax_with_temperature
# score: 4
# hint: Raise ValueError unless temperature > 0
def softmax_with_temperature(logits, temperature):
    # divides the caller's logits in place, and takes any temperature
    logits /= temperature
    return torch.softmax(logits, dim=-1)


# %% top_k
# score: 0
# hint: Find the k-th largest value of the row
def top_k(logits, k):
    # filters nothing
    return logits


# %% top_p
# score: 1
# hint: Drop a token only if the tokens before it already reach p
def top_p(logits, p):
    # drops single tokens less probable than 1 - p
    return logits.masked_fill(logits.softmax(dim=-1) < 1 - p, -math.inf)


# %% sample
# score: 5
# hint: Apply top-k only if it is not 0
def sample(logits, config, generator):
    # adds the library's top_k=50 where none was asked for
    if not config["do_sample"]:
        return logits.argmax(dim=-1)
    logits = decoding.keep_top_k(logits / config["temperature"], config["top_k"] or 50)
    logits = decoding.keep_top_p(logits, config["top_p"])
    return logits.softmax(dim=-1).multinomial(1, generator=generator).squeeze(-1)


# %% generate
# score: 4
# hint: in the completion only, not in prompt and completion
def generate(model, ids, config):
    # looks for stop strings in the prompt as well
    prompt = ids.shape[1]
    completions = [[] for _ in ids]
    reasons = ["length"] * len(ids)
    for _ in range(config["max_new_tokens"]):
        chosen = model(ids)[:, -1].argmax(dim=-1)
        ids = torch.cat([ids, chosen[:, None]], dim=-1)
        for row, token in enumerate(chosen.tolist()):
            if reasons[row] == "length":
                completions[row].append(token)
                text = "".join(config["pieces"][t] for t in ids[row, :prompt].tolist())
                text += "".join(config["pieces"][t] for t in completions[row])
                stops = config["stop_strings"]
                if token == config["eos_id"] or any(stop in text for stop in stops):
                    reasons[row] = "stop"
        if "length" not in reasons:
            break
    return [
        {"ids": row, "finish_reason": reason}
        for row, reason in zip(completions, reasons, strict=True)
    ]


# %% batch_generate
# score: 2
# hint: Pad on the left
def batch_generate(model, prompts, max_new_tokens, pad_id):
    # pads on the left and forgets the mask
    longest = max(map(len, prompts))
    ids = torch.tensor([[pad_id] * (longest - len(prompt)) + prompt for prompt in prompts])
    with torch.inference_mode():
        for _ in range(max_new_tokens):
            best = model(input_ids=ids).logits[:, -1].argmax(dim=-1, keepdim=True)
            ids = torch.cat([ids, best], dim=-1)
    return ids[:, longest:].tolist()


# %% validate
# score: 0
# hint: has nothing to say about a sound configuration
def validate(config):
    # reports everything, always
    return ["max_new_tokens", "temperature", "top_k", "top_p"]
