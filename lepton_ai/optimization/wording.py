"""Wording: what reports of optimisation say, in English and Chinese."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from lepton_ai.errors import ConfigError
from lepton_ai.registry import near_miss

LANGUAGES = ("en", "zh")

_WORDS: dict[str, tuple[str, str]] = {
    "form": ("form", "形式"),
    "interval": ("95 % interval", "95% 区间"),
    "milliseconds": ("batch {size}: ms", "批量 {size}：毫秒"),
    "slowest": ("p95 ms", "p95 毫秒"),
    "per_second": ("batch {size}: per s", "批量 {size}：每秒"),
    "times": ("times as fast", "速度倍数"),
    "megabytes": ("MB", "MB"),
    "agreement": ("agreement", "一致率"),
    "difference": ("score gap", "得分差"),
    "verdict": ("verdict", "结论"),
    "why": ("{verdict}: {reason}", "{verdict}：{reason}"),
    "range": ("{low} to {high}", "{low} 至 {high}"),
    "spread": ("{value} ({low} to {high})", "{value}（{low} 至 {high}）"),
    "as_told": ("{text}", "{text}"),
    "not_installed": (
        '{package} is not installed. Type: pip install "lepton-ai[{extra}]"',
        '未安装 {package}。请运行：pip install "lepton-ai[{extra}]"',
    ),
    "no_time": (
        "{left} s of {limit} s are left; the longest so far took {longest} s. Raise budget=...",
        "{limit} 秒中只剩 {left} 秒，此前最长的一项用了 {longest} 秒。请调大 budget=...",
    ),
    "not_tried": (
        "the machine was too noisy to measure it",
        "机器过于嘈杂，无法测量",
    ),
    "otherwise": (
        "it answers otherwise than the original: {agreement} of the decisions agree (at least "
        "{bound} must), scores differ by up to {difference}",
        "它的回答与原模型不同：{agreement} 的判断一致（至少须 {bound}），得分最多相差 {difference}",
    ),
    "scores_differ": (
        "its scores differ by up to {difference}, which {precision} does not explain",
        "得分最多相差 {difference}，{precision} 精度不足以解释",
    ),
    "no_figure": ("{metric} is not a number on this data", "在这些数据上 {metric} 不是数值"),
    "drops": (
        "{metric} becomes worse by {drop}, more than {bound}",
        "{metric}下降 {drop}，超过 {bound}",
    ),
    "slower": (
        "slower than the original at batch {size}: {speedup} times as fast",
        "批量 {size} 时比原模型慢：速度为 {speedup} 倍",
    ),
    "too_slow": (
        "only {speedup} times as fast, {wanted} wanted",
        "速度仅为 {speedup} 倍，要求 {wanted} 倍",
    ),
    "within_noise": (
        "{speedup} times as fast, at least {low}, is not clear of the noise of this machine: "
        "beside itself the original seems up to {high} times as fast",
        "速度为 {speedup} 倍（至少 {low} 倍），未超出本机噪声："
        "原模型与自身相比最多显得快 {high} 倍",
    ),
    "stalled": (
        "at batch {size} it is {speedup} times as fast on the clock but {cpu} times in processor "
        "time, measured twice: the original was kept waiting, the form is not faster",
        "批量 {size} 时按时钟快 {speedup} 倍，按处理器时间为 {cpu} 倍（测了两次）："
        "是原模型在等待，而不是该形式更快",
    ),
    "noisy": (
        "the machine became too noisy at batch {size}: beside itself the original seems {low} to "
        "{high} times as fast",
        "批量 {size} 时机器变得过于嘈杂：原模型与自身相比的速度为 {low} 至 {high} 倍",
    ),
    "again": ("measured again, {reason}", "复测：{reason}"),
    "stays_noisy": (
        "The original is returned: this machine is too noisy to measure. Raced against itself at "
        "batch {size} it seems {low} to {high} times as fast ({rounds} rounds, threads: {threads}; "
        "{least} to {most} is allowed). Stop other work and call optimize() again.",
        "返回原模型：本机过于嘈杂，无法测量。批量 {size} 时原模型与自身比较，速度显示为 {low} 至 "
        "{high} 倍（{rounds} 轮，线程数 {threads}；允许 {least} 至 {most}）。"
        "请停止其他任务后再次调用 optimize()。",
    ),
    "chosen": (
        "{name} is {speedup} times as fast as the original ({low} to {high}; beside itself the "
        "original seems {calm_low} to {calm_high}); {metric} {figure} (was {before}).",
        "{name} 的速度为原模型的 {speedup} 倍（{low} 至 {high}；原模型与自身相比为 {calm_low} 至 "
        "{calm_high}）；{metric} {figure}（原为 {before}）。",
    ),
    "nothing_to_try": (
        "The original is returned: there was no step to try.",
        "返回原模型：没有可尝试的步骤。",
    ),
    "none_faster": (
        "The original is returned: none of {count} forms is faster within the bounds. {name}: "
        "{reason}.",
        "返回原模型：{count} 种形式中没有一种在限制内更快。{name}：{reason}。",
    ),
    "one_thread": (
        "{threads} threads were too noisy to measure; one was used.",
        "{threads} 个线程时噪声过大，无法测量，因此使用一个线程。",
    ),
    "threads_wait": (
        "With one thread the original is {speedup} times as fast as with {threads} at batch "
        "{size}: they wait for one another, so one was used.",
        "批量 {size} 时，原模型用一个线程的速度是 {threads} 个线程的 {speedup} 倍："
        "线程在互相等待，因此使用一个线程。",
    ),
    "measured_on": (
        "{examples} examples; {processor}, threads: {threads}; {metric} may become worse by "
        "{bound}, wanted {wanted} times as fast; took {seconds} s.",
        "{examples} 个样本；{processor}，线程数 {threads}；{metric}最多允许下降 {bound}，要求速度 "
        "{wanted} 倍；用时 {seconds} 秒。",
    ),
    "relatively": ("relatively {bound}", "（相对）{bound}"),
    "calm": (
        "Noise: beside itself the original seems {told} times as fast; a form has to be clear of "
        "that. Ranges are 99 % intervals.",
        "噪声：原模型与自身相比的速度倍数为 {told}，新形式须超出这一范围。范围为 99% 区间。",
    ),
    "calm_at": (
        "{low} to {high} (batch {size}, {rounds} rounds)",
        "{low} 至 {high}（批量 {size}，{rounds} 轮）",
    ),
    "worked": (
        "In processor time {name} is {told} times as fast.",
        "按处理器时间，{name} 的速度倍数为 {told}。",
    ),
    "worked_at": ("{speedup} (batch {size})", "{speedup}（批量 {size}）"),
    "whole": ("All of predict(): {told}.", "整个 predict()：{told}。"),
    "whole_at": (
        "{milliseconds} ms at batch {size}, {speedup} times as fast",
        "批量 {size} 时 {milliseconds} 毫秒，速度倍数 {speedup}",
    ),
    "across": (
        "milliseconds at batch {size} (logarithmic; left is faster)",
        "批量 {size} 时的毫秒数（对数刻度，越靠左越快）",
    ),
    "drawn": ("{metric} against milliseconds at batch {size}", "批量 {size} 时{metric}与毫秒数"),
}

_VERDICTS = {
    "original": "原模型", "chosen": "选用", "good": "合格", "refused": "不采用", "failed": "失败",
    "unfit": "不适用", "skipped": "跳过",
}  # fmt: skip
_METRICS = {
    "accuracy": "准确率", "f1": "F1", "loss": "损失", "iou": "交并比", "r2": "R²",
    "mean_absolute_error": "平均绝对误差", "mean_squared_error": "均方误差", "log_loss": "对数损失",
}  # fmt: skip


def say(key: str, language: str = "en", **values: Any) -> str:
    """A sentence of the catalogue; ``metric`` among its values is named in the language.

    Raises:
        ConfigError: A language that is not spoken.

    Example:
        >>> say("too_slow", speedup="1.05", wanted="1.2")
        'only 1.05 times as fast, 1.2 wanted'
        >>> say("per_second", "zh", size=32)
        '批量 32：每秒'
    """
    if language not in LANGUAGES:
        raise ConfigError(
            f"Expected a language out of {', '.join(LANGUAGES)}; received {language!r}."
            f"{near_miss(str(language), LANGUAGES)}"
        )
    if "metric" in values:
        values["metric"] = metric_name(values["metric"], language)
    return _WORDS[key][LANGUAGES.index(language)].format(**values)


def metric_name(name: str, language: str) -> str:
    """What a metric is called."""
    return _METRICS.get(name, name) if language == "zh" else name


def verdict_name(verdict: str, language: str) -> str:
    """What a verdict is called."""
    return _VERDICTS.get(verdict, verdict) if language == "zh" else verdict


@dataclass(frozen=True)
class Said:
    """A sentence with what goes into it, so that it can be said in each language.

    Attributes:
        key: Which of the catalogue.
        values: Texts, or sentences, by name.
    """

    key: str
    values: dict[str, Any] = field(default_factory=dict)

    def text(self, language: str = "en") -> str:
        """The sentence."""
        inner = {
            name: value.text(language) if isinstance(value, Said) else value
            for name, value in self.values.items()
        }
        return say(self.key, language, **inner)

    @classmethod
    def from_json(cls, told: Any) -> Said | None:
        """What ``asdict`` made of one; ``None`` when it is none that can be said."""
        if not isinstance(told, dict) or set(told) != {"key", "values"}:
            return None
        try:
            values = {
                name: cls.from_json(value) if isinstance(value, dict) else str(value)
                for name, value in told["values"].items()
            }
            found = cls(told["key"], values)
            found.text()
        except (KeyError, TypeError, AttributeError):
            return None
        return None if None in values.values() else found
