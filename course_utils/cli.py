"""The `course` command: thin, one function a verb."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from course_utils.errors import CourseError

app = typer.Typer(
    help="An open course on large language models: run its notebooks, grade its labs.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
console = Console()

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a program.")]
LabName = Annotated[str, typer.Argument(help="Such as lab2_summarize_dialogue.")]
Work = Annotated[
    Path, typer.Option(help="The nbgrader course folder to grade in; formgrader opens there.")
]
GRADING = Path("build/grading")


def main() -> None:
    """Run the command; a user's mistake is a sentence and exit status 1, never a traceback."""
    try:
        app(_join_pairs(sys.argv[1:]))
    except CourseError as error:
        Console(stderr=True).print(f"[bold red]course:[/] {escape(str(error))}", soft_wrap=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Say, in a line for each need, what is there and what is missing, with the remedy."""
    from course_utils.doctor import examine

    findings = []
    for finding in examine():
        findings.append(finding)
        if not as_json:
            mark = "[green]OK  [/]" if finding.ok else "[bold red]FAIL[/]"
            remedy = f" -> {finding.remedy}" if finding.remedy else ""
            console.print(
                f"{mark} {finding.need}: {escape(finding.found + remedy)}", soft_wrap=True
            )
    if as_json:
        _print_json([{**vars(finding), "ok": finding.ok} for finding in findings])
    _exit(all(finding.ok for finding in findings))


@app.command()
def models(
    action: Annotated[Literal["list", "pull"], typer.Argument(help="What to do.")] = "list",
    name: Annotated[str, typer.Argument(help="A name of the catalogue.")] = "",
    force: Annotated[bool, typer.Option(help="Make it anew, even if it is there.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the models that the course knows by name, or pull one into the cache."""
    from course_utils.model_cache import is_cached
    from course_utils.model_catalogue import (
        CATALOGUE,
        DEFAULT_MODEL,
        AdapterSource,
        HubSource,
        WheelSource,
    )

    if action == "pull":
        from course_utils.model_store import pull

        folder = pull(name or DEFAULT_MODEL, force=force)
        console.print(f"{name or DEFAULT_MODEL} lies in {folder}", soft_wrap=True)
        return
    origin = {HubSource: "Hub", WheelSource: "a wheel", AdapterSource: "the course"}
    rows = [
        {
            "name": model.name,
            "kind": model.architecture.replace("-only", ""),
            "size": f"{model.parameters_millions} M",
            "disk": f"{model.cached_megabytes:,} MB",
            "licence": model.licence,
            "from": origin[type(model.source)],
            "pulled": "yes" if is_cached(model.name) else "",
        }
        for model in CATALOGUE.values()
    ]
    if as_json:
        _print_json(rows)
    else:
        console.print(_table(rows))


@app.command()
def adapt(
    out: Annotated[Path, typer.Option(help="Folder for the adapter and its card.")] = Path(
        "build/adapter"
    ),
    task: Annotated[str, typer.Option(help="What to teach: summary or topic.")] = "summary",
    base: Annotated[str, typer.Option(help="The model to adapt.")] = "smollm2-135m-instruct",
    dialogues: Annotated[str, typer.Option(help="course, dialogsum, a folder.")] = "course",
    epochs: Annotated[int, typer.Option(help="Times that every dialogue is read.")] = 3,
    rate: Annotated[float, typer.Option(help="The highest learning rate.")] = 1e-3,
    batch_size: Annotated[int, typer.Option(help="Dialogues a step.")] = 4,
    last_layers: Annotated[int, typer.Option(help="Layers to adapt, from the top.")] = 10,
    rank: Annotated[int, typer.Option(help="Rank of the update.")] = 4,
    seed: Annotated[int, typer.Option(help="Of the first weights and the order.")] = 0,
    dtype: Annotated[str, typer.Option(help="Of the frozen weights.")] = "auto",
) -> None:
    """Train one of the course's adapters again (LoRA), measure it, and save it with its card."""
    from course_utils.adaptation.command import adapt as train_and_measure
    from course_utils.adaptation.recipe import LoraRecipe
    from course_utils.adaptation.training import TrainingSettings

    with _settings():
        training = TrainingSettings(epochs, rate, batch_size, seed=seed)
        recipe = LoraRecipe(
            base=base,
            task=task,
            last_layers=last_layers,
            rank=rank,
            alpha=2 * rank,
            training=training,
        )
    train_and_measure(
        recipe,
        out,
        source=dialogues,
        dtype=dtype,
        console=console,
        command=" ".join(["course", *sys.argv[1:]]),
    )


@app.command()
def run(
    notebooks: Annotated[
        list[str] | None, typer.Argument(help="Names, numbers or paths; none means all.")
    ] = None,
    profile: Annotated[str, typer.Option(help="fast, or full for the real numbers.")] = "fast",
    parameter: Annotated[
        list[str] | None,
        typer.Option("-p", "--parameter", metavar="NAME VALUE", help="Set a parameter."),
    ] = None,
    sweep: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=V1,V2 ...", help="Run every combination of these values."),
    ] = None,
    jobs: Annotated[int, typer.Option(help="How many notebooks at once.")] = 1,
    timeout: Annotated[float | None, typer.Option(help="Seconds for a notebook.")] = None,
    cell_timeout: Annotated[float | None, typer.Option(help="Seconds for a cell.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of the report.")] = Path("build/run"),
    resume: Annotated[bool, typer.Option("--resume", help="Leave out what passed before.")] = False,
    as_json: AsJson = False,
) -> None:
    """Execute notebooks with papermill and leave a report: HTML to read, JSON for programs."""
    from course_utils.automation.run import run_notebooks
    from course_utils.automation.sweep import split_sweep
    from course_utils.repository import repository_root

    names, grid = split_sweep(notebooks or [], sweep or [])
    report = run_notebooks(
        names,
        notebooks_dir=repository_root() / "notebooks",
        profile=profile,
        parameters=dict(_pair(text) for text in parameter or []),
        sweep=grid or None,
        jobs=jobs,
        timeout=timeout,
        cell_timeout=cell_timeout,
        out=out,
        resume=resume,
        console=Console(stderr=True) if as_json else console,
    )
    if as_json:
        _print_json(report.to_dict())
    _exit(report.ok)


