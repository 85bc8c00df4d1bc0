from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import nltk
import pytest
import sacrebleu
from hypothesis import given
from hypothesis import strategies as st
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu
from rouge_score.rouge_scorer import RougeScorer

from heistbench.bench.contracts.errors import HeistError
from heistbench.bench.scoring import paper_overlap as _papers_overlap
from heistbench.bench.scoring.overlap import SIGNATURES, score
from heistbench.bench.scoring.paper_overlap import drift, nltk_words, rouge_tokens

TIA, REP = SIGNATURES["tia"], SIGNATURES["rep"]
both = pytest.mark.parametrize("signature", [TIA, REP], ids=["tia", "rep"])

VOCABULARY = "the a so wait check 3.5 x^2 = running runs ran. Hmm, don't \\frac{1}{2} Dr. é"
LONG = [Random(seed).choices(VOCABULARY.split(), k=500) for seed in (0, 1)]
TRACES = [
    (
        "Okay, so I need to find $x^2 + 2x = \\frac{3}{4}$. Let's complete the square: (x+1)^2 = 7/4. Wait, that isn't right.",
        "Completing the squares gives (x + 1)^2 = 7/4, so x = -1 ± \\sqrt{7}/2. Dr. Smith (p. 3) can't say it's wrong.",
    ),
    ("def f(n):\n    return n if n < 2 else f(n-1) + f(n-2)\n# it's slow...", "def fib(n):\n\treturn fib(n-1)+fib(n-2) # slow"),
    ("naïve café ½ ≠ 0.5? “Quoted” \u2013 dashed… 数学は楽しい。", "naive cafe 1/2 = 0.5! 'Quoted' -- dashed... 数学 は 楽しい"),
    ("the answer is 7", "the answer is 7"),
    ("7", "7"),
    ("Yes.", "it is so that nothing here is shared"),
    ("数学", "!?"),
    ("&amp; <skipped> a-\nb &quot;c&quot;", '& a b "c"'),
    ("THE CATS were sitting; the ponies ran", "the cat was sitting, a pony runs"),
    (" ".join(LONG[0]), " ".join(LONG[1])),
    (" ".join(LONG[0]), "so " * 300),
]
pairs = pytest.mark.parametrize(("reference", "candidate"), TRACES, ids=range(len(TRACES)))
PITFALLS = (
    "the The cats ponies running relational yyyy i.e. Dr. Smith. 3.5 1,000 don't cannot gonna 'tis x^2 \\frac{1}{2} $7$ "
    "\"so\" (a) ... -- -\n &amp; <skipped> é İ 数学。 wait! ? ``q''"
)
words = st.sampled_from(PITFALLS.split(" "))
texts = st.text() | st.lists(words, max_size=30).map(" ".join)


@pytest.fixture(scope="module", autouse=True)
def sentence_model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A small model for NLTK's sentence splitter, in the form of punkt_tab: the real one is a download."""
    folder = tmp_path_factory.mktemp("nltk_data")
    model = folder / "tokenizers" / "punkt_tab" / "english"
    model.mkdir(parents=True)
    (model / "abbrev_types.txt").write_text("dr\ni.e\np\n")
    (model / "sent_starters.txt").write_text("so\n")
    (model / "collocations.tab").write_text("")
    (model / "ortho_context.tab").write_text("the\t46\nso\t46\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nltk.data, "path", [str(folder)])
        nltk.tokenize._get_punkt_tokenizer.cache_clear()
        yield folder
    nltk.tokenize._get_punkt_tokenizer.cache_clear()


# referees: the libraries themselves, called as each paper's evaluation calls them


def tia_by_libraries(reference: str, candidate: str) -> dict[str, float]:
    wanted, said = nltk.word_tokenize(reference.strip()), nltk.word_tokenize(candidate.strip())
    common = len({*wanted} & {*said})
    precision, recall = common / len({*said}), common / len({*wanted})
    rouge = RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=True).score(reference, candidate)
    return {
        "bleu": sentence_bleu([wanted], said, smoothing_function=SmoothingFunction().method3),
        "token_f1_set": 2 * precision * recall / (precision + recall + 1e-20),
        "rouge_1": rouge["rouge1"].fmeasure,
        "rouge_2": rouge["rouge2"].fmeasure,
        "rouge_l": rouge["rougeL"].fmeasure,
        "length_ratio": len(said) / len(wanted),
    }


