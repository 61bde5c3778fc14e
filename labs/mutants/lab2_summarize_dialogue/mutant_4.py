"""Wrong solutions of lab2_summarize_dialogue: the slips that only the last property sees."""

# %% build_prompt
# score: 2
# hint: Join the filled templates with "\n\n"
def build_prompt(shots, query, template):
    # a blank line too many, as in a well-known notebook
    pieces = [template.format(dialogue=s["dialogue"], summary=s["summary"]) for s in shots]
    return "\n\n\n".join([*pieces, template.format(dialogue=query, summary="")])


# %% to_messages
# score: 3
# hint: leave the texts alone: no strip, no extra words.
def to_messages(shots, query):
    # tidies the texts
    messages = []
    for shot in shots:
        messages.append({"role": "user", "content": f"{INSTRUCTION}\n\n{shot['dialogue'].strip()}"})
        messages.append({"role": "assistant", "content": shot["summary"].strip()})
    return [*messages, {"role": "user", "content": f"{INSTRUCTION}\n\n{query.strip()}"}]


# %% fit_budget
# score: 5
# hint: Join first, then count
def fit_budget(shots, query, tokenizer, max_tokens):
    # adds up the tokens of the parts and forgets the blank lines
    used = len(tokenizer(query)["input_ids"])
    if used > max_tokens:
        raise ValueError("The query is too long.")
    kept = []
    for shot in shots:
        tokens = len(tokenizer(shot)["input_ids"])
        if used + tokens <= max_tokens:
            used += tokens
            kept.append(shot)
    return "\n\n".join([*kept, query])


# %% safe_shots
# score: 5
# hint: the same dialogue may be spaced differently.
def safe_shots(pool, target, k, seed):
    # takes other line ends for another dialogue
    rows = {row["dialogue"]: row for row in pool if row["dialogue"] != target["dialogue"]}
    if len(rows) < k:
        raise ValueError("Too few.")
    return random.Random(seed).sample(list(rows.values()), k)


# %% summarize
# score: 4
# hint: Pass config on as it is
def summarize(model, dialogues, prompt, config):
    # a configuration of its own
    if any(not dialogue.strip() for dialogue in dialogues):
        raise ValueError("An empty dialogue.")
    chats = [[{"role": "user", "content": prompt.format(dialogue=d)}] for d in dialogues]
    own = GenerationConfig(max_new_tokens=6, do_sample=False)
    return [c.text.strip() for c in model.complete(chats, own)] if chats else []


# %% compare_prompts
# score: 5
# hint: zip would quietly drop the scores that are left over.
def compare_prompts(scores_a, scores_b):
    # drops what cannot be paired
    differences = np.array([a - b for a, b in zip(scores_a, scores_b)])
    drawn = np.random.default_rng(0).integers(len(differences), size=(1000, len(differences)))
    low, high = np.percentile(differences[drawn].mean(axis=1), [2.5, 97.5])
    return float(differences.mean()), float(low), float(high)


# %% parse_answer
# score: 2
# hint: Look for the object inside the text
def parse_answer(text, schema):
    # the whole answer must be JSON, and the schema is not looked at
    return json.loads(text)
