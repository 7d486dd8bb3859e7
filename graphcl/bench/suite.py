"""A suite is a list of methods and data sets in a TOML file; the controls are always among the methods."""

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from graphcl.bench.ranking import is_ranking, request, spec_of
from graphcl.bench.run import Run
from graphcl.catalogue import entries
from graphcl.config import Config, Size, decode, merged
from graphcl.errors import RequestError, UnknownNameError
from graphcl.methods.recipe import Recipe
from graphcl.recsys.recommender import Recommender

__all__ = ["Suite", "Task", "find_suite", "suites"]


@dataclass(frozen=True, kw_only=True)
class Task(Config):
    """One column of the table.

    Args:
        dataset: catalogue name.
        split: ``""`` takes the data set's default.
        probe: catalogue name of the probe; ``""`` takes the suite's.
        methods: only these of the suite's methods, beside the controls that belong everywhere; none given takes all.
    """

    dataset: str
    split: str = ""
    probe: str = ""
    methods: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Suite(Config):
    """What a bench computes.

    Args:
        name: of the suite.
        description: one sentence.
        methods: catalogue names, or ``("all",)`` for every method that works at the level of a data set; every
            control that does is added, unless it is one for special tables, which must be named.
        tasks: the data sets and splits.
        without: methods that ``"all"`` leaves out.
        seeds: number of seeds, 0 … seeds - 1.
        settings: changes to the settings, by method.
        variants: further rows of a method (``[[variants.aspect]]``): each its own changes to the settings made for the
            data set, beside those of ``settings`` that it does not name.
        attacks: further columns of every task (``[[attacks]]``): the fields of `graphcl.bench.attack.Attack`, and
            ``edges``, ``entries``, ``linf``, ``rates`` or ``stds``, a list of strengths with a column for each. The
            graph without any attack is always a column too.
        features: what stands in the place of the data sets' features (``[[features]]``): ``names`` of sources such as
            ``lsa+minilm``, and ``settings`` of theirs. Each is a further row of every method that looks at features;
            ``names = ""`` are the data set's own, which are the only ones where nothing is listed.
        protocol: ``honest`` or ``legacy``.
        probe: catalogue name of the probe; ``""`` takes the standard one.
    """

    name: str
    description: str = ""
    methods: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    tasks: tuple[Task, ...] = ()
    seeds: Size = 5
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    variants: dict[str, tuple[dict[str, Any], ...]] = field(default_factory=dict)
    attacks: tuple[dict[str, Any], ...] = ()
    features: tuple[dict[str, Any], ...] = ()
    protocol: str = "honest"
    probe: str = ""

    def runs(self, methods: Sequence[str] = (), datasets: Sequence[str] = (), seeds: int | None = None) -> list[Run]:
        """The cells, ordered by data set, then seed, then method, so that early results already compare methods.

        Args:
            methods: only these, and the controls; none given takes all.
            datasets: only these; none given takes all.
            seeds: only the first so many.

        Raises:
            UnknownNameError: a method or data set that the suite does not have.
        """
        chosen, controls = self._chosen()
        _check_names(f"method of suite {self.name}", methods, [*chosen, *controls])
        _check_names(f"data set of suite {self.name}", datasets, [task.dataset for task in self.tasks])
        for name in methods:
            tasks = [task for task in self.tasks if not datasets or task.dataset in datasets]
            if not any(name in self._rows(task, chosen, controls) for task in tasks):
                raise RequestError(f"suite {self.name} has no cell of {name} there; choose other methods or data sets")
        chosen = [name for name in chosen if not methods or name in methods]
        made = []
        attacks = [None, *(attack for listed in self.attacks for attack in _strengths(self.name, listed))]
        for task in self.tasks:
            if datasets and task.dataset not in datasets:
                continue
            rows = [
                request(
                    name,
                    task.dataset,
                    task.split or None,
                    0,
                    changes,
                    self.protocol,
                    None if recipe.supervised else task.probe or self.probe or None,
                    features=given,
                )
                for name, recipe in self._rows(task, chosen, controls).items()
                for given, source in (self._sources() if _looks_at_features(recipe) else [(None, {})])
                for changes in (merged(usual, source) for usual in self._changes(name))
            ]
            for seed in range(self.seeds if seeds is None else min(self.seeds, seeds)):
                made += [row.at(seed, attack) for row in rows for attack in attacks]
        # the majority class is the same run under every probe, and two tasks may share cells
        return list(dict.fromkeys(made))

    def _sources(self) -> list[tuple[str | None, dict[str, Any]]]:
        """The features that methods are given, and the settings of their sources."""
        made: list[tuple[str | None, dict[str, Any]]] = []
        for listed in self.features or ({"names": ""},):
            strange = set(listed) - {"names", "settings"}
            if strange or not isinstance(listed.get("names"), str):
                raise RequestError(f"suite {self.name}: features {listed!r}; give names and, if need be, settings")
            settings = listed.get("settings", {})
            made.append((listed["names"] or None, {"source": settings} if settings else {}))
        return made

    def _changes(self, name: str) -> list[dict[str, Any]]:
        """The changes to the settings of a method, a row each."""
        usual = self.settings.get(name, {})
        rows = [usual, *(merged(usual, variant) for variant in self.variants.get(name, ()))]
        twice = next((row for number, row in enumerate(rows) if row in rows[:number]), None)
        if twice is not None:
            raise RequestError(f"suite {self.name}: two rows of {name} with the same settings ({twice}); leave one out")
        return rows

    def _recipes(self) -> "dict[str, type[Recipe] | type[Recommender]]":
        """What the rows are drawn from: methods, or recommenders where the tasks are interactions."""
        ranking = {is_ranking(task.dataset) for task in self.tasks}
        if len(ranking) > 1:
            raise RequestError(f"suite {self.name}: graphs and interactions in one table; make it two suites")
        return entries("recommenders" if ranking == {True} else "methods")

    def _chosen(self) -> tuple[list[str], list[str]]:
        """The methods, and the controls that are added."""
        recipes = self._recipes()
        _check_names("method", self.methods, [*recipes, "all"])
        _check_names("method", (*self.without, *self.settings, *self.variants), recipes)
        every = "all" in self.methods
        chosen = [name for name in recipes if not recipes[name].control] if every else list(self.methods)
        chosen = [name for name in chosen if name not in self.without]
        for name in (*self.settings, *self.variants):
            here = name in chosen or (recipes[name].control and (recipes[name].standing or name in self.methods))
            if not here:
                raise RequestError(f"suite {self.name}: settings for '{name}', which is not among its methods; add it")
        chosen = [name for name in chosen if not recipes[name].control]
        controls = [
            name for name, recipe in recipes.items() if recipe.control and (recipe.standing or name in self.methods)
        ]
        for task in self.tasks:
            _check_names(f"method of a task on {task.dataset}", task.methods, [*chosen, *controls])
        # what trains nothing has no epoch to select
        return chosen, controls if self.protocol == "honest" else []

    def _rows(
        self, task: Task, chosen: Sequence[str], controls: Sequence[str]
    ) -> "dict[str, type[Recipe] | type[Recommender]]":
        """The methods of one column; where the suite takes all, those that it can take."""
        recipes = self._recipes()
        spec = spec_of(task.dataset)
        # a supervised reference has no probe to choose and no best epoch on test
        plain = self.protocol == "honest" and not (task.probe or self.probe)
        able = {
            name: recipe for name, recipe in recipes.items() if recipe.takes(spec) and (plain or not recipe.supervised)
        }
        here = [name for name in chosen if not task.methods or name in task.methods]
        if "all" in self.methods:
            here = [name for name in here if name in able]
        added = [
            name
            for name in controls
            if name in able and (recipes[name].standing or not task.methods or name in task.methods)
        ]
        return {name: recipes[name] for name in (*here, *added)}


