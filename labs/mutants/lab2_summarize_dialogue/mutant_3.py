"""Wrong solutions of lab2_summarize_dialogue that are nearly right."""

# %% build_prompt
# score: 4
# hint: Fill each template once, both fields together
def build_prompt(shots, query, template):
    # the second replace also works inside the dialogue
    def fill(dialogue, summary):
        return template.replace("{dialogue}", dialogue).replace("{summary}", summary)

    pieces = [fill(s["dialogue"], s["summary"]) for s in shots]
    return "\n\n".join([*pieces, fill(query, "")])


# %% to_messages
# score: 1
# hint: an 'assistant' with its summary alone.
def to_messages(shots, query):
    # a label in front of each summary, which the model then copies
    messages = []
    for shot in shots:
        messages.append({"role": "user", "content": f"{INSTRUCTION}\n\n{shot['dialogue']}"})
        messages.append({"role": "assistant", "content": f"Summary: {shot['summary']}"})
    return [*messages, {"role": "user", "content": f"{INSTRUCTION}\n\n{query}"}]


# %% fit_budget
# score: 4
# hint: Go on after a shot that does not fit
def fit_budget(shots, query, tokenizer, max_tokens):
    # stops at the first shot that does not fit
    if len(tokenizer(query)["input_ids"]) > max_tokens:
        raise ValueError("The query is too long.")
    kept = []
    for shot in shots:
        if len(tokenizer("\n\n".join([*kept, shot, query]))["input_ids"]) > max_tokens:
            break
        kept.append(shot)
    return "\n\n".join([*kept, query])


# %% safe_shots
# score: 3
# hint: Keep one row for each dialogue before you draw
def safe_shots(pool, target, k, seed):
    # the target is excluded by its dialogue, but a dialogue may be drawn twice
    others = [row for row in pool if row["dialogue"] != target["dialogue"]]
    if len(others) < k:
        raise ValueError("Too few.")
    return random.Random(seed).sample(others, k)


# %% summarize
# score: 1
# hint: Send prompt.format(dialogue=...) as a chat
def summarize(model, dialogues, prompt, config):
    # bare text, without the chat template
    if any(not dialogue.strip() for dialogue in dialogues):
        raise ValueError("An empty dialogue.")
    prompts = [prompt.format(dialogue=dialogue) for dialogue in dialogues]
    return [c.text.strip() for c in model.complete(prompts, config)] if prompts else []


# %% compare_prompts
# score: 4
# hint: Mind the sign: positive means that A, the first argument, is better
def compare_prompts(scores_a, scores_b):
    # B minus A
    if len(scores_a) != len(scores_b):
        raise ValueError("Different lengths.")
    differences = np.asarray(scores_b) - np.asarray(scores_a)
    drawn = np.random.default_rng(0).integers(len(differences), size=(1000, len(differences)))
    low, high = np.percentile(differences[drawn].mean(axis=1), [2.5, 97.5])
    return float(differences.mean()), float(low), float(high)


# %% parse_answer
# score: 5
# hint: isinstance(True, int) holds in Python
def parse_answer(text, schema):
    # True passes for an integer
    types = {"string": str, "integer": int, "number": (int, float), "boolean": bool}
    for start in range(len(text)):
        try:
            found, _ = json.JSONDecoder().raw_decode(text, start)
        except json.JSONDecodeError:
            continue
        if isinstance(found, dict) and all(
            key in found and isinstance(found[key], types[name]) for key, name in schema.items()
        ):
            return {key: found[key] for key in schema}
    raise ValueError("Nothing fits.")
