from __future__ import annotations

import json
from collections.abc import Callable
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heistbench.bench.scoring.overlap import SIGNATURES, mean, numbers, score
from heistbench.bench.scoring.similarity import Pair, bleu, lcs_f, ngram_f
from heistbench.bench.verbs.overlap import CHUNK

WORDS, WHITESPACE = SIGNATURES["words"], SIGNATURES["whitespace"]
METRICS = WORDS.metrics
signatures = pytest.mark.parametrize("signature", [WORDS, WHITESPACE], ids=["words", "whitespace"])
tokens = st.lists(st.sampled_from(["a", "b", "c", "7", "12", "=", "é"]), min_size=1, max_size=25)
SHARES = [metric for metric in METRICS if metric != "length_ratio"]


# referees


class Whitespace:
    """rouge-score's contract for a tokenizer."""

    def tokenize(self, text: str) -> list[str]:
        return text.split()


@given(tokens, tokens)
def test_lcs_f_is_rouge_l_on_the_same_tokens(a: list[str], b: list[str]) -> None:
    from rouge_score.rouge_scorer import RougeScorer

    referee = RougeScorer(["rougeL"], tokenizer=Whitespace()).score(" ".join(a), " ".join(b))["rougeL"].fmeasure
    assert lcs_f(Pair(a, b)) == pytest.approx(referee, abs=1e-12)


@given(tokens, tokens, st.integers(1, 4))
def test_ngram_f_is_rouge_n_on_the_same_tokens(a: list[str], b: list[str], n: int) -> None:
    from rouge_score.rouge_scorer import RougeScorer

    referee = RougeScorer([f"rouge{n}"], tokenizer=Whitespace()).score(" ".join(a), " ".join(b))[f"rouge{n}"].fmeasure
    assert ngram_f(Pair(a, b), n) == pytest.approx(referee, abs=1e-12)


@given(tokens, tokens)
def test_bleu_is_sacrebleus_of_a_corpus_of_one(a: list[str], b: list[str]) -> None:
    import sacrebleu

    referee = sacrebleu.corpus_bleu(
        [" ".join(b)], [[" ".join(a)]], tokenize="none", smooth_method="exp", use_effective_order=True, force=True
    ).score
    assert bleu(Pair(a, b)) == pytest.approx(min(1.0, referee / 100), abs=1e-9)


@given(tokens, tokens)
def test_bleu_of_long_texts_is_nltks(a: list[str], b: list[str]) -> None:
    """With every n-gram order matched no smoothing applies, and NLTK's definition is the same."""
    from nltk.translate.bleu_score import sentence_bleu

    shared = list("uvwxyz")
    reference, candidate = [*shared, *a], [*shared, *b]
    assert bleu(Pair(reference, candidate)) == pytest.approx(sentence_bleu([reference], candidate), abs=1e-9)


# worked by hand


@pytest.mark.parametrize(
    ("reference", "candidate", "expected"),
    [
        ("a b c", "a b c", {"token_f1_set": 1, "token_f1": 1, "lcs_f": 1, "length_ratio": 1}),
        ("a a b", "a b b", {"token_f1_set": 1, "token_f1": 2 / 3, "lcs_f": 2 / 3, "length_ratio": 1}),
        ("a b c d", "d c", {"token_f1_set": 2 / 3, "token_f1": 2 / 3, "lcs_f": 1 / 3, "length_ratio": 0.5}),
        ("a b", "c d", {"token_f1_set": 0, "token_f1": 0, "lcs_f": 0, "bleu": 0, "length_ratio": 1}),
        ("a", "a a a a", {"token_f1_set": 1, "token_f1": 2 / 5, "lcs_f": 2 / 5, "length_ratio": 4}),
        ("3 plus 4 is 7", "7 is 4 plus 3", {"value_recall": 1}),
        ("3 plus 4 is 7 7", "it is 7 and 3", {"value_recall": 2 / 4}),
        ("no values", "7", {"value_recall": 0}),
    ],
)
def test_scores_worked_by_hand(reference: str, candidate: str, expected: dict[str, float]) -> None:
    found = score(reference, candidate, WHITESPACE)
    assert {metric: found[metric] for metric in expected} == pytest.approx(expected)