@app.command()
def release(
    lab: Annotated[str, typer.Argument(help="A lab; none means all.")] = "",
    check: Annotated[
        bool, typer.Option("--check", help="Only say whether it is up to date.")
    ] = False,
) -> None:
    """Make the learners' version of labs with nbgrader: no solutions, no hidden tests."""
    from course_utils.grading.labs import lab_names
    from course_utils.grading.release import release as make_release

    changed = {name: make_release(name, check=check) for name in ([lab] if lab else lab_names())}
    for name, differs in changed.items():
        verdict = ("differs from its source" if check else "made anew") if differs else "up to date"
        console.print(f"{name}: {verdict}")
    if check and any(changed.values()):
        raise CourseError("A release does not match its source: run `course release`.")


@app.command()
def validate(
    lab: Annotated[str, typer.Argument(help="A lab's name, or the path of your notebook.")],
    as_json: AsJson = False,
) -> None:
    """Check your own copy of a lab: points, reasons and hints for each exercise."""
    from course_utils.grading.validate import validate as check_copy

    with _working(f"Running {lab} ...", as_json):
        score = check_copy(lab)
    if as_json:
        _print_json(_score(score))
        return
    if score.problem:
        raise CourseError(score.problem)
    for exercise in score.exercises:
        points = "to be read" if exercise.points is None else f"{exercise.points:g}"
        console.print(f"[bold]{exercise.exercise}[/]  {points} of {exercise.offered:g}")
        for line in exercise.failed:
            console.print(f"    {escape(line)}", soft_wrap=True)
    console.print("Points are those of the checks you can see; hidden ones come with grading.")


@app.command()
def grade(
    lab: LabName,
    submissions: Annotated[
        Path | None,
        typer.Option(help="STUDENT/LAB/LAB.ipynb or STUDENT.ipynb; default: labs/submitted."),
    ] = None,
    work: Work = GRADING,
    as_json: AsJson = False,
) -> None:
    """Grade a class into nbgrader's gradebook; a broken file costs only its owner a look."""
    from course_utils.grading.grade import grade as grade_class

    quiet = Console(stderr=True) if as_json else console
    scores = grade_class(
        lab, submissions, work=work, report=lambda line: quiet.print(escape(line), soft_wrap=True)
    )
    if as_json:
        _print_json([_score(score) for score in scores])
    else:
        console.print(f"Gradebook, and the course folder for formgrader: {work}", soft_wrap=True)
    _exit(not any(score.problem for score in scores))


@app.command()
def feedback(lab: LabName, work: Work = GRADING) -> None:
    """Write a feedback page for each graded submission; hidden tests are named, never shown."""
    from course_utils.grading.feedback import feedback as write_feedback

    pages = write_feedback(lab, work=work, report=lambda line: console.print(escape(line)))
    console.print(f"{len(pages)} feedback pages in {work / 'feedback'}", soft_wrap=True)


@app.command("all")
def everything(
    out: Annotated[Path, typer.Option(help="Folder of the reports.")] = Path("build/course"),
) -> None:
    """See the whole course work: a model, every notebook, every lab with a sample class."""
    from course_utils.showcase import show_everything

    _exit(show_everything(out, console))