def _looks_at_features(recipe: "type[Recipe] | type[Recommender]") -> bool:
    return recipe.probe != "majority" and not recipe.reads_text


_LISTS = {
    "edges": lambda value: {"budget": {"edges": value}},
    "entries": lambda value: {"budget": {"edges": 0.0, "l0": value}},
    "linf": lambda value: {"budget": {"edges": 0.0, "linf": value}},
    "rates": lambda value: {"rate": value},
    "stds": lambda value: {"std": value},
}
"""Lists of strengths, and the setting that each is of."""


def _strengths(suite: str, listed: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The attacks that one table of a suite stands for."""
    given = [name for name in _LISTS if name in listed]
    if len(given) > 1:
        raise RequestError(f"suite {suite}: an attack with {' and '.join(given)}; give strengths of one kind")
    rest = {name: value for name, value in listed.items() if name not in _LISTS}
    if not given:
        return [rest]
    values = listed[given[0]]
    if not isinstance(values, list) or not values:
        raise RequestError(f"suite {suite}: {given[0]} = {values!r}; give a list of strengths")
    settings = rest.get("settings", {})
    return [{**rest, "settings": merged(settings, _LISTS[given[0]](value))} for value in values]


def _check_names(what: str, wanted: Iterable[str], known: Iterable[str]) -> None:
    known = list(dict.fromkeys(known))
    for name in wanted:
        if name not in known:
            raise UnknownNameError(what, name, known)


@cache
def suites() -> dict[str, Suite]:
    """The suites that come with graphcl, by name."""
    folder = resources.files("graphcl.bench") / "suites"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".toml")), key=lambda file: file.name)
    return {file.name.removesuffix(".toml"): _parse(file.read_text(), file.name) for file in files}


def find_suite(name: str) -> Suite:
    """A suite by name, or by the path of a TOML file.

    Raises:
        UnknownNameError: no such suite.
        RequestError: the file is no suite.
    """
    if name.endswith(".toml"):
        path = Path(name)
        if not path.is_file():
            raise RequestError(f"no suite file {name}; `graphcl ls suites` lists the suites that come with graphcl")
        try:
            return _parse(path.read_text(encoding="utf-8"), name)
        except (OSError, UnicodeDecodeError) as error:
            raise RequestError(f"cannot read {name} ({error}); give a TOML file in UTF-8") from None
    if name not in suites():
        raise UnknownNameError("suite", name, suites(), " (or the path of a .toml file)")
    return suites()[name]


def _parse(text: str, origin: str) -> Suite:
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RequestError(f"{origin} is no TOML file: {error}") from None
    listed = values.pop("tasks", [])
    if not isinstance(listed, list) or not all(isinstance(task, dict) for task in listed):
        raise RequestError(f'{origin}: tasks = {listed!r}; write each as a table [[tasks]] with dataset = "…"')
    tasks = tuple(decode(Task, task) for task in listed)
    values.setdefault("name", Path(origin).stem)
    suite = decode(Suite, values)
    if not tasks:
        raise RequestError(f'{origin}: no [[tasks]]; a suite needs at least one with dataset = "…"')
    return suite.replace(tasks=tasks)
