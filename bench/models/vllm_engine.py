"""The engine for GPUs: vLLM's offline `LLM`, which batches continuously. Its CPU build runs the same code.

If both compute in float32, greedy replies equal those of the transformers engine. In bfloat16, rounding may make them differ, as
it may between two batches of the same engine. Samples always differ: each library draws in its own way.
"""

from __future__ import annotations

import gc
import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from heistbench.bench.contracts.errors import HeistError
from heistbench.bench.contracts.nouns import Stop
from heistbench.bench.contracts.recipes import Sampling
from heistbench.bench.contracts.replies import Family
from heistbench.bench.models.checkpoints import AS_FILES, Checkpoint
from heistbench.bench.models.engine import Completed, Completion, LocalEngine, row_seed, unheard
from heistbench.bench.models.weights import ADAPTER, loading
from heistbench.bench.storage.store import read_json

if TYPE_CHECKING:
    from vllm import LLM, RequestOutput, SamplingParams
    from vllm.lora.request import LoRARequest

BATCH = 1024
"""Rows passed to vLLM together. After a crash, rows of finished batches are not generated again."""
CONTEXT = 32_768
"""Tokens of prompt and reply, at most; the memory of one whole row must fit beside the model."""
MEMORY = 0.9
"""The share of free GPU memory that vLLM takes; the rest is for kernels that allocate later."""
_VLLM_STOPS: dict[str | None, Stop] = {"stop": "stop", "length": "length"}
_SETTINGS = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # the model lives and dies with this process
    "VLLM_CONFIGURE_LOGGING": "0",  # its own handler writes to stdout
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",  # it would bind the workers of one run to the same core
    "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB
}
_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""Of adapters that vLLM has kernels for."""
_loaded: dict[Loaded, LLM] = {}
"""The model that vLLM holds in this process: at most one, since it takes nearly all memory. Its adapters come and go."""
_adapters: dict[Path, int] = {}
"""The number that vLLM knows an adapter by."""


class Loaded(NamedTuple):
    """What vLLM has loaded: whose weights, and up to which rank it takes adapters on them; 0 is none."""

    source: str
    revision: str | None
    rank: int


class VllmEngine(LocalEngine):
    """An engine that passes token ids to vLLM, so that prompts are the same ids as in the transformers engine."""

    def __init__(self, source: Checkpoint, family: Family = "think") -> None:
        """Raises HeistError if vLLM cannot be imported, and as `Checkpoint.folder` does; the model is loaded on first use."""
        from transformers import AutoTokenizer

        _library()
        self.family = family
        self._source = source
        folder = source.folder()
        with loading(source.source):
            self.tokenizer = AutoTokenizer.from_pretrained(folder, **AS_FILES)

    @classmethod
    def unload(cls) -> None:
        """Give back the memory of the model that vLLM holds in this process, if any."""
        _unload()

    def complete(
        self, texts: Sequence[str], sampling: Sampling, repetitions: Sequence[int], completed: Completed = unheard
    ) -> list[Completion]:
        """See `LocalEngine.complete`; `completed` is called after each batch. A prompt that fills the context has no reply.

        Raises HeistError for sampling that vLLM does not support.
        """
        params = _params(sampling, [row_seed(sampling.seed, text, n) for text, n in zip(texts, repetitions, strict=True)])
        ids = [self.tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
        llm, done = _load(self._source), dict[int, Completion]()
        room = llm.model_config.max_model_len
        fits = [at for at, row in enumerate(ids) if len(row) < room]
        for at in sorted(set(range(len(ids))) - set(fits)):  # there is no room for a reply
            done[at] = Completion("", "length", len(ids[at]), 0)
            completed(at, done[at])
        for start in range(0, len(fits), BATCH):
            part = fits[start : start + BATCH]
            prompts: list[Any] = [{"prompt_token_ids": ids[at]} for at in part]
            outputs = llm.generate(prompts, [params[at] for at in part], use_tqdm=False, lora_request=_adapter(self._source))
            for at, output in zip(part, outputs, strict=True):
                done[at] = self._read(output)
                completed(at, done[at])
        return [done[at] for at in range(len(ids))]

    def _read(self, output: RequestOutput) -> Completion:
        reply = output.outputs[0]
        stop = _VLLM_STOPS.get(reply.finish_reason, "error")
        tokens = list(reply.token_ids)[: -1 if stop == "stop" else None]  # without the end token
        # Thinking tags may be special tokens in some vocabularies, and must survive.
        text = self.tokenizer.decode(tokens, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return Completion(str(text), stop, len(output.prompt_token_ids or []), len(tokens))


def _unload() -> None:
    while _loaded:
        from vllm.distributed import cleanup_dist_env_and_memory

        _, llm = _loaded.popitem()
        llm.llm_engine.engine_core.shutdown()
        del llm
        with _quiet():
            cleanup_dist_env_and_memory()


def _load(source: Checkpoint) -> LLM:
    """The model with an adapter's kernels if need be. One that takes adapters serves all students of its base."""
    needed = Loaded(source.source, source.revision, _rank(source))
    held = next(iter(_loaded), None)
    if held is None or held[:2] != needed[:2] or held.rank < needed.rank:
        _unload()
        folder = source.folder()
        with _quiet(), loading(source.source):
            _loaded[needed] = _library().LLM(
                str(folder),
                load_format="safetensors",
                trust_remote_code=False,
                max_model_len=_context(folder),
                use_tqdm_on_load=False,
                **({"enable_lora": True, "max_lora_rank": needed.rank} if needed.rank else {}),
                **_device(),
            )
    return next(iter(_loaded.values()))


