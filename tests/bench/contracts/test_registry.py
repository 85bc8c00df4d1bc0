from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heistbench.bench import Attack, Defense, Exposure, HeistError, Prompt, Reply, attack, defense
from heistbench.bench.contracts.places import FOLDERS, origin
from heistbench.bench.contracts.registry import construct, identity, load_plugin, parameters, registry, spec_of

ATTACK = '''
"""A plugin."""
from heistbench.bench import Attack, Stolen, attack

@attack("{name}", version="1-A")
class Mine(Attack):
    """Steals nothing."""
    def steal(self, target, questions, kit):
        return []
'''


@pytest.fixture(scope="module")
def sample() -> Iterator[type[Defense]]:
    """A defense with every kind of parameter, registered as long as this module's tests run."""
    for kind in FOLDERS:
        registry.all(kind)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "_classes", dict(registry._classes))

        @defense("sample", version="1-A", touches=())
        class Sample(Defense):
            count: int = 1
            share: float = 0.5
            loud: bool = False
            level: Literal["low", "high"] = "low"
            word: str = "plain"
            maybe: int | None = None
            many: tuple[int, ...] = ()

            def release(self, prompt: Prompt, reply: Reply, rng: Random) -> Exposure:
                return Exposure(reply.text)

        yield Sample


@pytest.fixture(autouse=True)
def _forget(sample: type[Defense], own_plugins: None) -> None:
    """Nothing that a test registers outlives it."""


# building from text


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("sample", {}),
        (" sample ", {}),
        ("sample()", {}),
        ("sample(count=3)", {"count": 3}),
        ("sample( count = 3 , loud = true )", {"count": 3, "loud": True}),
        ("sample(share=1)", {"share": 1.0}),
        ("sample(share=1e-05)", {"share": 1e-05}),
        ("sample(level=high,word=a-b)", {"level": "high", "word": "a-b"}),
        ("sample(maybe=4)", {"maybe": 4}),
        ("sample(maybe=null)", {"maybe": None}),
        ("sample(many=[1, 2],count=2)", {"many": (1, 2), "count": 2}),
    ],
)
def test_specs_are_read(sample: type[Defense], spec: str, expected: dict[str, object]) -> None:
    defaults = {name: field.default for name, field in parameters(sample).items()}
    assert identity(registry.build("defense", spec))["parameters"] == {**defaults, **expected}


fields = {
    "count": st.integers(),
    "share": st.floats(allow_nan=False, allow_infinity=False),
    "loud": st.booleans(),
    "level": st.sampled_from(["low", "high"]),
    "maybe": st.none() | st.integers(),
    "many": st.lists(st.integers()).map(tuple),
}


@given(st.fixed_dictionaries({}, optional=fields))
def test_the_spec_of_a_plugin_builds_it_again(sample: type[Defense], values: dict[str, object]) -> None:
    plugin = sample(**values)
    assert registry.build("defense", spec_of(plugin)) == plugin


@given(st.from_regex(r"[a-z][a-z-]{1,8}x", fullmatch=True))
def test_the_spec_of_a_plugin_with_a_plain_word_builds_it_again(sample: type[Defense], word: str) -> None:
    assert registry.build("defense", spec_of(sample(word=word))) == sample(word=word)


@pytest.mark.parametrize("word", ["1e3", "x=y", "(", "a b", "a+b", "1.2.3"])
def test_the_spec_of_a_plugin_with_an_odd_word_builds_it_again(sample: type[Defense], word: str) -> None:
    assert registry.build("defense", spec_of(sample(word=word))) == sample(word=word)


@pytest.mark.parametrize("word", ["", "12", "yes", "null", "a,b", "a: b", "[x", " blank ", "#", "~", "'"])
def test_the_spec_of_a_plugin_with_an_awkward_word_builds_it_again(sample: type[Defense], word: str) -> None:
    assert registry.build("defense", spec_of(sample(word=word))) == sample(word=word)


@given(st.fixed_dictionaries({}, optional=fields))
def test_defaults_are_left_out_of_specs(sample: type[Defense], values: dict[str, object]) -> None:
    defaults = {name: field.default for name, field in parameters(sample).items()}
    changed = {name for name, value in values.items() if value != defaults[name]}
    spec = spec_of(sample(**values))
    assert all((f"{name}=" in spec) == (name in changed) for name in fields)


