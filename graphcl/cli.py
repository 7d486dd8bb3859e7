"""The command line: thin, every command one call into the library.

Exit codes: 0 done, 1 a run failed, 2 the request was wrong (one line on stderr says what and how to mend it).
"""

import dataclasses
import inspect
import json
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from torch_geometric.data import Data

from graphcl._version import __version__
from graphcl.bench.attack import Attack
from graphcl.bench.measure import Watch
from graphcl.bench.page import Page
from graphcl.bench.published import plain_figure, published_figures, published_section
from graphcl.bench.ranking import is_ranking, request
from graphcl.bench.report import by_metric, records_below, summarise
from graphcl.bench.run import Record, Run, execute, nested
from graphcl.bench.runner import pending, run_all
from graphcl.bench.section import Section
from graphcl.bench.store import Store
from graphcl.bench.suite import find_suite, suites
from graphcl.catalogue import KINDS, entries
from graphcl.config import Config, decode, encode
from graphcl.data.cards import card
from graphcl.data.interaction_loading import open_interactions
from graphcl.data.interaction_spec import InteractionSpec, interaction_fingerprint
from graphcl.data.loading import open_dataset
from graphcl.data.spec import DatasetSpec
from graphcl.data.store import find_files
from graphcl.errors import EndpointError, GraphclError, RequestError, RunFailedError, UnknownNameError
from graphcl.features.feature_set import FeatureSet
from graphcl.features.row_cache import cache_states, prune_cache, verify_cache
from graphcl.features.source import FeatureProgress
from graphcl.graph import fingerprint
from graphcl.methods.recipe import Recipe
from graphcl.plan import Plan
from graphcl.recsys.recommender import Recommender
from graphcl.testing import check
from graphcl.train import Step

__all__ = ["app", "main"]

app = typer.Typer(
    name="graphcl",
    help="Graph contrastive learning: methods, data sets and an honest benchmark.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
bench_app = typer.Typer(help="Run suites of methods and data sets, and report them.", no_args_is_help=True)
data_app = typer.Typer(help="List, fetch and describe data sets.", no_args_is_help=True)
features_app = typer.Typer(help="Make features of text, and look after their cache.", no_args_is_help=True)
app.add_typer(bench_app, name="bench")
app.add_typer(data_app, name="data")
app.add_typer(features_app, name="features")

_RECORDS = (Path("benchmarks/results"), Path("runs"))
_REFUSALS = {"DataError", "MissingExtraError", "RequestError", "UnknownNameError"}
# a pipe has no width of its own: wide enough that no table is broken into pieces
_TOLD = {"recall@20", "ndcg@20", "hit@20", "mrr@20", "coverage@20", "popularity@20"}
"""Of the many figures of a ranking those that a terminal shows; the record has all."""
_out = Console(width=None if sys.stdout.isatty() else 200)
_err = Console(stderr=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Change a setting, such as plan.epochs=20."),
]
Folder = Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of the records.")]


def main() -> int:
    """Entry point of the ``graphcl`` command; returns the exit code."""
    # PyTorch announces on first use that sparse CSR is in beta; nobody at a terminal can act on that
    warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
    try:
        # not standalone, so that what the parser refuses is said in one line too
        code = app(standalone_mode=False)
    except (EndpointError, RunFailedError) as error:
        return _complain(error, 1)
    except GraphclError as error:
        return _complain(error, 2)
    except typer.Abort:
        return 130
    except Exception as error:
        # the parser's own errors; where their class lives depends on the version of typer
        if getattr(error, "exit_code", None) != 2 or not hasattr(error, "format_message") or not hasattr(error, "show"):
            raise
        if len(sys.argv) < 2 or type(error).__name__ == "NoArgsIsHelpError":
            error.show()
            return 2
        command = getattr(getattr(error, "ctx", None), "command_path", "graphcl")
        return _complain(f"{error.format_message()} (see {command} --help)", 2)
    return code if isinstance(code, int) else 0


def _complain(message: object, code: int) -> int:
    # one line, whatever a library below has put into its message
    sys.stderr.write(f"graphcl: {' '.join(str(message).split())}\n")
    return code


def _show_version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"graphcl {__version__}\n")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", callback=_show_version, is_eager=True)] = False,
) -> None:
    pass