@app.command()
def bench(
    dialogues: Annotated[int, typer.Option(help="How many DialogSum dialogues.")] = 64,
    dtypes: Annotated[
        str, typer.Option(help="Number formats of the course's side.")
    ] = "float32,auto",
) -> None:
    """Measure LanguageModel against the famous lab's loop, side by side, as ratios."""
    from course_utils.benchmark import compare_with_the_loop

    compare_with_the_loop(dialogues, dtypes.split(","), console)


@app.command()
def serve(
    model: Annotated[str, typer.Argument(help="A name of the catalogue, a folder or a Hub id.")],
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.")] = 8000,
    device: Annotated[str, typer.Option(help="auto, cuda, mps or cpu.")] = "auto",
    dtype: Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")] = "auto",
    max_rows: Annotated[int, typer.Option(help="Requests computed together.")] = 32,
    max_queue: Annotated[int, typer.Option(help="Requests that may wait; then 429.")] = 64,
    max_tokens_in_flight: Annotated[
        int, typer.Option(help="Rows x longest row: the cache's size in tokens.")
    ] = 16_384,
    max_new_tokens: Annotated[int, typer.Option(help="Most tokens of one answer.")] = 512,
    request_seconds: Annotated[float, typer.Option(help="Longest time for one request.")] = 120.0,
    drain_seconds: Annotated[
        float, typer.Option(help="Longest time to finish what was accepted, at SIGTERM.")
    ] = 30.0,
    api_key: Annotated[
        str | None,
        typer.Option(envvar="COURSE_API_KEY", help="Key that requests have to bring."),
    ] = None,
    until_stdin_ends: Annotated[bool, typer.Option("--until-stdin-ends", hidden=True)] = False,
) -> None:
    """Offer a model to OpenAI's clients: chat over HTTP, streamed, batched, measured."""
    from course_utils.serving.command import serve as serve_model
    from course_utils.serving.limits import Limits

    serve_model(
        model,
        host=host,
        port=port,
        device=device,
        dtype=dtype,
        limits=Limits(
            max_rows=max_rows,
            max_queue=max_queue,
            max_tokens_in_flight=max_tokens_in_flight,
            max_new_tokens=max_new_tokens,
            request_seconds=request_seconds,
        ),
        drain_seconds=drain_seconds,
        api_key=api_key,
        until_stdin_ends=until_stdin_ends,
        say=lambda line: console.print(line, markup=False, highlight=False, soft_wrap=True),
    )


@app.command("corpus-report")
def corpus_report(
    out: Annotated[Path, typer.Option(help="Folder of the report.")] = Path("build/corpus"),
    model: Annotated[bool, typer.Option(help="Also score the default model.")] = True,
    n: Annotated[int | None, typer.Option(help="Dialogues the model summarizes.")] = None,
    seed: Annotated[int, typer.Option(help="Of the intervals.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Compare the course's corpus with DialogSum, where that is present."""
    from course_utils.corpus_report import write_corpus_report

    with _working("Measuring ...", as_json):
        report = write_corpus_report(out, score_model=model, limit=n, seed=seed)
    if as_json:
        _print_json(report)
    else:
        console.print(f"Report: {out / 'index.html'}", soft_wrap=True)


def _join_pairs(words: list[str]) -> list[str]:
    """Write `-p NAME VALUE` as `-p NAME=VALUE`: Typer's options take one word each."""
    joined: list[str] = []
    for word in words:
        if len(joined) > 1 and joined[-2] in ("-p", "--parameter") and "=" not in joined[-1]:
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return joined


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise CourseError(f"-p {text} has no value: write -p NAME VALUE.")
    return name, value


@contextlib.contextmanager
def _settings() -> Iterator[None]:
    """An option's value that no run could use is the user's mistake, told in a sentence."""
    try:
        yield
    except ValueError as error:
        raise CourseError(str(error)) from error


def _exit(ok: bool) -> None:
    if not ok:
        raise typer.Exit(1)


def _print_json(data: object) -> None:
    sys.stdout.write(json.dumps(data, indent=2, default=str, ensure_ascii=False) + "\n")


def _score(score) -> dict:
    from dataclasses import asdict

    return {**asdict(score), "points": score.points, "max_points": score.max_points}


def _table(rows: list[dict[str, str]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in rows[0]:
        table.add_column(name, min_width=max(len(row[name]) for row in rows))
    for row in rows:
        table.add_row(*map(escape, row.values()))
    return table


@contextlib.contextmanager
def _working(message: str, quiet: bool) -> Iterator[None]:
    if quiet:
        yield
        return
    with console.status(escape(message)):
        yield


if __name__ == "__main__":
    main()
