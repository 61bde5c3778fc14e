"""Wrong solutions of lab4_ship_a_summarizer: other units, side effects, and half of the cases."""

# %% memory_gb
# score: 0
# hint: GB are 10**9 bytes
def memory_gb(config, dtype, context, batch):
    # counts GiB
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
    cache = 2 * config["num_hidden_layers"] * keys * context * batch
    return sizes[dtype] * (weights + cache) / 2**30


# %% rouge_n
# score: 2
# hint: An n-gram is n words in a row
def rouge_n(prediction, reference, n):
    # compares single words, whatever n is
    predicted, wanted = Counter(words(prediction)), Counter(words(reference))
    matches = (predicted & wanted).total()
    if matches == 0:
        return 0.0, 0.0, 0.0
    precision, recall = matches / predicted.total(), matches / wanted.total()
    return precision, recall, 2 * precision * recall / (precision + recall)


# %% rouge_l
# score: 0
# hint: by the words of the prediction for precision
def rouge_l(prediction, reference):
    # returns the mean of precision and recall for F1
    predicted, wanted = words(prediction), words(reference)
    above = [0] * (len(wanted) + 1)
    for word in predicted:
        row = [0]
        for j, other in enumerate(wanted):
            row.append(above[j] + 1 if word == other else max(above[j + 1], row[j]))
        above = row
    if above[-1] == 0:
        return 0.0, 0.0, 0.0
    precision, recall = above[-1] / len(predicted), above[-1] / len(wanted)
    return precision, recall, (precision + recall) / 2


# %% mask_labels
# score: 4
# hint: Work on a copy
def mask_labels(input_ids, attention_mask, prompt_lengths):
    # writes the labels into the ids
    number = attention_mask.cumsum(dim=1)
    answer = (number > torch.tensor(prompt_lengths)[:, None]) & attention_mask.bool()
    input_ids[~answer] = -100
    return input_ids


# %% LoRALinear
# score: 4
# hint: never write into the base
class LoRALinear(nn.Module):
    # merges into the base itself
    def __init__(self, base, r, alpha):
        super().__init__()
        self.base = base.requires_grad_(False)
        self.A = nn.Parameter(torch.randn(r, base.in_features))
        self.B = nn.Parameter(torch.zeros(base.out_features, r))
        self.scale = alpha / r

    def forward(self, x):
        return self.base(x) + self.scale * (x @ self.A.T @ self.B.T)

    def merged(self):
        self.base.weight.data += self.scale * (self.B @ self.A).detach()
        return self.base


# %% dpo_loss
# score: 3
# hint: not the sum
def dpo_loss(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta):
    # sums over the pairs
    chosen = policy_chosen - reference_chosen.detach()
    rejected = policy_rejected - reference_rejected.detach()
    return -F.logsigmoid(beta * (chosen - rejected)).sum()


# %% quantize_int8
# score: 3
# hint: axis names the slices that have a scale of their own
def quantize_int8(weight, axis):
    # always takes rows
    weight = weight.float()
    largest = weight.abs().amax(dim=list(range(1, weight.dim())), keepdim=True)
    scale = torch.where(largest > 0, largest / 127, 1.0)
    return (weight / scale).round().to(torch.int8), scale


# %% retrieve
# score: 5
# hint: Return what there is
def retrieve(query, documents, k):
    # fails when there are fewer than k documents
    if k < 1:
        raise ValueError("k must be at least 1")
    cosines = F.cosine_similarity(query[None], documents)
    order = cosines.argsort(descending=True, stable=True).tolist()
    return [(order[place], cosines[order[place]].item()) for place in range(k)]


# %% should_ship
# score: 7
# hint: do not return at the first
def should_ship(report):
    # returns at the first rule that does not hold
    limits = report["limits"]
    low = {name: report[name]["difference"]["low"] for name in ("rouge1", "faithfulness")}
    if not report["n"] >= limits["n"]:
        return False, ["n"]
    if not low["rouge1"] > 0:
        return False, ["rouge1"]
    if not low["faithfulness"] >= -limits["faithfulness_drop"]:
        return False, ["faithfulness"]
    for name in ("p95_seconds", "memory_gb"):
        if not report[name] <= limits[name]:
            return False, [name]
    return True, []
