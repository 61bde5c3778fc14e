"""Wrong solutions of lab4_ship_a_summarizer that miss the point of the exercise."""

# %% memory_gb
# score: 3
# hint: The cache has 2 (keys and values)
def memory_gb(config, dtype, context, batch):
    # counts the keys of the cache and forgets the values
    sizes = {"float32": 4, "bfloat16": 2, "float16": 2}
    if dtype not in sizes:
        raise ValueError("unknown dtype")
    hidden, heads = config["hidden_size"], config["num_attention_heads"]
    head_dim = config.get("head_dim") or hidden // heads
    keys = config.get("num_key_value_heads", heads) * head_dim
    layer = 2 * hidden * heads * head_dim + 2 * hidden * keys
    layer += 3 * hidden * config["intermediate_size"] + 2 * hidden
    copies = 1 if config.get("tie_word_embeddings", False) else 2
    weights = copies * config["vocab_size"] * hidden + hidden
    weights += config["num_hidden_layers"] * layer
    cache = config["num_hidden_layers"] * keys * context * batch
    return sizes[dtype] * (weights + cache) / 1e9


# %% rouge_n
# score: 3
# hint: Count with a Counter, not with a set
def rouge_n(prediction, reference, n):
    # forgets how often an n-gram occurs
    grams = []
    for text in (prediction, reference):
        tokens = words(text)
        grams.append({tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)})
    matches = len(grams[0] & grams[1])
    if matches == 0:
        return 0.0, 0.0, 0.0
    precision, recall = matches / len(grams[0]), matches / len(grams[1])
    return precision, recall, 2 * precision * recall / (precision + recall)


# %% rouge_l
# score: 1
# hint: Words that stand in another order do not count together
def rouge_l(prediction, reference):
    # counts shared words in any order: ROUGE-1
    predicted, wanted = words(prediction), words(reference)
    longest = (Counter(predicted) & Counter(wanted)).total()
    if longest == 0:
        return 0.0, 0.0, 0.0
    precision, recall = longest / len(predicted), longest / len(wanted)
    return precision, recall, 2 * precision * recall / (precision + recall)


# %% mask_labels
# score: 0
# hint: do not shift: the model does that itself
def mask_labels(input_ids, attention_mask, prompt_lengths):
    # shifts the labels, which the model does once more
    number = attention_mask.cumsum(dim=1)
    answer = (number > torch.tensor(prompt_lengths)[:, None]) & attention_mask.bool()
    labels = input_ids.masked_fill(~answer, -100)
    return torch.cat([labels[:, 1:], torch.full_like(labels[:, :1], -100)], dim=1)


# %% LoRALinear
# score: 4
# hint: divide alpha by the rank
class LoRALinear(nn.Module):
    # scales by alpha, whatever the rank
    def __init__(self, base, r, alpha):
        super().__init__()
        self.base = base.requires_grad_(False)
        self.A = nn.Parameter(torch.randn(r, base.in_features))
        self.B = nn.Parameter(torch.zeros(base.out_features, r))
        self.alpha = alpha

    def forward(self, x):
        return self.base(x) + self.alpha * (x @ self.A.T @ self.B.T)

    def merged(self):
        layer = copy.deepcopy(self.base)
        layer.weight.data += self.alpha * (self.B @ self.A).detach()
        return layer


# %% dpo_loss
# score: 1
# hint: Mind the sign
def dpo_loss(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta):
    # prefers the rejected summary
    chosen = policy_chosen - reference_chosen.detach()
    rejected = policy_rejected - reference_rejected.detach()
    return -F.logsigmoid(beta * (rejected - chosen)).mean()


# %% quantize_int8
# score: 0
# hint: One scale for each row
def quantize_int8(weight, axis):
    # one scale for the whole tensor
    weight = weight.float()
    largest = weight.abs().max()
    scale = torch.where(largest > 0, largest / 127, 1.0)
    return (weight / scale).round().to(torch.int8), scale.reshape([1] * weight.dim())


# %% retrieve
# score: 2
# hint: A cosine is the dot product divided by the lengths
def retrieve(query, documents, k):
    # takes the dot product for the cosine
    if k < 1:
        raise ValueError("k must be at least 1")
    scores = documents @ query
    order = scores.argsort(descending=True, stable=True)[:k]
    return [(row, scores[row].item()) for row in order.tolist()]


# %% should_ship
# score: 3
# hint: not at the means
def should_ship(report):
    # chooses by the mean
    limits = report["limits"]
    holds = {
        "n": report["n"] >= limits["n"],
        "rouge1": report["rouge1"]["difference"]["mean"] > 0,
        "faithfulness": report["faithfulness"]["difference"]["mean"]
        >= -limits["faithfulness_drop"],
        "p95_seconds": report["p95_seconds"] <= limits["p95_seconds"],
        "memory_gb": report["memory_gb"] <= limits["memory_gb"],
    }
    broken = [name for name, kept in holds.items() if not kept]
    return not broken, broken