def test_values_may_be_a_tasks_own() -> None:
    assert score("x y", "y z", WHITESPACE, str.split)["value_recall"] == 0.5


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("s1 3 plus 4 is 7", ["3", "4", "7"]),
        ("3.14 and 1,000.5", ["3.14", "1,000.5"]),
        ("x2 2x a_3", []),
        ("it is 7.", ["7"]),
        (r"\frac{1}{2}", ["1", "2"]),
        ("", []),
    ],
)
def test_numbers_of_a_text(text: str, expected: list[str]) -> None:
    assert numbers(text) == expected


@pytest.mark.parametrize(
    ("signature", "tokens"),
    [(WORDS, ["x", "=", "\\", "frac", "{", "1", "}", "!", "é", "≠", "数"]), (WHITESPACE, ["x=\\frac{1}!", "é≠数"])],
)
def test_tokens_keep_signs_and_other_scripts(signature, tokens: list[str]) -> None:
    """Each token alone is found once in the text."""
    for token in tokens:
        found = score(r"x=\frac{1}! é≠数", token, signature)
        assert found["lcs_f"] == pytest.approx(2 / (len(tokens) + 1))


# what holds of all texts


@signatures
@given(st.text(), st.text())
def test_shares_are_shares(signature, a: str, b: str) -> None:
    found = score(a, b, signature)
    assert tuple(found) == METRICS
    assert all(0 <= found[metric] <= 1 for metric in SHARES)
    assert found["length_ratio"] >= 0


@signatures
@given(tokens)
def test_a_text_overlaps_wholly_with_itself(signature, words: list[str]) -> None:
    text = " ".join([*words, "7"])  # with a value, so that there is one to recall
    assert score(text, text, signature) == dict.fromkeys(METRICS, pytest.approx(1.0))


@signatures
@given(st.text())
def test_an_empty_text_overlaps_with_nothing(signature, text: str) -> None:
    for pair in (("", text), (text, ""), (" \n", text)):
        assert score(*pair, signature) == dict.fromkeys(METRICS, 0.0)


@given(tokens, tokens)
def test_f_measures_are_symmetric(a: list[str], b: list[str]) -> None:
    one, other = score(" ".join(a), " ".join(b), WHITESPACE), score(" ".join(b), " ".join(a), WHITESPACE)
    for metric in ("lcs_f", "token_f1", "token_f1_set"):
        assert one[metric] == pytest.approx(other[metric])
    assert one["length_ratio"] == pytest.approx(1 / other["length_ratio"])
    assert one["lcs_f"] <= one["token_f1"] + 1e-12


# means and signatures


def test_a_mean_is_over_pairs() -> None:
    rows = [score("a b", "a b", WHITESPACE), score("a b", "c d", WHITESPACE)]
    assert mean(rows)["lcs_f"] == 0.5
    assert mean([]) == {}


@pytest.mark.parametrize(("name", "how"), [("words", "tokens:words and single signs"), ("whitespace", "tokens:whitespace")])
def test_a_signature_says_how_it_was_made(name: str, how: str) -> None:
    text = str(SIGNATURES[name])
    assert text.startswith(f"{name}|{how}|")
    assert f"sacrebleu-{version('sacrebleu')}" in text
    assert text.endswith("|v:1")
    for part in ("stemmer:none", "empty:0", "case:kept"):
        assert part in text


def test_signatures_tell_ways_apart() -> None:
    assert len(set(map(str, SIGNATURES.values()))) == len(SIGNATURES)
    assert all(str(signature).startswith(f"{name}|") for name, signature in SIGNATURES.items())


def test_published_results_keep_their_signature() -> None:
    """Records with other signatures are not shown on one board."""
    place = "results/pocket-full/pocket/pocket-victim-1/none/answer_only/1000-queries/pocket-base/seed-0.json"
    published = json.loads((files("heistbench.leaderboard") / place).read_text())["overlap"]["words"]["signature"]
    assert str(WORDS).split("sacrebleu-")[0] == published.split("sacrebleu-")[0]
    assert str(WORDS).split(" sentence ")[1] == published.split(" sentence ")[1]


# the command


def pair(reference: str, candidate: str) -> str:
    return json.dumps({"reference": reference, "candidate": candidate})


@pytest.fixture
def pairs(tmp_path: Path) -> Callable[..., Path]:
    def write(*lines: str) -> Path:
        path = tmp_path / "pairs.jsonl"
        path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
        return path

    return write


