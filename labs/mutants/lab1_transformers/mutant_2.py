"""Wrong solutions of lab1_transformers with a slip in one place."""

# %% bpe_train
# score: 4
# hint: Rewrite the words after each merge
def bpe_train(words, n):
    # counts the characters' pairs once and returns the n best of them
    counts = Counter()
    for word, count in words.items():
        for pair in pairwise(word):
            counts[pair] += count
    return sorted(counts, key=lambda pair: (-counts[pair], pair))[:n]


# %% attention
# score: 1
# hint: for each query the shares sum to 1
def attention(q, k, v, causal):
    # softmax over the queries
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    if causal:
        future = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(diagonal=1)
        scores = scores.masked_fill(future, -math.inf)
    return scores.softmax(dim=-2) @ v


# %% rope
# score: 4
# hint: mind which of the two gets the minus
def rope(x, positions, theta):
    # turns the other way
    width = x.shape[-1]
    angles = -positions[:, None] * theta ** -(torch.arange(0, width, 2) / width)
    first, second = x.chunk(2, dim=-1)
    turned = (
        first * angles.cos() - second * angles.sin(),
        second * angles.cos() + first * angles.sin(),
    )
    return torch.cat(turned, dim=-1)


# %% grouped_query_attention
# score: 1
# hint: reshape to (heads, length, h) mixes tokens
def grouped_query_attention(x, wq, wk, wv, wo, heads, kv_heads):
    # reshapes straight to (heads, length, h)
    length = x.shape[0]
    q = (x @ wq.T).reshape(heads, length, -1)
    k = (x @ wk.T).reshape(kv_heads, length, -1).repeat_interleave(heads // kv_heads, dim=0)
    v = (x @ wv.T).reshape(kv_heads, length, -1).repeat_interleave(heads // kv_heads, dim=0)
    gathered, _ = attend(q, k, v, causal_mask(length))
    return gathered.reshape(length, -1) @ wo.T


# %% forward
# score: 1
# hint: adds to the stream itself
def forward(ids, weights, config):
    # attention replaces the stream instead of adding to it
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
        x = gathered @ weights[start + "self_attn.o_proj.weight"].T
        inputs = norm(x, weights[start + "post_attention_layernorm.weight"])
        gate, up = (inputs @ weights[f"{start}mlp.{name}_proj.weight"].T for name in ("gate", "up"))
        x = x + (F.silu(gate) * up) @ weights[start + "mlp.down_proj.weight"].T
    x = norm(x, weights["model.norm.weight"])
    return x @ weights.get("lm_head.weight", weights["model.embed_tokens.weight"]).T


# %% decode_step
# score: 5
# hint: Among the new tokens the causal mask still holds
def decode_step(x, cache, layer):
    # no mask: right for one token at a time
    past, new = cache["keys"].shape[1], x.shape[0]
    positions = torch.arange(past, past + new)

    def project(name, heads):
        return (x @ layer[name].T).unflatten(-1, (heads, -1)).transpose(0, 1)[None]

    q = rotate(project("wq", layer["heads"]), positions, layer["theta"])
    k = rotate(project("wk", layer["kv_heads"]), positions, layer["theta"])[0]
    v = project("wv", layer["kv_heads"])[0]
    keys = torch.cat([cache["keys"], k], dim=1)
    values = torch.cat([cache["values"], v], dim=1)
    shared = (share_heads(part[None], layer["heads"]) for part in (keys, values))
    gathered, _ = attend(q, *shared)
    return gathered[0].transpose(0, 1).flatten(1) @ layer["wo"].T, {"keys": keys, "values": values}


# %% find_induction_head
# score: 5
# hint: Take the mean over all i from period on, not the largest share.
def find_induction_head(attention, period):
    # the largest single share instead of the mean
    rows = torch.arange(period, attention.shape[-1])
    scores = attention[:, :, rows, rows - period + 1].amax(-1)
    return divmod(int(scores.argmax()), attention.shape[1])
