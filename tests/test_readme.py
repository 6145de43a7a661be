"""What the READMEs show is true: commands are understood, and files, links, flags and JSON keys are there."""

import ast
import dataclasses
import json
import re
import runpy
import shlex
import sys
import typing
from pathlib import Path
from types import SimpleNamespace

import pytest

from vsep_ray.cluster.runtime import at_once
from vsep_ray.cluster.runtime import main as entry
from vsep_ray.config import members, to_dict

ROOT = Path(__file__).parent.parent
ROOMS = ("jobs", "tests", "vsep_ray")
# no `git ls-files`: .ci/run copies the tree without its history
PAGES = [*sorted(ROOT.glob("*.md")), *(p for room in ROOMS for p in sorted((ROOT / room).rglob("*.md")))]
TEXTS = {str(page.relative_to(ROOT)): page.read_text() for page in PAGES}
JOBS = {path.stem: path for path in sorted((ROOT / "jobs").glob("*.py"))}
SHOWN = {"priors/white.py", "datasets/flat.py", "objectives/context.py", "separators/gain.py"}
IMAGINED = {"jobs/X.py", "X.py", *(f"vsep_ray/{name}" for name in SHOWN)}
OTHERS = {"--", "--help", "--head", "--working-dir", "--x", "--dataset.x"}
"""Flags of Ray and of every job's parser, and placeholders."""
CALL = re.compile(r"^(?:ray job submit .*?)?(?:(?:python|submit) )?(?:jobs/)?(\w+)\.py(?:\s+(.*))?$")


