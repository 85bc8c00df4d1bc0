"""The engine for models behind an API: any provider that Inspect knows, called outside of an evaluation.

Retries are made in `asking.py`. This is also the one place where keys are removed from what a server sends: a hostile server may
send our own keys back to us.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from heistbench.bench.contracts.errors import HeistError
from heistbench.bench.contracts.nouns import Prompt, Reply, Tool
from heistbench.bench.contracts.recipes import Sampling
from heistbench.bench.contracts.replies import tool_schema
from heistbench.bench.models.asking import Asking, Waiting, unwatched
from heistbench.bench.models.breaker import Breaker
from heistbench.bench.models.engine import Arrived, unheard
from heistbench.bench.models.provider_replies import as_reply
from heistbench.bench.models.secrets import clear, one_line, silence

if TYPE_CHECKING:
    from inspect_ai.model import GenerateConfig, Model
    from inspect_ai.tool import ToolInfo

    from heistbench.bench.suites.settings import Api

CONNECT = 10.0
"""Seconds for a connection to come about. Inspect tries twice; by itself it would wait for a minute each time."""
_OPENAI = ("openai", "openai-api")
_SELF_HOSTED = ("openai-api", "vllm", "sglang")


class InspectEngine:
    """Asks `model`, written `<provider>/<name>` as in Inspect, with at most `api.connections` queries at a time.

    Sampling: `max_new_tokens` is always sent, temperature (and a top_p below 1) if the API takes it, a seed never, so a repeated
    query gives a new sample. The call of a tool is forced. `Prompt.think` False means reasoning effort "none" and, for
    self-hosted servers, also `enable_thinking` false in the chat template; models that always think refuse it with an error or
    ignore it. Inspect's own cache is not used.
    """

    def __init__(self, model: str, api: Api, breaker: Breaker | None = None, waiting: Waiting = unwatched) -> None:
        """`breaker` says when nothing more is sent, `waiting` is told of long waits. Raises HeistError as `check_api` does."""
        self._name, self._api = model, api
        self._breaker, self._waiting = breaker or Breaker(model), waiting
        check_api(model, api)

    def reply(
        self,
        prompts: Sequence[Prompt],
        sampling: Sampling,
        repetitions: Sequence[int] | None = None,
        arrived: Arrived = unheard,
    ) -> list[Reply]:
        """See `Engine.reply`. The first query is sent alone, so that wrong settings cost one query.

        Raises HeistError if the provider reports that no query will be answered (a wrong key, lack of credit, an unknown model,
        or settings that it refuses), or if it is out; what was sent by then and has no reply arrives as lost.
        """
        if sampling.repetition_penalty != 1:
            raise HeistError(f"{self._name}: repetition_penalty is {sampling.repetition_penalty}, which providers do not take")
        replies: dict[int, Reply] = {}
        failed: BaseException | None = None

        def keep(at: int, reply: Reply) -> None:
            replies[at] = reply
            arrived(at, reply)

        with silence():
            try:
                asyncio.run(self._ask_all(prompts, sampling, keep))
            except BaseExceptionGroup as group:
                failed = group.exceptions[0]
        if failed is not None:
            raise failed
        return [replies[at] for at in range(len(prompts))]

    async def _ask_all(self, prompts: Sequence[Prompt], sampling: Sampling, keep: Arrived) -> None:
        async with _load(self._name, self._api) as model:

            async def send(at: int) -> Reply:
                return await self._send(model, prompts[at], sampling)

            await Asking(self._name, self._api, len(prompts), self._breaker, self._waiting).run(send, keep)

    async def _send(self, model: Model, prompt: Prompt, sampling: Sampling) -> Reply:
        from inspect_ai.model import ChatMessageAssistant, ChatMessageSystem, ChatMessageUser
        from inspect_ai.tool import ToolFunction

        roles = {"system": ChatMessageSystem, "user": ChatMessageUser, "assistant": ChatMessageAssistant}
        tool = prompt.tool
        output = await model.generate(
            [roles[message.role](content=message.content) for message in prompt.messages],
            tools=[_tool_info(tool)] if tool else [],
            tool_choice=ToolFunction(tool.name) if tool else None,
            config=_config(prompt, sampling, self._api, self._name),
            cache=False,
        )
        return _cleared(as_reply(output, tool))


def check_api(model: str, api: Api) -> None:
    """Raise HeistError for an unknown provider, a missing key or package, or settings unknown to Inspect. Sends nothing."""
    with silence():
        _load(model, api)


def _load(model: str, api: Api) -> Model:
    try:
        from inspect_ai.model import get_model
    except ImportError:
        raise HeistError(f"{model}: querying a provider needs Inspect: pip install 'heistbench[inspect]'") from None
    provider = model.split("/")[0]
    if api.responses and provider not in _OPENAI:
        raise HeistError(f"{model}: api.responses is for the providers {' and '.join(_OPENAI)}")
    more: dict[str, Any] = {"responses_api": True} if api.responses else {}
    os.environ.setdefault("INSPECT_HTTP_CONNECT_TIMEOUT", str(CONNECT))
    try:
        _config(Prompt(()), Sampling(), api, model)
        loaded = get_model(model, base_url=api.base_url or None, memoize=False, **more)
    except Exception as error:
        line = one_line(error)
    else:
        _set_up(getattr(loaded.api, "client", None), provider, api)
        return loaded
    raise HeistError(f"{model}: {line}")


def _set_up(client: Any, provider: str, api: Api) -> None:
    """Leave retries to us, where a provider's client makes some, and how long OpenAI's waits: 600 seconds, if it were for it."""
    if hasattr(client, "max_retries"):
        client.max_retries = 0
    if provider in _OPENAI:
        from openai import Timeout

        client.timeout = Timeout(api.timeout, connect=min(CONNECT, api.timeout))


def _config(prompt: Prompt, sampling: Sampling, api: Api, model: str) -> GenerateConfig:
    from inspect_ai.model import GenerateConfig

    settings: dict[str, Any] = {"reasoning_effort": "none"}
    if prompt.think:
        settings = {"reasoning_effort": api.effort or None, "reasoning_summary": api.summaries}
    if model.split("/")[0] in _SELF_HOSTED:
        settings["extra_body"] = _for_template(prompt, api)
    if api.takes_sampling:
        settings |= {"temperature": sampling.temperature, "top_p": sampling.top_p if sampling.top_p < 1 else None}
    return GenerateConfig(
        max_tokens=sampling.max_new_tokens,
        max_connections=api.connections,
        max_retries=0,
        attempt_timeout=api.timeout,
        **settings,
    )


def _for_template(prompt: Prompt, api: Api) -> dict[str, Any]:
    """Fields that make a server render a prompt as our own engines do: thinking turned off, the tool word for word."""
    fields: dict[str, Any] = {} if prompt.think else {"chat_template_kwargs": {"enable_thinking": False}}
    if prompt.tool and not api.responses:
        fields["tools"] = [tool_schema(prompt.tool)]  # Inspect's own says more
    return fields


def _tool_info(tool: Tool) -> ToolInfo:
    from inspect_ai.tool import ToolInfo, ToolParam, ToolParams

    properties = {name: ToolParam(type="string", description=what) for name, what in tool.arguments}
    parameters = ToolParams(properties=properties, required=list(properties))
    return ToolInfo(name=tool.name, description=tool.description, parameters=parameters)


def _cleared(reply: Reply) -> Reply:
    trace, summary = (None if text is None else clear(text) for text in (reply.trace, reply.summary))
    arguments = {name: clear(text) for name, text in reply.arguments.items()}
    return replace(reply, trace=trace, summary=summary, text=clear(reply.text), arguments=arguments)