def _rank(source: Checkpoint) -> int:
    """The least that vLLM has kernels for and an adapter fits in; 0 without one. Raises HeistError for a larger one."""
    if source.adapter is None:
        return 0
    rank = read_json(source.adapter / ADAPTER)["r"]
    if rank > _RANKS[-1]:
        raise HeistError(f"engine vllm: a lora_rank of {rank}; expected at most {_RANKS[-1]}")
    return next(known for known in _RANKS if known >= rank)


def _adapter(source: Checkpoint) -> LoRARequest | None:
    if source.adapter is None:
        return None
    from vllm.lora.request import LoRARequest

    return LoRARequest(source.identity, _adapters.setdefault(source.adapter, len(_adapters) + 1), str(source.adapter))


def _device() -> dict[str, Any]:
    """The settings that differ between a CPU and a GPU."""
    import torch

    if not torch.cuda.is_available():
        return {"dtype": "float32", "enforce_eager": True}
    gc.collect()
    torch.cuda.empty_cache()
    free, total = torch.cuda.mem_get_info()
    return {"dtype": "bfloat16", "gpu_memory_utilization": MEMORY * free / total}


def _context(folder: Path) -> int:
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(folder, **AS_FILES).get_text_config()
    return min(CONTEXT, getattr(config, "max_position_embeddings", CONTEXT))


def _params(sampling: Sampling, seeds: Sequence[int]) -> list[SamplingParams]:
    settings = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "repetition_penalty": sampling.repetition_penalty,
        "max_tokens": sampling.max_new_tokens,
    }
    new = _library().SamplingParams
    try:
        return [new(**settings, seed=seed, detokenize=False) for seed in seeds]
    except Exception as error:  # of a class that differs between versions
        raise HeistError(f"engine vllm: {error}") from None


def _library() -> Any:
    """The module `vllm`, with its logs turned off. Raises HeistError if it cannot be imported."""
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    try:
        with _quiet():
            import vllm

            vllm.LLM, vllm.SamplingParams  # noqa: B018 - both are imported when they are first looked up
    except (ImportError, OSError, RuntimeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise HeistError(
            f"engine vllm: {reason}; pip install 'heistbench[vllm]' on a machine with a GPU, `make vllm` for its CPU build"
        ) from None
    return vllm


@contextmanager
def _quiet() -> Iterator[None]:
    logging.getLogger("vllm").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
