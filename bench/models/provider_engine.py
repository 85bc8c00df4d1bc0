"""The engine for models behind an API: any provider that Inspect knows, called outside of an evaluation.

Rate limits, server errors and time-outs are retried by the provider's own client and by Inspect. Outages that neither recognises
(a reply cut off in the middle, an empty one) are retried here. This is also the one place where keys are removed from what a
server sends: a hostile server may send our own keys back to us.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from heistbench.bench.contracts.errors import HeistError
from heistbench.bench.contracts.nouns import Prompt, Reply, Tool, Usage
from heistbench.bench.contracts.recipes import Sampling
from heistbench.bench.contracts.replies import tool_schema
from heistbench.bench.models.engine import Arrived, unheard
from heistbench.bench.models.provider_replies import as_reply
from heistbench.bench.models.secrets import clear, one_line, silence

if TYPE_CHECKING:
    from inspect_ai.model import GenerateConfig, Model
    from inspect_ai.tool import ToolInfo

    from heistbench.bench.suites.settings import Api

LONGEST_WAIT = 8.0
"""The longest pause between our own retries, in seconds. Pauses start at a quarter of a second and double."""
_OPENAI = ("openai", "openai-api")
_SELF_HOSTED = ("openai-api", "vllm", "sglang")
_HOPELESS = (401, 402, 404)
"""HTTP statuses for a wrong key, lack of credit, and an unknown model."""
_PASSING = (408, 409, 425, 429)
"""The only statuses from 400 to 499 after which the same query may still be answered later."""


class InspectEngine:
    """Asks `model`, written `<provider>/<name>` as in Inspect, with at most `api.connections` queries at a time.

    Sampling: `max_new_tokens` is always sent, temperature (and a top_p below 1) if the API takes it, a seed never, so a repeated
    query gives a new sample. The call of a tool is forced. `Prompt.think` False means reasoning effort "none" and, for
    self-hosted servers, also `enable_thinking` false in the chat template; models that always think refuse it with an error or
    ignore it. Inspect's own cache is not used.
    """

    def __init__(self, model: str, api: Api) -> None:
        """Raises HeistError as `check_api` does."""
        self._name, self._api = model, api
        self._answered = False
        self.trouble = ""
        """The reason why the last query without a reply failed, in one line without secrets."""
        check_api(model, api)

    def reply(
        self,
        prompts: Sequence[Prompt],
        sampling: Sampling,
        repetitions: Sequence[int] | None = None,
        arrived: Arrived = unheard,
    ) -> list[Reply]:
        """See `Engine.reply`. The first query is sent alone, so that wrong settings cost one query.

        Raises HeistError if the provider reports that no query will be answered: a wrong key, lack of credit, an unknown model,
        or settings that it refuses.
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
        free = asyncio.Semaphore(self._api.connections)
        async with _load(self._name, self._api) as model:

            async def ask(at: int) -> None:
                async with free:
                    keep(at, await self._ask(model, prompts[at], sampling))

            # Each query is a task: Inspect keeps the conversation in the task's context, which is freed with the task.
            alone = 0 if self._answered else 1
            for at in range(len(prompts))[:alone]:
                await asyncio.create_task(ask(at))
            async with asyncio.TaskGroup() as group:
                for at in range(len(prompts))[alone:]:
                    group.create_task(ask(at))

    async def _ask(self, model: Model, prompt: Prompt, sampling: Sampling) -> Reply:
        """Repeat one query until it has a reply or is lost. The tokens of empty replies are added to the usage."""
        usage = Usage()
        for attempt in range(self._api.retries + 1):
            if attempt:
                await asyncio.sleep(min(LONGEST_WAIT, 0.125 * 2**attempt))
            reply = await self._attempt(model, prompt, sampling)
            if isinstance(reply, Exception):
                if self._is_final(reply):
                    break
                continue
            usage = _sum(usage, reply.usage)
            if reply.stop in ("length", "refused") or reply.text or reply.trace or reply.summary or reply.arguments:
                self._answered = True
                return _cleared(replace(reply, usage=usage))
            self.trouble = "the reply was empty"
        return Reply(None, None, "", usage, "error")

    async def _attempt(self, model: Model, prompt: Prompt, sampling: Sampling) -> Reply | Exception:
        from inspect_ai.model import ChatMessageAssistant, ChatMessageSystem, ChatMessageUser
        from inspect_ai.tool import ToolFunction

        roles = {"system": ChatMessageSystem, "user": ChatMessageUser, "assistant": ChatMessageAssistant}
        tool = prompt.tool
        try:
            output = await model.generate(
                [roles[message.role](content=message.content) for message in prompt.messages],
                tools=[_tool_info(tool)] if tool else [],
                tool_choice=ToolFunction(tool.name) if tool else None,
                config=_config(prompt, sampling, self._api, self._name),
                cache=False,
            )
            return as_reply(output, tool)
        except Exception as error:  # a provider's client may raise anything on what a server sends
            return error

    def _is_final(self, error: Exception) -> bool:
        """Whether a query is lost. Raises HeistError if every other query would be lost too."""
        exhausted = getattr(error, "last_attempt", None)  # tenacity's: Inspect has used up its retries
        cause = (exhausted.exception() if exhausted else None) or error
        self.trouble = one_line(cause)
        status = _status(cause)
        refused = 400 <= status < 500 and status not in _PASSING
        if _is_hopeless(cause) or (refused and not self._answered):
            raise HeistError(f"{self._name}: {self.trouble}")
        return refused or exhausted is not None


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
    if provider in _OPENAI:
        more["client_timeout"] = api.timeout  # their client would give up after 600 seconds whatever we say
    try:
        _config(Prompt(()), Sampling(), api, model)
        return get_model(model, base_url=api.base_url or None, memoize=False, **more)
    except Exception as error:
        line = one_line(error)
    raise HeistError(f"{model}: {line}")


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
        max_retries=api.retries,
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


def _is_hopeless(error: BaseException) -> bool:
    """Whether an error means that no query will ever be answered: no key, no credit, no such model, no such package."""
    named = type(error).__name__ == "PrerequisiteError" or getattr(error, "code", "") == "insufficient_quota"
    return named or isinstance(error, ImportError) or _status(error) in _HOPELESS


def _status(error: BaseException) -> int:
    """The HTTP status of a provider's error, under the names that clients use for it; 0 if there is none."""
    statuses = (getattr(error, name, None) for name in ("status_code", "code"))
    return next((status for status in statuses if isinstance(status, int)), 0)


def _cleared(reply: Reply) -> Reply:
    trace, summary = (None if text is None else clear(text) for text in (reply.trace, reply.summary))
    arguments = {name: clear(text) for name, text in reply.arguments.items()}
    return replace(reply, trace=trace, summary=summary, text=clear(reply.text), arguments=arguments)


def _sum(one: Usage, other: Usage) -> Usage:
    return Usage(one.prompt + other.prompt, one.completion + other.completion, one.reasoning + other.reasoning)