@app.command("ls")
def list_parts(kind: Annotated[str | None, typer.Argument(metavar="[KIND]")] = None, as_json: Json = False) -> None:
    """List a kind of part (methods, augmenters, features, datasets, suites, …), or count the kinds."""
    kinds = [*KINDS, "suites"]
    if kind is None:
        rows = [{"name": name, "entries": len(_rows(name))} for name in kinds]
    elif kind in kinds:
        rows = _rows(kind)
    else:
        raise UnknownNameError("kind", kind, kinds)
    _print_rows(rows, as_json)


def _rows(kind: str) -> list[dict[str, Any]]:
    if kind == "suites":
        return [
            {"name": name, "cells": len(suite.runs()), "about": suite.description} for name, suite in suites().items()
        ]
    made = []
    for name, entry in entries(kind).items():
        row = {"name": name}
        if isinstance(entry, (DatasetSpec, InteractionSpec)):
            row |= {"level": entry.level, "default split": entry.default_split, "about": entry.title}
        else:
            if issubclass(entry, Recommender):
                row |= {"kind": entry.kind()}
            if issubclass(entry, Recipe):
                row |= {"level": " ".join(entry.levels), "kind": entry.kind()}
            row["about"] = (entry.__doc__ or "").strip().splitlines()[0]
        made.append(row)
    return made


def _signature(entry: type) -> dict[str, Any]:
    return {name: parameter.default for name, parameter in inspect.signature(entry).parameters.items()}


def _print_rows(rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(rows, indent=1) + "\n")
        return
    table = Table(box=None, pad_edge=False)
    for column in rows[0] if rows else ():
        table.add_column(column)
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    _out.print(table)


@app.command("show")
def show(
    name: str,
    as_json: Json = False,
    records: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Records of a method; default: benchmarks/results or runs, if there."),
    ] = None,
) -> None:
    """Show one part: what it is, its parameters and defaults; of a method also paper, published numbers and records."""
    for kind in KINDS:
        if name in entries(kind):
            entry = entries(kind)[name]
            break
    else:
        raise UnknownNameError("part", name, [entry for kind in KINDS for entry in entries(kind)])
    if isinstance(entry, DatasetSpec | InteractionSpec):
        sys.stdout.write(card(name))
        return
    # modules are no configs: what they are made of is what they take
    defaults = encode(entry()) if issubclass(entry, Config) else _signature(entry)
    about: dict[str, Any] = {"name": name, "kind": KINDS[kind].singular, "parameters": defaults}
    if issubclass(entry, Recipe | Recommender):
        about["presets"] = {key: dict(value) for key, value in entry.presets.items()}
        about["paper"] = dataclasses.asdict(entry.paper) if entry.paper else None
        about["published"] = [plain_figure(figure) for figure in published_figures() if figure.method == name]
        folder = records or next((path for path in _RECORDS if path.is_dir()), None)
        ours = [] if folder is None else [r for r in records_below(folder) if r["run"]["method"] == name]
        report = summarise(ours) if ours else None
        about["records"] = {
            "folder": str(folder) if folder else None,
            "cells": [cell for cell in report.plain() if cell["method"] == name] if report else [],
        }
    if as_json:
        sys.stdout.write(json.dumps(about, indent=1) + "\n")
        return
    _out.print(f"[bold]{name}[/bold] ({about['kind']})\n")
    _out.print((entry.__doc__ or "").strip(), markup=False, highlight=False)
    table = Table("parameter", "default", box=None, pad_edge=False)
    for key, value in defaults.items():
        table.add_row(key, json.dumps(value))
    _out.print("", table)
    if about.get("paper"):
        paper = about["paper"]
        _out.print(f"\n{paper['title']}. {paper['venue']}. {paper['link']}", highlight=False)
    if about.get("presets"):
        _out.print(f"settings made for: {', '.join(about['presets'])}", highlight=False)
    if "records" in about:
        _print_section(published_section(name), "No published numbers are on file.")
        where = about["records"]["folder"]
        none = f"No records in {where}." if where else "No folder of records here; name one with --records DIR."
        _print_section(report.rows_of(name) if report else None, none)
        if report:
            _out.print(f"Records: {where}", highlight=False)


def _print_section(section: Section | None, otherwise: str) -> None:
    _out.print("")
    if section is None:
        _out.print(otherwise, markup=False, highlight=False)
        return
    _out.print(section.table())
    for note in section.notes:
        _out.print(note, markup=False, highlight=False)


