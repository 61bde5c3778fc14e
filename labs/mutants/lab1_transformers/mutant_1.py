"""Wrong solutions of lab1_transformers that miss the point of the exercise."""

# %% bpe_train
# score: 4
# hint: Add the word's count for each of its pairs, not 1.
def bpe_train(words, n):
    # every word counts once
    pieces = {word: list(word) for word in words}
    merges = []
    while len(merges) < n:
        counts = Counter(pair for parts in pieces.values() for pair in pairwise(parts))
        if not counts:
            break
        best = min(counts, key=lambda pair: (-counts[pair], pair))
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
# hint: Mask the scores with -inf before the softmax
def attention(q, k, v, causal):
    # masks after the softmax
    shares = (q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])).softmax(dim=-1)
    if causal:
        shares = shares.tril()
        shares[..., 0, 0] = 1.0
    return shares @ v


# %% rope
# score: 4
# hint: Cut the width in half and pair the halves; pairing neighbours is the interleaved
def rope(x, positions, theta):
    # pairs neighbours
    width = x.shape[-1]
    angles = positions[:, None] * theta ** -(torch.arange(0, width, 2) / width)
    first, second = x[..., 0::2], x[..., 1::2]
    turned = (
        first * angles.cos() - second * angles.sin(),
        second * angles.cos() + first * angles.sin(),
    )
    return torch.stack(turned, dim=-1).flatten(-2)


# %% grouped_query_attention
# score: 3
# hint: repeat_interleave, not repeat
def grouped_query_attention(x, wq, wk, wv, wo, heads, kv_heads):
    # gives the key-value heads in the order 0 1 0 1
    length = x.shape[0]
    q = (x @ wq.T).view(length, heads, -1).transpose(0, 1)
    k = (x @ wk.T).view(length, kv_heads, -1).transpose(0, 1).repeat(heads // kv_heads, 1, 1)
    v = (x @ wv.T).view(length, kv_heads, -1).transpose(0, 1).repeat(heads // kv_heads, 1, 1)
    gathered, _ = attend(q, k, v, causal_mask(length))
    return gathered.transpose(0, 1).reshape(length, -1) @ wo.T


# %% forward
# score: 0
# hint: After the layers comes a norm with model.norm.weight
def forward(ids, weights, config):
    # no norm at the end
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
    return x @ weights.get("lm_head.weight", weights["model.embed_tokens.weight"]).T


# %% decode_step
# score: 2
# hint: it does not restart at 0
def decode_step(x, cache, layer):
    # positions restart at 0
    past, new = cache["keys"].shape[1], x.shape[0]
    positions = torch.arange(new)

    def project(name, heads):
        return (x @ layer[name].T).unflatten(-1, (heads, -1)).transpose(0, 1)[None]

    q = rotate(project("wq", layer["heads"]), positions, layer["theta"])
    k = rotate(project("wk", layer["kv_heads"]), positions, layer["theta"])[0]
    v = project("wv", layer["kv_heads"])[0]
    keys = torch.cat([cache["keys"], k], dim=1)
    values = torch.cat([cache["values"], v], dim=1)
    shared = (share_heads(part[None], layer["heads"]) for part in (keys, values))
    gathered, _ = attend(q, *shared, causal_mask(new, past + new))
    return gathered[0].transpose(0, 1).flatten(1) @ layer["wo"].T, {"keys": keys, "values": values}


# %% find_induction_head
# score: 5
# hint: an induction head looks at the one after it
def find_induction_head(attention, period):
    # looks at the earlier copy itself and a little around it
    rows = torch.arange(period, attention.shape[-1])
    near = [attention[:, :, rows, rows - period + shift].mean(-1) for shift in (0, 1)]
    scores = torch.stack(near).max(0).values
    return divmod(int(scores.argmax()), attention.shape[1])