def fenced(text):
    """The blocks between fences: language, content."""
    return re.findall(r"^```(\w*)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def inline(text):
    """The code within lines, outside of fences."""
    prose = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    return re.findall(r"`([^`\n]+)`", prose)


def lines_of(text):
    """Shell lines of the fenced blocks, continued ones joined, one command each."""
    for language, block in fenced(text):
        if language == "bash":
            for line in block.replace("\\\n", " ").splitlines():
                yield from (part.strip() for part in re.split(r"&&", line.partition(" #")[0]))


def commands():
    """Page, job and arguments of every call of a job that a page shows."""
    for page, text in TEXTS.items():
        for line in [*lines_of(text), *inline(text)]:
            call = CALL.match(" ".join(line.split()))
            if call and call[1] != "X" and (call[1] in JOBS or call[2] or "jobs/" in line):
                yield page, call[1], call[2] or ""


COMMANDS = list(dict.fromkeys(commands()))


def slug(heading):
    """GitHub's anchor of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def test_the_readme_is_short_and_no_line_is_long():
    assert len(TEXTS["README.md"].splitlines()) <= 230
    assert [(p, line) for p, text in TEXTS.items() for line in text.splitlines() if len(line) > 120] == []
    assert len(TEXTS) >= 13 and all(text.endswith("\n") for text in TEXTS.values())


@pytest.fixture(scope="module")
def parsers():
    """Job -> config class and presets, as its script hands them to `main`."""
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        for name, path in JOBS.items():
            patch.setattr(entry, "main", lambda *args, name=name, **_: found.update({name: args[:2]}))
            runpy.run_path(str(path), run_name="__main__")
    return found


@pytest.mark.parametrize(("page", "job", "words"), COMMANDS, ids=lambda part: str(part)[:60])
def test_a_job_that_is_called_exists_and_understands_its_flags(
    page, job, words, parsers, monkeypatch, tmp_path, capsys
):
    assert job in JOBS, f"{page} calls {job}.py"
    config_type, presets = parsers[job]
    args = shlex.split(words)
    if "--config" in args:  # as a file that is there
        stored = tmp_path / "best.json"
        stored.write_text(json.dumps(to_dict(next(iter(presets.values())))))
        args[args.index("--config") + 1] = str(stored)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.setenv("VSEP_STORAGE", str(tmp_path))
    monkeypatch.setattr(at_once, "check", lambda config: None)  # the data of the examples is not there
    monkeypatch.setitem(sys.modules, "planning", SimpleNamespace(plan=lambda config: {}))
    monkeypatch.setattr("sys.argv", [f"{job}.py", *args, *([] if "--help" in args else ["--dry-run"])])
    with pytest.raises(SystemExit) as end:
        entry.main(config_type, presets, "planning")
    assert not end.value.code, f"{page}: {job}.py {words}\n{capsys.readouterr().err}"


def test_commands_are_found():
    assert {job for _, job, _ in COMMANDS} == set(JOBS)
    assert sum("--" in words for _, _, words in COMMANDS) > 40


def flags_of(config_type, prefix="--"):
    """All flags of a config, those of every member of its unions too."""
    for name, annotation in typing.get_type_hints(config_type).items():
        flag = prefix + name.replace("_", "-")
        yield flag
        for member in filter(dataclasses.is_dataclass, members(annotation)):
            yield from flags_of(member, flag + ".")


@pytest.mark.parametrize("page", [p for p in TEXTS if "CHANGELOG" not in p])
def test_flags_that_are_named_exist(page, parsers):
    """Alone within a line a flag has no job: one of them must know it."""
    known = {flag for config_type, _ in parsers.values() for flag in flags_of(config_type)}
    known |= OTHERS | {"--root", "--map", "--fonts", "--families"}
    named = {span.split()[0].split("=")[0] for span in inline(TEXTS[page]) if span.startswith("--")}
    assert sorted(named - known) == []


def test_files_and_folders_that_are_named_exist():
    """Whole paths from the root, and files by their name in the page's own folder or among the jobs."""
    missing, found = [], 0
    for page, text in TEXTS.items():
        paths = set(re.findall(r"(?<![\w/.])(?:jobs|tests|vsep_ray|\.ci)/[\w/.]*\w/?", text))
        names = {name for name in inline(text) if re.fullmatch(r"\w+\.py", name)}
        for name in sorted((paths | names) - IMAGINED):
            folders = [ROOT] if name in paths else [(ROOT / page).parent, ROOT / "jobs"]
            missing += [] if any((folder / name).exists() for folder in folders) else [(page, name)]
            found += 1
    assert missing == [] and found > 100


def test_relative_links_lead_somewhere():
    found = 0
    for page, text in TEXTS.items():
        for target in re.findall(r"\]\(([^)]+)\)", text):
            if "://" not in target:
                path, _, anchor = target.partition("#")
                file = (ROOT / page).parent / path if path else ROOT / page
                assert file.exists(), f"{page} links to {target}"
                headings = re.findall(r"^#+ (.*)", file.read_text(), re.MULTILINE) if anchor else []
                assert not anchor or anchor in map(slug, headings), f"{page} links to {target}"
                found += 1
    assert found > 25


def promised():
    """Job -> keys, from the marked table of jobs/README.md; a row without a job goes on with the last."""
    table = TEXTS["jobs/README.md"].partition("<!-- JSON keys -->\n")[2].partition("\n\n")[0]
    keys, job = {}, ""
    for row in table.splitlines()[2:]:
        _, name, cells, _ = row.split("|")
        job = name.strip(" `").removesuffix(".py") or job
        keys.setdefault(job, []).extend(re.findall(r"`([^`]+)`", cells))
    return keys


def source_of(module):
    path = ROOT / (module.replace(".", "/") + ".py")
    return path if path.exists() else ROOT / module.replace(".", "/") / "__init__.py"


def imported(tree):
    """The modules of this package that a module imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("vsep_ray"):
            inner = (f"{node.module}.{alias.name}" for alias in node.names)
            yield from (name for name in (node.module, *inner) if source_of(name).exists())


def opened(job):
    """The module below cluster/ that a job's script opens."""
    words = {n.value for n in ast.walk(ast.parse(JOBS[job].read_text())) if isinstance(n, ast.Constant)}
    (module,) = (w for w in words if isinstance(w, str) and re.fullmatch(r"vsep_ray\.cluster\.[\w.]+", w))
    return module


def keys_of(tree):
    """The keys of all dicts of a module, written out or set one by one."""
    for node in ast.walk(tree):
        keys = node.keys if isinstance(node, ast.Dict) else ()
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
            keys = (node.slice,)
        yield from (key.value for key in keys if isinstance(key, ast.Constant))


def keys_returned(job):
    """The keys of dicts in the module that a job opens, and in those that this one imports."""
    tree = ast.parse(source_of(opened(job)).read_text())
    trees = [tree, *(ast.parse(source_of(name).read_text()) for name in sorted(set(imported(tree))))]
    return {key for each in trees for key in keys_of(each)}


@pytest.mark.parametrize("job", JOBS)
def test_keys_that_the_json_line_promises_are_returned(job):
    keys = promised()[job]
    assert keys and sorted(set(keys) - keys_returned(job)) == []