@app.command("run")
def run(
    method: str,
    dataset: str,
    split: Annotated[str | None, typer.Option(help="Default: the data set's own.")] = None,
    seed: Annotated[int, typer.Option(help="Draws a random split, the initialisation and the training.")] = 0,
    settings: Settings = None,
    protocol: Annotated[str, typer.Option(help="honest, or the flagged legacy (best test epoch).")] = "honest",
    probe: Annotated[str | None, typer.Option(help="Another probe than the standard one.")] = None,
    preset: Annotated[str | None, typer.Option(help="Settings made for another name than the data set's.")] = None,
    attack: Annotated[
        str | None,
        typer.Option(help="Attack it: an adversary or augmenter; its settings are --set attack.budget.edges=0.05 …"),
    ] = None,
    features: Annotated[
        str | None,
        typer.Option(help="Features in place of the data set's: sources joined by +, or a file; --set source.dim=64 …"),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Also append the record there.")] = None,
    as_json: Json = False,
) -> None:
    """Train one method on one data set and score it."""
    changes = nested(settings or [])
    how = changes.pop("attack", {})
    if not isinstance(how, dict) or (how and attack is None):
        raise RequestError("settings of an attack need one: name it with --attack, such as --attack prbcd")
    fields = {name: how.pop(name) for name in ("when", "surrogate") if name in how}
    made = None if attack is None else {"name": attack, **fields, "settings": how}
    wanted = request(method, dataset, split, seed, changes, protocol, probe, preset, made, features)
    store = Store(out) if out is not None else None
    with _held(store), _progress(quiet=as_json) as (_, watch):
        record = execute(wanted, watch)
        if store is not None:
            store.append(record)
    if as_json:
        sys.stdout.write(json.dumps(record) + "\n")
    if record["status"] != "ok":
        # what graphcl itself refused (missing files, unusable graphs) is a wrong request; anything else a failed run
        raise (RequestError if record.get("kind") in _REFUSALS else RunFailedError)(record["error"])
    if not as_json:
        _describe(record)


@contextmanager
def _held(store: Store | None) -> Iterator[None]:
    if store is None:
        yield
    else:
        with store.writing():
            yield


def _describe(record: Record) -> None:
    cell = record["run"]
    legacy = "  LEGACY: selected on test, not comparable" if record["selection"]["legacy"] else ""
    _out.print(f"{cell['method']} on {cell['dataset']}, split {cell['split']}, seed {cell['seed']}{legacy}")
    ranked = record["metric"] == "ndcg@20"
    for name, value in record["metrics"].items():
        if ranked and name.partition("/")[0] not in _TOLD:
            continue
        each = record["metrics_per_split"][name]
        spread = f"  (mean of {len(each)} splits)" if len(each) > 1 else ""
        _out.print(f"  {name:10s} {100 * value:6.2f} %{spread}")
    if "features" in record:
        names = "+".join(part["source"] for part in record["features"]["sources"])
        _out.print(f"  features {names}, {record['features']['width']} wide", highlight=False)
    if "attack" in record:
        told = record["attack"]
        _out.print(
            f"  {cell['attack']['when']} by {cell['attack']['name']}" + (", before it:" if "clean" in told else "")
        )
        for name, value in told.get("clean", {}).items():
            _out.print(f"    {name:10s} {100 * value:6.2f} %")
        for each in told.get("triples", [told]):
            _out.print(f"    {each['edges']} edges flipped, {each['entries']} entries of the features changed")
    seconds = record["seconds"]["total"]
    _out.print(f"  {seconds:.1f} s, peak {record['peak_mb']:.0f} MB, run {record['run_id']}")


@contextmanager
def _progress(quiet: bool, cells: int = 0) -> Iterator[tuple[Progress | None, Watch | None]]:
    """A progress bar on stderr that follows training steps (and cells, for a suite)."""
    if quiet or not _err.is_terminal:
        yield None, None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=_err, transient=True) as progress:
        if cells:
            progress.add_task("cells", total=cells)
        steps = progress.add_task("training", total=None, visible=not cells)

        def watch(step: Step, plan: Plan) -> None:
            progress.update(
                steps,
                completed=step.epoch,
                total=plan.epochs,
                visible=True,
                description=f"loss {step.loss:.4f}",
            )

        yield progress, watch


