"""Wrong solutions of lab4_ship_a_summarizer that are right on the easy inputs."""

# %% memory_gb
# score: 5
# hint: A tied head is the embedding and is held once
def memory_gb(config, dtype, context, batch):
    # counts the output head even where it is the embedding
    sizes = {"float32": 4, "bfloat16": 2, "float16": 2}
    if dtype not in sizes:
        raise ValueError("unknown dtype")
    hidden, heads = config["hidden_size"], config["num_attention_heads"]
    head_dim = config.get("head_dim") or hidden // heads
    keys = config.get("num_key_value_heads", heads) * head_dim
    layer = 2 * hidden * heads * head_dim + 2 * hidden * keys
    layer += 3 * hidden * config["intermediate_size"] + 2 * hidden
    weights = 2 * config["vocab_size"] * hidden + config["num_hidden_layers"] * layer + hidden
    cache = 2 * config["num_hidden_layers"] * keys * context * batch
    return sizes[dtype] * (weights + cache) / 1e9


# %% rouge_n
# score: 1
# hint: Return (precision, recall, F1)
def rouge_n(prediction, reference, n):
    # divides by the other text's n-grams: precision and recall change places
    counts = []
    for text in (prediction, reference):
        tokens = words(text)
        counts.append(Counter(tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)))
    matches = (counts[0] & counts[1]).total()
    if matches == 0:
        return 0.0, 0.0, 0.0
    precision, recall = matches / counts[1].total(), matches / counts[0].total()
    return precision, recall, 2 * precision * recall / (precision + recall)


# %% rouge_l
# score: 2
# hint: A subsequence may have gaps
def rouge_l(prediction, reference):
    # the longest run without gaps
    predicted, wanted = words(prediction), words(reference)
    longest = 0
    for i in range(len(predicted)):
        for j in range(len(wanted)):
            run = 0
            while predicted[i + run : i + run + 1] == wanted[j + run : j + run + 1] != []:
                run += 1
            longest = max(longest, run)
    if longest == 0:
        return 0.0, 0.0, 0.0
    precision, recall = longest / len(predicted), longest / len(wanted)
    return precision, recall, 2 * precision * recall / (precision + recall)


# %% mask_labels
# score: 2
# hint: Tell padding by attention_mask, not by input_ids == END
def mask_labels(input_ids, attention_mask, prompt_lengths):
    # hides every END, the answer's own too
    number = attention_mask.cumsum(dim=1)
    labels = input_ids.masked_fill(number <= torch.tensor(prompt_lengths)[:, None], -100)
    return labels.masked_fill(input_ids == END, -100)


# %% LoRALinear
# score: 4
# hint: with both at zero nothing is ever learned
class LoRALinear(nn.Module):
    # starts with both matrices at zero
    def __init__(self, base, r, alpha):
        super().__init__()
        self.base = base.requires_grad_(False)
        self.A = nn.Parameter(torch.zeros(r, base.in_features))
        self.B = nn.Parameter(torch.zeros(base.out_features, r))
        self.scale = alpha / r

    def forward(self, x):
        return self.base(x) + self.scale * (x @ self.A.T @ self.B.T)

    def merged(self):
        layer = copy.deepcopy(self.base)
        layer.weight.data += self.scale * (self.B @ self.A).detach()
        return layer


# %% dpo_loss
# score: 1
# hint: Measure from the reference
def dpo_loss(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta):
    # leaves the reference out
    return -F.logsigmoid(beta * (policy_chosen - policy_rejected)).mean()


# %% quantize_int8
# score: 2
# hint: Round before .to(torch.int8)
def quantize_int8(weight, axis):
    # cuts fractions off instead of rounding
    weight = weight.float()
    others = [dim for dim in range(weight.dim()) if dim != axis % weight.dim()]
    largest = weight.abs().amax(dim=others, keepdim=True)
    scale = torch.where(largest > 0, largest / 127, 1.0)
    return (weight / scale).to(torch.int8), scale


# %% retrieve
# score: 5
# hint: topk promises no order among equals
def retrieve(query, documents, k):
    # leaves the order of equal documents to topk
    if k < 1:
        raise ValueError("k must be at least 1")
    cosines = F.cosine_similarity(query[None], documents)
    best = cosines.topk(min(k, len(documents)))
    return list(zip(best.indices.tolist(), best.values.tolist()))


# %% should_ship
# score: 6
# hint: Judge by the interval of the paired difference
def should_ship(report):
    # asks that the intervals of the two systems do not overlap
    limits = report["limits"]
    before, after = report["rouge1"]["baseline"], report["rouge1"]["candidate"]
    holds = {
        "n": report["n"] >= limits["n"],
        "rouge1": after["low"] > before["high"],
        "faithfulness": report["faithfulness"]["difference"]["low"]
        >= -limits["faithfulness_drop"],
        "p95_seconds": report["p95_seconds"] <= limits["p95_seconds"],
        "memory_gb": report["memory_gb"] <= limits["memory_gb"],
    }
    broken = [name for name, kept in holds.items() if not kept]
    return not broken, broken