@pytest.mark.parametrize("kind", ["attack", "defense", "task"])
def test_every_plugin_with_defaults_is_named_by_its_name_alone(kind: str) -> None:
    for name in registry.all(kind):
        assert spec_of(registry.build(kind, name)) == name


def test_two_spellings_of_one_plugin_are_one() -> None:
    plain, spelt = registry.build("defense", "noise_answers"), registry.build("defense", "noise_answers(rate=0.50, fresh=false)")
    assert plain == spelt
    assert identity(plain) == identity(spelt)


# mistakes


@pytest.mark.parametrize(
    ("kind", "spec", "message"),
    [
        ("attack", "trace_inversoin", r"unknown attack 'trace_inversoin'; did you mean 'trace_inversion'\?.*answer_only"),
        ("defense", "redact", r"unknown defense 'redact'.*noise_answers"),
        ("task", "zzz", r"unknown task 'zzz' \(there are: .*pocket"),
        ("attack", "rep(shot=2)", r"rep has no parameter 'shot'; did you mean 'shots'\?.*wrapper"),
        ("attack", "rep(shots=many)", r"rep: shots='many': .*integer"),
        ("attack", "rep(shots=)", "rep: shots=None"),
        ("attack", "rep(wrapper=html)", "rep: wrapper='html': .*'bash'"),
        ("attack", "rep(shots)", "cannot read 'shots' in .*: expected field=value"),
        ("attack", "rep(shots=2", "cannot read attack .*: expected name"),
        ("attack", "rep shots=2", "cannot read attack"),
        ("attack", "", "cannot read attack ''"),
        ("attack", "rep(shots={)", "cannot read the value of 'shots'"),
        ("attack", "answer_only(x=1)", r"answer_only has no parameter 'x' \(there are: none\)"),
        ("defense", "noise_answers(rate=1.5)", r"noise_answers: rate=1\.5 is not between 0 and 1"),
        ("defense", "noise_answers(rate=-0.1)", "not between 0 and 1"),
        ("defense", "noise_answers(rate=.nan)", r"noise_answers: rate=nan: expected a finite number"),
        ("attack", "surrogate_trace(temperature=.inf)", r"surrogate_trace: temperature=inf: expected a finite number"),
        ("attack", "none", "unknown attack 'none'"),
    ],
)
def test_mistakes_are_explained(kind: str, spec: str, message: str) -> None:
    with pytest.raises(HeistError, match=message):
        registry.build(kind, spec)


def test_a_parameter_given_twice_is_refused(sample: type[Defense]) -> None:
    with pytest.raises(HeistError, match="count"):
        registry.build("defense", "sample(count=1,count=2)")


def test_a_wrong_value_is_not_bent_into_shape(sample: type[Defense]) -> None:
    for raw in ({"count": 1.5}, {"count": "x"}, {"loud": 7}, {"many": 3}, {"level": "mid"}):
        with pytest.raises(HeistError, match="sample: " + next(iter(raw))):
            construct(sample, raw, "sample")


def test_what_a_plugin_raises_while_it_is_built_is_named_with_its_line(tmp_path: Path) -> None:
    path = plugin_file(tmp_path, "outside")
    check = "    def __post_init__(self):\n        raise SystemExit(0)\n"
    path.write_text(path.read_text().replace("    def steal", f"{check}    def steal"))
    load_plugin(path)
    with pytest.raises(HeistError, match=r"attack outside: .*mine\.py:9: it called sys\.exit\(0\)"):
        registry.build("attack", "outside")


# registering


def test_a_plugin_is_frozen_and_knows_itself(sample: type[Defense]) -> None:
    import dataclasses

    plugin = registry.build("defense", "sample")
    assert (plugin.info.kind, plugin.info.name, plugin.info.version) == ("defense", "sample", "1-A")
    with pytest.raises(dataclasses.FrozenInstanceError):
        plugin.count = 5


def test_a_name_belongs_to_one_class(sample: type[Defense]) -> None:
    class Other(Defense):
        def release(self, prompt: Prompt, reply: Reply, rng: Random) -> Exposure:
            return Exposure("")

    with pytest.raises(
        HeistError, match=r"defense 'sample' is defined twice: .*test_registry\.py:\d+ and .*test_registry\.py:\d+"
    ):
        defense("sample", version="1-A", touches=())(Other)