@bench_app.command("run")
def bench_run(
    suite: Annotated[str, typer.Argument(help="Name of a suite, or path of a TOML file.")],
    out: Folder = Path("runs"),
    jobs: Annotated[int, typer.Option(help="Processes; they share the cores.")] = 1,
    method: Annotated[list[str] | None, typer.Option(help="Only this method, beside the controls; repeatable.")] = None,
    dataset: Annotated[list[str] | None, typer.Option(help="Only this data set; repeatable.")] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="Only the first so many seeds.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List what would be run, and run nothing.")] = False,
) -> None:
    """Run a suite or a part of it; what is already recorded is not run again, so an interrupted bench resumes."""
    runs = find_suite(suite).runs(method or (), dataset or (), seeds)
    store = Store(out)
    missing = pending(runs, store)
    todo = len(missing)
    _err.print(f"{suite}: {len(runs)} cells, {len(runs) - todo} already recorded, {todo} to run; records in {out}")
    if dry_run:
        _print_rows([_cell(run) for run in missing], as_json=False)
        return
    with _progress(quiet=todo == 0, cells=todo) as (progress, watch):

        def began(cell: Run) -> None:
            if progress is not None:
                name = f"{cell.method} · {cell.dataset} · seed {cell.seed}"
                progress.update(progress.task_ids[0], description=name)
                progress.reset(progress.task_ids[1], visible=False)

        for _ in run_all(runs, store, jobs, watch, began):
            if progress is not None:
                progress.advance(progress.task_ids[0])
    wanted = {cell.id for cell in runs}
    records = [record for record in store.read() if record["run_id"] in wanted]
    Page.of(records).print(_out)
    _out.print(f"\nRecords: {out} (one JSON line per run). Again, or later: graphcl bench report {out}")
    failed = len(wanted - {record["run_id"] for record in records if record["status"] == "ok"})
    if failed:
        raise RunFailedError(f"{failed} runs failed; their records say why")


def _cell(run: Run) -> dict[str, object]:
    return {
        "method": run.method,
        "data set": run.dataset,
        "split": run.split,
        "probe": run.probe["name"],
        "protocol": run.protocol,
        "seed": run.seed,
        "attack": "–" if run.attack is None else f"{(a := decode(Attack, run.attack)).family} {a.strength:g}",
    }


@bench_app.command("report")
def bench_report(
    folder: Annotated[Path, typer.Argument(metavar="DIR")],
    against: Annotated[
        str | None, typer.Option(metavar="published", help="Set the means beside what papers print.")
    ] = None,
    metric: Annotated[
        str | None, typer.Option(metavar="NAME", help="acc, f1 (macro) or auc, in place of the data sets' own.")
    ] = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write it as a web page.")] = None,
    markdown: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write it as Markdown.")] = None,
    as_json: Json = False,
) -> None:
    """Print the table of a folder of records (means, 95 % intervals, noise, controls) and what follows from it."""
    if against not in (None, "published"):
        raise UnknownNameError("comparison", str(against), ["published"])
    records = records_below(folder)
    page = Page.of(records if metric is None else by_metric(records, metric), published=against is not None)
    if markdown is not None:
        _write(markdown, page.markdown())
    if html is not None:
        _write(html, page.html())
    if as_json:
        sys.stdout.write(json.dumps(page.plain(), indent=1) + "\n")
    else:
        page.print(_out)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text)
    except OSError as error:
        raise RequestError(f"cannot write {path} ({error.strerror}); choose another file") from None


@data_app.command("ls")
def data_ls(as_json: Json = False) -> None:
    """List the data sets, their sizes, and whether their files are on this machine."""
    rows = []
    for name, spec in entries("datasets").items():
        counts = spec.counts
        here = any(find_files(layout.files) is not None for layout in spec.layouts)
        rows.append(
            {
                "name": name,
                "level": spec.level,
                "nodes": counts.nodes if counts else "varies",
                "edges": counts.edges if counts else "varies",
                "features": counts.features if counts else "varies",
                "classes": counts.classes if counts else "varies",
                "text": "yes" if spec.text else "",
                "default split": spec.default_split,
                "files": "embedded" if spec.embedded else "here" if here else "to fetch",
            }
        )
    for name, some in entries("interactions").items():
        sizes = some.counts
        here = any(find_files(layout.files) is not None for layout in some.layouts)
        rows.append(
            {
                "name": name,
                "level": some.level,
                "nodes": f"{sizes.users} + {sizes.items}" if sizes else "varies",
                "edges": sizes.train + (sizes.test or 0) if sizes else "varies",
                "features": "",
                "classes": "",
                "text": "yes" if some.text else "",
                "default split": some.default_split,
                "files": "embedded" if some.embedded else "here" if here else "to fetch",
            }
        )
    _print_rows(rows, as_json)


