"""Wording: what the pages of explanations say, in English and Chinese."""

from __future__ import annotations

from typing import Any

from lepton_ai.errors import ConfigError
from lepton_ai.registry import near_miss

LANGUAGES = ("en", "zh")

_WORDS: dict[str, tuple[str, str]] = {
    "why": ("Why “{answer}”?", "为什么是“{answer}”？"),
    "why_plain": ("What speaks for this answer?", "这个结果的依据是什么？"),
    "trusted": ("trust +{gain}", "可信 +{gain}"),
    "untrusted": ("do not trust", "不可信"),
    "ungraded": ("not graded", "未评分"),
    "for": ("speaks for it", "支持"),
    "against": ("speaks against it", "反对"),
    "integrated_gradients": ("integrated gradients", "积分梯度"),
    "occlusion": ("occlusion", "遮挡法"),
    "completeness": ("weights add up within {error}", "权重之和误差 {error}"),
    "deletion": (
        "taking away what matters most first leaves a mean score of {deletion}, against {random} "
        "in random order",
        "先去掉最重要的部分，平均得分降到 {deletion}；随机顺序为 {random}",
    ),
    "distrust": (
        "Taking away the parts it names changes the answer no more than taking away random ones.",
        "去掉它指出的部分，对结果的影响并不比随机去掉更大。",
    ),
    "original": ("as given", "原样"),
    "evidence": ("what counts", "依据"),
    "answer": ("Answer", "结果"),
    "more": ("and {count} more with smaller weights", "另有 {count} 项权重更小"),
}


def say(key: str, language: str, **values: Any) -> str:
    """A sentence of the catalogue; a key that is not in it is said as it is.

    Raises:
        ConfigError: A language that is not spoken.

    Example:
        >>> say("for", "en"), say("for", "zh")
        ('speaks for it', '支持')
    """
    if language not in LANGUAGES:
        raise ConfigError(
            f"Expected a language out of {', '.join(LANGUAGES)}; received {language!r}."
            f"{near_miss(str(language), LANGUAGES)}"
        )
    entry = _WORDS.get(key)
    text = key.replace("_", " ") if entry is None else entry[LANGUAGES.index(language)]
    return text.format(**values)
