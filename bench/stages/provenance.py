"""What a cell's numbers hang on: code, packages, models, data, prompts, and how clean the splits are."""

from __future__ import annotations

import platform
from pathlib import Path

from heistbench.bench.contracts.places import source_file
from heistbench.bench.stages.collect import Collect
from heistbench.bench.stages.contamination import Contamination
from heistbench.bench.stages.context import CellContext
from heistbench.bench.stages.surrogate import surrogate_model
from heistbench.bench.stages.train import student_of
from heistbench.bench.storage.blocks import Provenance
from heistbench.bench.storage.data_files import as_pinned
from heistbench.bench.storage.provenance import code_state, harness_version, packages, uncommitted
from heistbench.bench.suites.questions import asked, graded


def provenance(context: CellContext) -> Provenance:
    """The provenance of a cell's record."""
    import torch

    (commit, dirty), cuda = code_state(), torch.cuda.is_available()
    return Provenance(
        harness=harness_version(),
        commit=commit,
        dirty=dirty,
        python=platform.python_version(),
        packages=packages(),
        engine=context.suite.engine,
        dtype="bfloat16" if cuda else "float32",
        device="cuda" if cuda else "cpu",
        models=_models(context),
        data=_data(context),
        contamination=context.result(Contamination(context)),
        uncommitted=_uncommitted(context),
        settings=_settings(context),
    )


def _models(context: CellContext) -> dict[str, str]:
    suite = context.suite
    return {
        "victim": context.victim.identity["model"],
        "surrogate": surrogate_model(context) if suite.surrogate else "none",
        "inverter": context.resolve(suite.inverter.model).identity if suite.inverter else "none",
        "student before": context.resolve(context.cell.student.model).identity,
        "student after": student_of(context).identity,
    }


def _data(context: CellContext) -> dict[str, str]:
    theft = context.result(Collect(context))
    digests = {"task files": context.task.data_digest(), "exam files": context.exam.data_digest()}
    return {
        "task": context.task.data_digest(),
        "exam": context.exam.data_digest(),
        "questions attacked": context.digest("query", asked),
        "questions examined": context.digest("test", graded),
        "prompts sent": theft.extent.prompts,
        "theft": theft.name,
        **{name: "as pinned" if as_pinned(digest) else "not as pinned" for name, digest in digests.items() if digest},
    }


def _uncommitted(context: CellContext) -> list[str]:
    """The plugins whose code stands in no commit."""
    files = _plugin_files(context)
    loose = set(uncommitted(sorted(set(files.values()))))
    return sorted(name for name, file in files.items() if str(file) in loose)


def _plugin_files(context: CellContext) -> dict[str, Path]:
    """The files that the plugins of a cell stand in, by the plugins' names."""
    plugins = [context.cell.build_attack(), *context.cell.build_defenses(), context.task, context.exam]
    return {plugin.info.name: Path(file) for plugin in plugins if (file := source_file(type(plugin)))}


def _settings(context: CellContext) -> dict[str, object]:
    suite = context.suite
    roles = {
        "victim": context.cell.victim,
        "surrogate": suite.surrogate,
        "compressor": suite.compressor,
        "inverter": suite.inverter,
        "student": context.cell.student,
    }
    dumps = {name: settings and settings.model_dump(mode="json") for name, settings in roles.items()}
    return {**dumps, "sizes": context.cell.sizes.model_dump()}
