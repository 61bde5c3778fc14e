"""Wrong solutions of lab2_summarize_dialogue that miss the point of the exercise."""

# %% build_prompt
# score: 1
# hint: The dialogue to be summarized must be the last thing before 'Summary:'.
def build_prompt(shots, query, template):
    # the query first, the examples after it
    pieces = [template.format(dialogue=query, summary="")]
    pieces += [template.format(dialogue=s["dialogue"], summary=s["summary"]) for s in shots]
    return "\n\n".join(pieces)


# %% to_messages
# score: 1
# hint: A shot gives two messages: a 'user' with its dialogue, an 'assistant'
def to_messages(shots, query):
    # everything in one user message
    examples = "".join(f"{s['dialogue']}\n{s['summary']}\n\n" for s in shots)
    return [{"role": "user", "content": f"{INSTRUCTION}\n\n{examples}{query}"}]


# %% fit_budget
# score: 2
# hint: Count tokens, not characters or words
def fit_budget(shots, query, tokenizer, max_tokens):
    # counts characters
    if len(query) > max_tokens:
        raise ValueError("The query is too long.")
    kept = []
    for shot in shots:
        if len("\n\n".join([*kept, shot, query])) <= max_tokens:
            kept.append(shot)
    return "\n\n".join([*kept, query])


# %% safe_shots
# score: 2
# hint: Compare dialogues, not rows or ids
def safe_shots(pool, target, k, seed):
    # compares rows: the same dialogue under another id leaks
    others = [row for row in pool if row["id"] != target["id"]]
    return random.Random(seed).sample(others, k)


# %% summarize
# score: 3
# hint: Keep the order of the dialogues, and let model.complete make the batch
def summarize(model, dialogues, prompt, config):
    # its own batch, padded on the right
    if any(not dialogue.strip() for dialogue in dialogues):
        raise ValueError("An empty dialogue.")
    if not dialogues:
        return []
    tokenizer = model.tokenizer
    chats = [[{"role": "user", "content": prompt.format(dialogue=d)}] for d in dialogues]
    batch = tokenizer.apply_chat_template(
        chats, add_generation_prompt=True, padding=True, return_tensors="pt"
    )
    output = model.model.generate(**batch, generation_config=config)
    answers = output[:, batch["input_ids"].shape[1] :]
    return [text.strip() for text in tokenizer.batch_decode(answers, skip_special_tokens=True)]


# %% compare_prompts
# score: 3
# hint: Pair the scores: draw dialogues once
def compare_prompts(scores_a, scores_b):
    # unpaired: A and B are drawn separately
    if len(scores_a) != len(scores_b):
        raise ValueError("Different lengths.")
    a, b = np.asarray(scores_a), np.asarray(scores_b)
    rng = np.random.default_rng(0)
    drawn_a = a[rng.integers(len(a), size=(1000, len(a)))].mean(axis=1)
    drawn_b = b[rng.integers(len(b), size=(1000, len(b)))].mean(axis=1)
    low, high = np.percentile(drawn_a - drawn_b, [2.5, 97.5])
    return float(a.mean() - b.mean()), float(low), float(high)


# %% parse_answer
# score: 3
# hint: Never use eval or exec on what a model wrote
def parse_answer(text, schema):
    # runs what the model wrote
    types = {"string": str, "integer": int, "number": (int, float), "boolean": bool}
    start, end = text.find("{"), text.rfind("}")
    if start < 0:
        raise ValueError("No object.")
    found = eval(text[start : end + 1])
    for key, name in schema.items():
        if not isinstance(found.get(key), types[name]):
            raise ValueError(f"{key} is missing or no {name}.")
    return {key: found[key] for key in schema}
