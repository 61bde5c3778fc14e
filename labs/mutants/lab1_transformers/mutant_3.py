"""Wrong solutions of lab1_transformers that work on the examples and not beyond them."""

# %% bpe_train
# score: 5
# hint: not the one seen first
def bpe_train(words, n):
    # where counts tie, the pair seen first
    pieces = {word: list(word) for word in words}
    merges = []
    while len(merges) < n:
        counts = Counter()
        for word, count in words.items():
            for pair in pairwise(pieces[word]):
                counts[pair] += count
        if not counts:
            break
        best = max(counts, key=counts.get)
        merges.append(best)
        for word, old in pieces.items():
            new = []
            while old:
                size = 2 if tuple(old[:2]) == best else 1
                new.append("".join(old[:size]))
                old = old[size:]
            pieces[word] = new
    return merges


# %% attention
# score: 4
# hint: Divide the dot products by sqrt(d)
def attention(q, k, v, causal):
    # no scaling
    scores = q @ k.transpose(-2, -1)
    if causal:
        future = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(diagonal=1)
        scores = scores.masked_fill(future, -math.inf)
    return scores.softmax(dim=-1) @ v


# %% rope
# score: 5
# hint: not the index of the token
def rope(x, positions, theta):
    # counts the tokens from the first position given
    width = x.shape[-1]
    places = positions[0] + torch.arange(x.shape[-2])
    angles = places[:, None] * theta ** -(torch.arange(0, width, 2) / width)
    first, second = x.chunk(2, dim=-1)
    turned = (
        first * angles.cos() - second * angles.sin(),
        second * angles.cos() + first * angles.sin(),
    )
    return torch.cat(turned, dim=-1)


# %% grouped_query_attention
# score: 6
# hint: The width of a head is the number of rows of wq divided by heads
def grouped_query_attention(x, wq, wk, wv, wo, heads, kv_heads):
    # takes the head's width from the width of x
    length, width = x.shape
    h = width // heads
    q = (x @ wq.T).view(length, heads, h).transpose(0, 1)
    k = (x @ wk.T).view(length, kv_heads, h).transpose(0, 1)
    v = (x @ wv.T).view(length, kv_heads, h).transpose(0, 1)
    k, v = (part.repeat_interleave(heads // kv_heads, dim=0) for part in (k, v))
    gathered, _ = attend(q, k, v, causal_mask(length))
    return gathered.transpose(0, 1).reshape(length, width) @ wo.T


# %% forward
# score: 6
# hint: Use lm_head.weight where the weights have it
def forward(ids, weights, config):
    # always the tied head
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    theta, epsilon = config["rope_parameters"]["rope_theta"], config["rms_norm_eps"]
    positions, mask = torch.arange(len(ids)), causal_mask(len(ids))

    def norm(x, gain):
        return x * (x.square().mean(-1, keepdim=True) + epsilon).rsqrt() * gain

    def split(x, count):
        return x.unflatten(-1, (count, -1)).transpose(0, 1)[None]

    x = weights["model.embed_tokens.weight"][ids]
    for number in range(config["num_hidden_layers"]):
        start = f"model.layers.{number}."
        inputs = norm(x, weights[start + "input_layernorm.weight"])
        q, k, v = (inputs @ weights[f"{start}self_attn.{name}_proj.weight"].T for name in "qkv")
        q = rotate(split(q, heads), positions, theta)
        k = share_heads(rotate(split(k, kv_heads), positions, theta), heads)
        v = share_heads(split(v, kv_heads), heads)
        gathered = attend(q, k, v, mask)[0][0].transpose(0, 1).flatten(1)
        x = x + gathered @ weights[start + "self_attn.o_proj.weight"].T
        inputs = norm(x, weights[start + "post_attention_layernorm.weight"])
        gate, up = (inputs @ weights[f"{start}mlp.{name}_proj.weight"].T for name in ("gate", "up"))
        x = x + (F.silu(gate) * up) @ weights[start + "mlp.down_proj.weight"].T
    x = norm(x, weights["model.norm.weight"])
    return x @ weights["model.embed_tokens.weight"].T


# %% decode_step
# score: 6
# hint: Turn each key once, by its own position, before it goes into the cache.
def decode_step(x, cache, layer):
    # keeps the keys before they are turned, and turns them all at every step
    past, new = cache["keys"].shape[1], x.shape[0]

    def project(name, heads):
        return (x @ layer[name].T).unflatten(-1, (heads, -1)).transpose(0, 1)[None]

    q = rotate(project("wq", layer["heads"]), torch.arange(past, past + new), layer["theta"])
    keys = torch.cat([cache["keys"], project("wk", layer["kv_heads"])[0]], dim=1)
    values = torch.cat([cache["values"], project("wv", layer["kv_heads"])[0]], dim=1)
    turned = rotate(keys[None], torch.arange(past + new), layer["theta"])
    shared = (share_heads(part, layer["heads"]) for part in (turned, values[None]))
    gathered, _ = attend(q, *shared, causal_mask(new, past + new))
    return gathered[0].transpose(0, 1).flatten(1) @ layer["wo"].T, {"keys": keys, "values": values}


# %% find_induction_head
# score: 0
# hint: return the layer first, then the head
def find_induction_head(attention, period):
    # head and layer the wrong way round
    rows = torch.arange(period, attention.shape[-1])
    scores = attention[:, :, rows, rows - period + 1].mean(-1)
    layer, head = divmod(int(scores.argmax()), attention.shape[1])
    return head, layer
