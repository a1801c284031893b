"""The demo's lines in English and Chinese."""

from __future__ import annotations

import os

_LINES: dict[str, tuple[str, str]] = {
    "title": (
        "Lepton demo: from data to a served prediction, on Fashion-MNIST",
        "Lepton 演示：从数据到在线预测，数据集为 Fashion-MNIST",
    ),
    "collect": ("collect", "采集数据"),
    "check": ("quality gate", "质量检查"),
    "clean": ("clean", "自动清洗"),
    "store": ("store", "版本存储"),
    "train": ("train", "训练模型"),
    "evaluate": ("evaluate", "模型评估"),
    "explain": ("explain", "预测解释"),
    "optimize": ("optimise", "模型优化"),
    "serve": ("serve", "部署服务"),
    "predict": ("predict", "在线预测"),
    "report": ("report", "生成报告"),
    "collected": (
        "{train:,} + {test:,} pictures of {size}, {classes} classes",
        "{train:,} + {test:,} 张图片，尺寸 {size}，{classes} 个类别",
    ),
    "passed": ("passed: {checks} checks, {findings}", "通过：{checks} 项检查，{findings}"),
    "failed": ("not passed: {checks} checks, {findings}", "未通过：{checks} 项检查，{findings}"),
    "no_findings": ("no finding", "没有发现问题"),
    "findings": ("{count} findings: {names}", "发现 {count} 个问题：{names}"),
    "cleaned": (
        "{count} of {before:,} examples left out, gate again: {verdict}",
        "移除 {before:,} 个样本中的 {count} 个，再次检查：{verdict}",
    ),
    "nothing_to_clean": ("nothing to be done", "无需清洗"),
    "ok": ("passed", "通过"),
    "not_ok": ("not passed", "未通过"),
    "stored": ("data set {name!r}, version {version}", "数据集 {name!r}，版本 {version}"),
    "trained": (
        "{epochs} epochs, {rate:,.0f} pictures a second, loss {first:.3f} -> {last:.3f}",
        "{epochs} 轮，每秒 {rate:,.0f} 张图片，损失 {first:.3f} -> {last:.3f}",
    ),
    "training": ("training", "训练中"),
    "evaluated": (
        "accuracy {accuracy:.4f}, 95 % interval {low:.3f} to {high:.3f}, on {count:,} held-out "
        "pictures",
        "准确率 {accuracy:.4f}，95% 置信区间 {low:.3f} 至 {high:.3f}，共 {count:,} 张测试图片",
    ),
    "explained": (
        "picture {index}: {said!r} (is {truth!r}), most of it from {parts}; {path}",
        "第 {index} 张：预测 {said!r}（实际 {truth!r}），主要依据 {parts}；{path}",
    ),
    "explaining": ("explaining", "解释中"),
    "optimized": (
        "{name}: {speedup:.1f} times as fast on one thread, accuracy {change:+.4f}",
        "{name}：单线程速度为原来的 {speedup:.1f} 倍，准确率变化 {change:+.4f}",
    ),
    "not_optimized": ("the original stays: {reason}", "保留原模型：{reason}"),
    "optimizing": ("trying faster forms", "正在尝试更快的形式"),
    "served": ("{url}/models/{name}", "{url}/models/{name}"),
    "predicted": (
        "POST {address}: picture {index} is {said!r} with {score:.3f} (is {truth!r}), {ms:.0f} ms",
        "POST {address}：第 {index} 张预测为 {said!r}，得分 {score:.3f}（实际 {truth!r}），"
        "{ms:.0f} 毫秒",
    ),
    "reporting": ("writing the report", "正在生成报告"),
    "total": (
        "Done in {seconds:.0f} s. Model: {model}",
        "共用 {seconds:.0f} 秒。模型：{model}",
    ),
    "serving": (
        "Drop a picture on {url}/models/{name} (Ctrl-C ends it)",
        "打开 {url}/models/{name} 拖入图片即可预测（按 Ctrl-C 结束）",
    ),
}


class DemoWords:
    """Lines in one language.

    Args:
        language: ``"en"`` or ``"zh"``; ``None`` asks ``LEPTON_LANGUAGE``, English when unknown.

    Example:
        >>> DemoWords("zh")("ok")
        '通过'
    """

    def __init__(self, language: str | None = None) -> None:
        asked = (language or os.environ.get("LEPTON_LANGUAGE", "en")).lower()
        self.language = "zh" if asked.startswith("zh") else "en"

    def __call__(self, key: str, **values: object) -> str:
        line = _LINES[key][1 if self.language == "zh" else 0]
        return line.format(**values) if values else line