def rep_by_libraries(reference: str, candidate: str) -> dict[str, float]:
    bleu = sacrebleu.sentence_bleu(candidate.strip(), [reference.strip()], tokenize="13a", lowercase=True).score / 100
    return {
        "rouge_l": RougeScorer(["rougeL"], use_stemmer=False).score(reference, candidate)["rougeL"].fmeasure,
        "bleu": min(1.0, bleu),
        "length_ratio": len(candidate.split()) / len(reference.split()),
    }


@pairs
def test_tia_is_what_its_libraries_say_of_traces(reference: str, candidate: str) -> None:
    assert score(reference, candidate, TIA) == pytest.approx(tia_by_libraries(reference, candidate), abs=1e-9)


@given(texts, texts)
def test_tia_is_what_its_libraries_say_of_any_text(reference: str, candidate: str) -> None:
    if reference.strip() and candidate.strip():
        assert score(reference, candidate, TIA) == pytest.approx(tia_by_libraries(reference, candidate), abs=1e-9)


@pairs
def test_rep_is_what_its_libraries_say_of_traces(reference: str, candidate: str) -> None:
    assert score(reference, candidate, REP) == pytest.approx(rep_by_libraries(reference, candidate), abs=1e-9)


@given(texts, texts)
def test_rep_is_what_its_libraries_say_of_any_text(reference: str, candidate: str) -> None:
    if reference.strip() and candidate.strip():
        assert score(reference, candidate, REP) == pytest.approx(rep_by_libraries(reference, candidate), abs=1e-9)


@given(st.lists(words, min_size=4, max_size=30), st.lists(words, min_size=4, max_size=30))
def test_bleu_of_one_trace_is_the_papers_corpus_bleu(reference: list[str], candidate: list[str]) -> None:
    """The paper pools the n-grams of all traces; of a single one that is the same, unless it has fewer than four tokens."""
    corpus = sacrebleu.corpus_bleu([" ".join(candidate)], [[" ".join(reference)]], tokenize="13a", lowercase=True, force=True)
    if corpus.sys_len >= 4:
        found = score(" ".join(reference), " ".join(candidate), REP)["bleu"]
        assert found == pytest.approx(min(1.0, corpus.score / 100), abs=1e-9)


@given(texts)
def test_tokens_are_rouge_scores(text: str) -> None:
    from nltk.stem.porter import PorterStemmer
    from rouge_score.tokenize import tokenize

    assert rouge_tokens(text) == tokenize(text, None)
    assert rouge_tokens(text, stemmed=True) == tokenize(text, PorterStemmer())


@given(texts, texts, texts)
def test_drift_is_the_rouge_l_of_rep(r0: str, r1: str, r2: str) -> None:
    def rouge_l(a: str, b: str) -> float:
        return score(a, b, REP)["rouge_l"]

    assert drift(r0, r1, r2) == {"r01": rouge_l(r0, r1), "r02": rouge_l(r0, r2), "r12": rouge_l(r1, r2)}


# worked by hand


@pytest.mark.parametrize(
    ("traces", "expected"),
    [
        (("a b c d", "a b", "b a"), {"r01": 2 / 3, "r02": 1 / 3, "r12": 0.5}),
        (("a b", "a b", "A, B!"), {"r01": 1, "r02": 1, "r12": 1}),
        (("cats", "cat", "cats"), {"r01": 0, "r02": 1, "r12": 0}),
        (("a b", None, "a"), {"r01": 0, "r02": 2 / 3, "r12": 0}),
        (("", " \n", ""), {"r01": 0, "r02": 0, "r12": 0}),
        ((None, None, None), {"r01": 0, "r02": 0, "r12": 0}),
    ],
)
def test_drift_worked_by_hand(traces: tuple[str | None, ...], expected: dict[str, float]) -> None:
    assert drift(*traces) == pytest.approx(expected)