@data_app.command("fetch")
def data_fetch(name: str) -> None:
    """Get the raw files of a data set (mirror, cache or download), read it and check it."""
    if is_ranking(name):
        _, content, files = open_interactions(name)
        found = interaction_fingerprint(content)
    else:
        _, graphs, files = open_dataset(name)
        found = fingerprint(graphs)
    for path in files.values():
        _out.print(str(path), highlight=False)
    _out.print(f"{name}: complete, fingerprint {found}")


@data_app.command("card")
def data_card(name: str) -> None:
    """Print the card of a data set: source, licence, counts, fingerprint, splits, known traps."""
    sys.stdout.write(card(name))


@features_app.command("make")
def features_make(
    names: Annotated[str, typer.Argument(metavar="FEATURES", help="Sources joined by +, such as lsa+minilm.")],
    dataset: str,
    settings: Settings = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Also write them, as .npy.")] = None,
) -> None:
    """Make features of a data set's text, so that later runs find them in the cache."""
    source = FeatureSet.of(names, nested(settings or []))
    if out is not None and out.suffix != ".npy":
        raise RequestError(f"--out {out}: the features are written as .npy; give the file that ending")
    _, graphs, _ = open_dataset(dataset)
    if not isinstance(graphs, Data):
        raise RequestError(f"{dataset} is a set of graphs, and features are made for nodes; choose one at node level")
    told: list[FeatureProgress] = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=_err, transient=True, disable=not _err.is_terminal) as bar:
        task = bar.add_task("rows", total=None)

        def watch(step: FeatureProgress) -> None:
            told.append(step)
            bar.update(task, completed=step.stored + step.made, total=step.rows)

        x = source(graphs, watch)
    for step in told[-1:]:
        _out.print(str(step), highlight=False)
    _out.print(f"{names} of {dataset}: {x.size(0)} nodes, {x.size(1)} features", highlight=False)
    if out is not None:
        try:
            np.save(out, x.numpy())
        except OSError as error:
            raise RequestError(f"cannot write {out} ({error.strerror}); choose another file") from None


@features_app.command("ls")
def features_ls(as_json: Json = False) -> None:
    """List what the cache holds: rows, size, and how often they were of use."""
    rows = []
    for state in cache_states():
        identity = dict(state.identity)
        rows.append(
            {
                "cache": state.name,
                "source": "DAMAGED" if state.damaged else identity.pop("source", "?"),
                "rows": state.rows,
                "MB": round(state.megabytes, 1),
                "hit rate": round(state.hit_rate, 3),
                "tokens": state.tokens,
                "settings": identity if as_json else " ".join(f"{key}={value}" for key, value in identity.items()),
            }
        )
    _print_rows(rows, as_json)


@features_app.command("verify")
def features_verify(name: Annotated[str | None, typer.Argument(metavar="[CACHE]")] = None) -> None:
    """Check every row of the cache (or of one of its files); damaged rows are dropped, and made anew when needed."""
    for one in [name] if name is not None else [state.name for state in cache_states()]:
        sound, dropped = verify_cache(one)
        told = f"{dropped} damaged rows dropped" if dropped >= 0 else "no cache any more; put aside"
        _out.print(f"{one}: {sound} rows are sound, {told}", highlight=False)


@features_app.command("prune")
def features_prune(
    names: Annotated[list[str] | None, typer.Argument(metavar="[CACHE]...")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
) -> None:
    """Delete files of the cache; what they held is computed, or paid, again when it is needed."""
    if bool(names) == everything:
        raise RequestError("name the caches to delete (`graphcl features ls` lists them), or say --all")
    for one in names or [state.name for state in cache_states()]:
        _out.print(f"{one}: {prune_cache(one):.1f} MB freed", highlight=False)


@app.command("check")
def check_part(thing: Annotated[str, typer.Argument(metavar="PACKAGE.MODULE:THING")]) -> None:
    """Run the public contracts on anybody's part; modules in the current folder are found too."""
    sys.path.insert(0, str(Path.cwd()))
    for line in check(thing):
        _out.print(line, markup=False, highlight=False)