def test_the_command_scores_pairs(heist: Callable, pairs: Callable[..., Path]) -> None:
    ended = heist("overlap", pairs(pair("a b 7", "a b 7"), "", pair("a b", "c d")), "--json", "--signature", "whitespace")
    report = json.loads(ended.out)
    assert (ended.code, ended.err) == (0, "")
    assert report["signature"] == str(WHITESPACE)
    assert report["n"] == 2
    assert [row["lcs_f"] for row in report["pairs"]] == [1.0, 0.0]
    assert report["mean"]["lcs_f"] == 0.5


def test_the_command_prints_a_table_with_its_signature(heist: Callable, pairs: Callable[..., Path]) -> None:
    ended = heist("overlap", pairs(pair("a b", "a b")))
    assert ended.code == 0
    assert "overlap of 1 pairs" in ended.out
    assert all(metric in ended.out for metric in METRICS)
    assert "sacrebleu-" in ended.out


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2: not JSON"),
        ("[]", "line 2: expected an object with a text 'reference'"),
        ('"text"', "line 2: expected an object with a text 'reference'"),
        ('{"candidate": "a"}', "line 2: expected an object with a text 'reference'"),
        ('{"reference": "a"}', "line 2: expected an object with a text 'candidate'"),
        ('{"reference": "a", "candidate": 7}', "line 2: expected an object with a text 'candidate'"),
        ('{"reference": null, "candidate": "a"}', "line 2: expected an object with a text 'reference'"),
    ],
)
def test_a_bad_line_is_named(heist: Callable, pairs: Callable[..., Path], line: str, message: str) -> None:
    path = pairs(pair("a", "b"), line, "not reached")
    ended = heist("overlap", path)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == f"heist: error: {path}, {message}\n"


@pytest.mark.parametrize("separator", ["\u2028", "\x85"])
def test_line_separators_inside_a_text_end_no_line(heist: Callable, pairs: Callable[..., Path], separator: str) -> None:
    text = f"a{separator}b"
    path = pairs(json.dumps({"reference": text, "candidate": text}, ensure_ascii=False))
    assert json.loads(heist("overlap", path, "--json").out)["n"] == 1


def test_a_file_that_cannot_be_read_is_named(heist: Callable, tmp_path: Path) -> None:
    (tmp_path / "bytes.jsonl").write_bytes(b"\xff\xfe")
    for path in (tmp_path / "missing.jsonl", tmp_path, tmp_path / "bytes.jsonl"):
        ended = heist("overlap", path)
        assert ended.code == 2
        assert ended.err.startswith(f"heist: error: {path}: cannot be read")
        assert ended.err.count("\n") == 1


def test_an_unknown_signature_is_corrected(heist: Callable, pairs: Callable[..., Path]) -> None:
    ended = heist("overlap", pairs(), "--signature", "word")
    assert ended.code == 2
    assert "unknown signature 'word'; did you mean 'words'?" in ended.err


def test_a_long_file_is_scored_by_all_cores_in_its_order(heist: Callable, pairs: Callable[..., Path]) -> None:
    texts = [("a b c d " * (at % 7 + 1), "a b " * (at % 5 + 1)) for at in range(2 * CHUNK + 7)]
    report = json.loads(heist("overlap", pairs(*(pair(*text) for text in texts)), "--json").out)
    expected = [score(*text, SIGNATURES["words"]) for text in texts]
    assert (report["n"], report["pairs"]) == (len(texts), expected)
    assert report["mean"] == pytest.approx(mean(expected))


def test_a_bad_line_far_down_is_named_and_nothing_is_printed(heist: Callable, pairs: Callable[..., Path]) -> None:
    path = pairs(*[pair("a", "b")] * (CHUNK + 3), "{")
    ended = heist("overlap", path, "--json")
    assert (ended.code, ended.out, ended.err) == (2, "", f"heist: error: {path}, line {CHUNK + 4}: not JSON\n")


def test_no_pairs_are_scored_as_nothing(heist: Callable, pairs: Callable[..., Path]) -> None:
    report = json.loads(heist("overlap", pairs(), "--json").out)
    assert (report["n"], report["pairs"], report["mean"]) == (0, [], {})