def test_stemming_joins_forms_in_tia_and_not_in_rep() -> None:
    reference, candidate = "The ponies were running", "the pony runs"
    assert score(reference, candidate, TIA)["rouge_1"] == pytest.approx(2 * 3 / 7)
    assert score(reference, candidate, REP)["rouge_l"] == pytest.approx(2 * 1 / 7)


def test_words_repeat_in_rouge_1_and_not_in_the_set() -> None:
    found = score("a a a b", "a b b b", TIA)
    assert (found["token_f1_set"], found["rouge_1"]) == (1.0, 0.5)


def test_words_are_split_sentence_by_sentence() -> None:
    """A full stop leaves its word at the end of a sentence, and an abbreviation's does not."""
    assert nltk_words(" See Dr. Who. So it ends.\n") == ["See", "Dr.", "Who", ".", "So", "it", "ends", "."]


# what holds of all texts


@both
@given(texts, texts)
def test_shares_are_shares(signature, a: str, b: str) -> None:
    found = score(a, b, signature)
    assert tuple(found) == signature.metrics
    assert found.pop("length_ratio") >= 0
    assert all(0 <= share <= 1 for share in found.values())


@both
@given(texts)
def test_an_empty_text_overlaps_with_nothing(signature, text: str) -> None:
    for pair in (("", text), (text, ""), (" \n\x85", text), (text, "\u2003")):
        assert score(*pair, signature) == dict.fromkeys(signature.metrics, 0.0)


@both
def test_no_more_of_a_text_is_read_than_the_signature_says(signature, monkeypatch: pytest.MonkeyPatch) -> None:
    assert f"cut at {_papers_overlap.LONGEST_TEXT} characters" in str(signature)
    monkeypatch.setattr(_papers_overlap, "LONGEST_TEXT", 9)
    assert score("  one two. three four", "one two. 33", signature) == score("one two.", "one two. ", signature)


def test_scored_texts_are_not_kept() -> None:
    from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a
    from sacrebleu.tokenizers.tokenizer_re import TokenizerRegexp

    score("a trace", "another trace", REP)
    assert [t.__call__.cache_info().currsize for t in (Tokenizer13a, TokenizerRegexp)] == [0, 0]


# the command


@pytest.fixture
def pair_file(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps({"reference": r, "candidate": c}) + "\n" for r, c in TRACES[:4]))
    return path


@both
def test_the_command_prints_every_metric(heist: Callable, pair_file: Path, signature) -> None:
    ended = heist("overlap", pair_file, "--signature", signature.name)
    assert (ended.code, ended.err) == (0, "")
    rows = [line.split("│")[1].strip() for line in ended.out.splitlines() if line.startswith("│")]
    assert rows == list(signature.metrics)


@both
def test_the_command_means_the_papers_metrics(heist: Callable, pair_file: Path, signature) -> None:
    report = json.loads(heist("overlap", pair_file, "--json", "--signature", signature.name).out)
    assert report["signature"] == str(signature)
    assert report["pairs"] == [score(*pair, signature) for pair in TRACES[:4]]
    for metric in signature.metrics:
        assert report["mean"][metric] == pytest.approx(sum(row[metric] for row in report["pairs"]) / 4)


@pytest.mark.parametrize(
    ("signature", "part"), [(TIA, "nltk-"), (TIA, "Porter"), (TIA, "method3"), (REP, "13a"), (REP, "stemmer:none")]
)
def test_a_signature_says_how_it_was_made(signature, part: str) -> None:
    assert part in str(signature)


def test_a_missing_sentence_model_is_named_with_what_mends_it(
    heist: Callable, pair_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nltk.data, "path", [])
    ended = heist("overlap", pair_file, "--signature", "tia")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == "heist: error: signature tia needs NLTK's punkt_tab; install it: python -m nltk.downloader punkt_tab\n"
    assert heist("overlap", pair_file, "--signature", "rep").code == 0
    with pytest.raises(HeistError):
        score("a", "b", TIA)
