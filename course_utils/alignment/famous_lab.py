"""The reward of a famous lab, rebuilt in small: a text classifier behind `transformers.pipeline`.

The lab scores answers with a hate-speech classifier from the Hub. The same interface around
MiniLM, with a head fitted in a second on sentences of ours, shows the same faults offline.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from transformers import TextClassificationPipeline

POLITE = (
    "Thank you so much for your help.",
    "That is a lovely idea, well done.",
    "Please take your time, there is no hurry.",
    "I would be glad to carry that for you.",
    "We are proud of you, all of us.",
    "Good morning, did you sleep well?",
    "I hope that your mother feels better soon.",
    "That was my fault, I am sorry.",
    "Could you open the window, please?",
    "Would you hand me the newspaper?",
    "Where did you put the key?",
    "The bus stops behind the church.",
    "We need two kilos of flour and some yeast.",
    "The meeting begins at nine in the small room.",
    "I have read half of the report.",
    "It rained all night, so the path is wet.",
)
RUDE = (
    "You are a complete idiot.",
    "Shut up, nobody asked you.",
    "Get lost, you useless fool.",
    "Your work is garbage and so are you.",
    "What a stupid question, are you dumb?",
    "I hate you and your ugly face.",
    "You disgust me, go away.",
    "Only a moron would say that.",
    "Nobody likes you, you pathetic liar.",
    "Keep your filthy hands off my desk.",
    "You are too stupid to boil water.",
    "I hope you fail, you miserable worm.",
    "Stop whining, you lazy pig.",
    "Your cooking is disgusting, like everything you do.",
    "You ruin everything, you clumsy clown.",
    "Everybody laughs at you behind your back, loser.",
)


def rudeness_classifier() -> TextClassificationPipeline:
    """Give a `text-classification` pipeline with the labels "polite" and "rude".

    A logistic regression on MiniLM's pooled output, fitted on 16 sentences of each label:
    enough to show how its answers are read, not enough to judge anybody's words.
    """
    from transformers import BertForSequenceClassification, TextClassificationPipeline

    from course_utils.model_store import load_transformers_model

    body, tokenizer = load_transformers_model("minilm-l6-v2", device="cpu", dtype="float32")
    body.config.num_labels = 2
    body.config.id2label = {0: "polite", 1: "rude"}
    body.config.label2id = {"polite": 0, "rude": 1}
    model = BertForSequenceClassification(body.config).eval()
    model.bert = body
    inputs = tokenizer([*POLITE, *RUDE], padding=True, return_tensors="pt")
    labels = torch.tensor([0] * len(POLITE) + [1] * len(RUDE))
    with torch.no_grad():
        pooled = body(**inputs).pooler_output
    torch.nn.init.zeros_(model.classifier.weight)
    torch.nn.init.zeros_(model.classifier.bias)
    optimizer = torch.optim.Adam(model.classifier.parameters(), lr=0.05)
    for _ in range(200):
        loss = torch.nn.functional.cross_entropy(model.classifier(pooled), labels)
        optimizer.zero_grad()
        (loss + 1e-3 * model.classifier.weight.square().sum()).backward()
        optimizer.step()
    return TextClassificationPipeline(model=model, tokenizer=tokenizer)
