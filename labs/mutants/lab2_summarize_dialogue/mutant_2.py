"""Wrong solutions of lab2_summarize_dialogue that work on the first example."""

# %% build_prompt
# score: 4
# hint: Use the template that is passed in
def build_prompt(shots, query, template):
    # a template of its own
    pieces = [f"Dialogue:\n\n{s['dialogue']}\n\nSummary:\n{s['summary']}" for s in shots]
    return "\n\n".join([*pieces, f"Dialogue:\n\n{query}\n\nSummary:\n"])


# %% to_messages
# score: 2
# hint: Every user message, the shots' too, is INSTRUCTION, a blank line and the dialogue.
def to_messages(shots, query):
    # the instruction only in the first message
    messages = []
    for shot in shots:
        messages.append({"role": "user", "content": shot["dialogue"]})
        messages.append({"role": "assistant", "content": shot["summary"]})
    messages.append({"role": "user", "content": query})
    messages[0]["content"] = f"{INSTRUCTION}\n\n{messages[0]['content']}"
    return messages


# %% fit_budget
# score: 1
# hint: never cut the joined text, for its end is the query.
def fit_budget(shots, query, tokenizer, max_tokens):
    # cuts the end of the prompt: the query
    tokens = tokenizer("\n\n".join([*shots, query]))["input_ids"]
    if len(tokenizer(query)["input_ids"]) > max_tokens:
        raise ValueError("The query is too long.")
    return tokenizer.decode(tokens[:max_tokens])


# %% safe_shots
# score: 1
# hint: Take the target's row out of the pool before you draw.
def safe_shots(pool, target, k, seed):
    # the leak itself: the target may be its own shot
    return random.Random(seed).sample(pool, k)


# %% summarize
# score: 3
# hint: Keep the order of the dialogues
def summarize(model, dialogues, prompt, config):
    # sorts by length and forgets to put the answers back
    if any(not dialogue.strip() for dialogue in dialogues):
        raise ValueError("An empty dialogue.")
    chats = [
        [{"role": "user", "content": prompt.format(dialogue=dialogue)}]
        for dialogue in sorted(dialogues, key=len)
    ]
    return [c.text.strip() for c in model.complete(chats, config)] if chats else []


# %% compare_prompts
# score: 4
# hint: percentile of the resampled means, not of the single differences.
def compare_prompts(scores_a, scores_b):
    # where single dialogues lie, not where the mean lies
    if len(scores_a) != len(scores_b):
        raise ValueError("Different lengths.")
    differences = np.asarray(scores_a) - np.asarray(scores_b)
    low, high = np.percentile(differences, [2.5, 97.5])
    return float(differences.mean()), float(low), float(high)


# %% parse_answer
# score: 5
# hint: try every '{', go on after a failure
def parse_answer(text, schema):
    # from the first brace to the last one
    types = {"string": (str,), "integer": (int,), "number": (int, float), "boolean": (bool,)}
    found = json.loads(text[text.find("{") : text.rfind("}") + 1])
    for key, name in schema.items():
        if type(found.get(key)) not in types[name]:
            raise ValueError(f"{key} is missing or no {name}.")
    return {key: found[key] for key in schema}
