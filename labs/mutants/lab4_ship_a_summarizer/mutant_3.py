"""Wrong solutions of lab4_ship_a_summarizer that fail in one corner."""

# %% memory_gb
# score: 3
# hint: k_proj, v_proj and the cache have num_key_value_heads heads
def memory_gb(config, dtype, context, batch):
    # gives every query head its own keys and values
    sizes = {"float32": 4, "bfloat16": 2, "float16": 2}
    if dtype not in sizes:
        raise ValueError("unknown dtype")
    hidden, heads = config["hidden_size"], config["num_attention_heads"]
    width = heads * (config.get("head_dim") or hidden // heads)
    layer = 4 * hidden * width + 3 * hidden * config["intermediate_size"] + 2 * hidden
    copies = 1 if config.get("tie_word_embeddings", False) else 2
    weights = copies * config["vocab_size"] * hidden + hidden
    weights += config["num_hidden_layers"] * layer
    cache = 2 * config["num_hidden_layers"] * width * context * batch
    return sizes[dtype] * (weights + cache) / 1e9


# %% rouge_n
# score: 5
# hint: there may be nothing to divide by
def rouge_n(prediction, reference, n):
    # divides by zero where a text has no n-gram
    counts = []
    for text in (prediction, reference):
        tokens = words(text)
        counts.append(Counter(tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)))
    matches = (counts[0] & counts[1]).total()
    precision, recall = matches / counts[0].total(), matches / counts[1].total()
    total = precision + recall
    return precision, recall, 2 * precision * recall / total if total else 0.0


# %% rouge_l
# score: 3
# hint: Do not settle for the first match you meet
def rouge_l(prediction, reference):
    # takes each word's next match, and never goes back
    predicted, wanted = words(prediction), words(reference)
    longest, start = 0, 0
    for word in predicted:
        if word in wanted[start:]:
            start = wanted.index(word, start) + 1
            longest += 1
    if longest == 0:
        return 0.0, 0.0, 0.0
    precision, recall = longest / len(predicted), longest / len(wanted)
    return precision, recall, 2 * precision * recall / (precision + recall)


# %% mask_labels
# score: 4
# hint: with padding on the left the prompt does not begin in column 0
def mask_labels(input_ids, attention_mask, prompt_lengths):
    # counts the prompt from column 0
    columns = torch.arange(input_ids.shape[1])
    prompt = columns < torch.tensor(prompt_lengths)[:, None]
    return input_ids.masked_fill(prompt | (attention_mask == 0), -100)


# %% LoRALinear
# score: 4
# hint: Call requires_grad_(False) on the base
class LoRALinear(nn.Module):
    # trains the base as well
    def __init__(self, base, r, alpha):
        super().__init__()
        self.base = base
        self.A = nn.Parameter(torch.randn(r, base.in_features))
        self.B = nn.Parameter(torch.zeros(base.out_features, r))
        self.scale = alpha / r

    def forward(self, x):
        return self.base(x) + self.scale * (x @ self.A.T @ self.B.T)

    def merged(self):
        layer = copy.deepcopy(self.base)
        layer.weight.data += self.scale * (self.B @ self.A).detach()
        return layer


# %% dpo_loss
# score: 5
# hint: use F.logsigmoid or F.softplus
def dpo_loss(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta):
    # takes sigmoid and logarithm in two steps
    chosen = policy_chosen - reference_chosen.detach()
    rejected = policy_rejected - reference_rejected.detach()
    return -torch.log(torch.sigmoid(beta * (chosen - rejected))).mean()


# %% quantize_int8
# score: 5
# hint: 0 / 0 is nan
def quantize_int8(weight, axis):
    # divides rows of zeros by zero
    weight = weight.float()
    others = [dim for dim in range(weight.dim()) if dim != axis % weight.dim()]
    scale = weight.abs().amax(dim=others, keepdim=True) / 127
    return (weight / scale).round().to(torch.int8), scale


# %% retrieve
# score: 5
# hint: Dividing by a length of 0 gives nan
def retrieve(query, documents, k):
    # divides by a length of zero
    if k < 1:
        raise ValueError("k must be at least 1")
    cosines = documents @ query / (documents.norm(dim=-1) * query.norm())
    order = cosines.argsort(descending=True, stable=True)[:k]
    return [(row, cosines[row].item()) for row in order.tolist()]


# %% should_ship
# score: 7
# hint: Every comparison with nan is false
def should_ship(report):
    # asks which rules are broken, so what was not measured passes
    limits, broken = report["limits"], []
    if report["n"] < limits["n"]:
        broken.append("n")
    if report["rouge1"]["difference"]["low"] <= 0:
        broken.append("rouge1")
    if report["faithfulness"]["difference"]["low"] < -limits["faithfulness_drop"]:
        broken.append("faithfulness")
    for name in ("p95_seconds", "memory_gb"):
        if report[name] > limits[name]:
            broken.append(name)
    return not broken, broken