def test_an_attack_and_a_defense_may_share_a_name(sample: type[Defense]) -> None:
    @attack("sample", version="1-A")
    class Same(Attack):
        def steal(self, target, questions, kit):
            return []

    assert registry.get("attack", "sample") is Same
    assert registry.get("defense", "sample") is sample


def test_only_controls_may_be_privileged() -> None:
    class Greedy(Attack):
        def steal(self, target, questions, kit):
            return []

    with pytest.raises(HeistError, match=r"test_registry\.py:\d+: attack greedy: only a control may be privileged"):
        attack("greedy", version="1-A", privileged=True)(Greedy)


def test_origins_are_file_and_line(sample: type[Defense]) -> None:
    file, line = origin(sample).rsplit(":", 1)
    assert file == __file__
    assert "@defense" in Path(__file__).read_text().splitlines()[int(line) - 1]


# files given by --plugin


def plugin_file(folder: Path, name: str, text: str = "", file: str = "mine.py") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / file
    path.write_text(text or ATTACK.format(name=name))
    return path


def test_a_plugin_file_adds_its_plugins(tmp_path: Path) -> None:
    load_plugin(plugin_file(tmp_path, "outside"))
    assert registry.build("attack", "outside").info.name == "outside"


def test_a_plugin_file_may_be_given_twice(tmp_path: Path) -> None:
    path = plugin_file(tmp_path, "outside")
    load_plugin(path)
    load_plugin(path)
    assert "outside" in registry.all("attack")


@pytest.mark.parametrize("name", ["missing.py", "folder.py", "notes.txt"])
def test_a_plugin_file_that_is_none_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "notes.txt").write_text("no")
    with pytest.raises(HeistError, match=f"{name}: no such Python file"):
        load_plugin(tmp_path / name)


@pytest.mark.parametrize("text", ["1 / 0", "def (", "import nothing_of_this_name", "raise OSError('disk')"])
def test_a_plugin_file_that_raises_is_named(tmp_path: Path, text: str) -> None:
    with pytest.raises(HeistError, match=r"mine\.py: raises on import"):
        load_plugin(plugin_file(tmp_path, "", text))


def test_a_plugin_file_cannot_replace_one_of_ours(tmp_path: Path) -> None:
    with pytest.raises(HeistError, match=r"'rep' is defined twice"):
        load_plugin(plugin_file(tmp_path, "rep"))


def test_two_plugin_files_cannot_define_one_name(tmp_path: Path) -> None:
    load_plugin(plugin_file(tmp_path, "outside", file="one.py"))
    with pytest.raises(HeistError, match="'outside' is defined twice"):
        load_plugin(plugin_file(tmp_path, "outside", file="two.py"))


def test_two_plugin_files_of_one_file_name_cannot_define_one_name(tmp_path: Path) -> None:
    load_plugin(plugin_file(tmp_path / "a", "outside"))
    with pytest.raises(HeistError, match="'outside' is defined twice"):
        load_plugin(plugin_file(tmp_path / "b", "outside"))


# installed packages


def install(folder: Path, entry: str, module: str, text: str) -> str:
    """A package with one entry point, as pip would leave it; returns the path to put on PYTHONPATH."""
    info = folder / "spare-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: spare\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[heistbench.attacks]\nspare = {entry}\n")
    (folder / f"{module}.py").write_text(text)
    return str(folder)


def test_an_installed_package_adds_its_plugins(tmp_path: Path, heist_process: Callable) -> None:
    path = install(tmp_path, "spare_attacks", "spare_attacks", ATTACK.format(name="from_a_package"))
    ended = heist_process("list", "--json", PYTHONPATH=path)
    assert ended.code == 0, ended.err
    found = {row["name"]: row for row in json.loads(ended.out)}
    assert found["from_a_package"]["origin"].startswith(str(tmp_path / "spare_attacks.py"))
    assert "rep" in found


def test_a_broken_package_only_warns(tmp_path: Path, heist_process: Callable) -> None:
    path = install(tmp_path, "spare_attacks", "spare_attacks", "1 / 0")
    ended = heist_process("list", "--json", PYTHONPATH=path)
    assert ended.code == 0
    assert "rep" in {row["name"] for row in json.loads(ended.out)}
    assert "heist: warning: plugin spare" in ended.err
    assert "ZeroDivisionError" in ended.err


def test_no_plugin_module_is_left_loaded_twice() -> None:
    loaded = [name for name in sys.modules if name.endswith(".rep")]
    assert loaded == ["heistbench.attacks.rep"]
