"""Brown corpus, 12 universal tags, split by file; beside the tag that each word has most often."""

import sys
from collections import Counter, defaultdict

import lepton_ai as lai


def majority(train: lai.Dataset, test: lai.Dataset) -> tuple[float, set[str]]:
    """Accuracy of each word's most frequent tag, and the words known from training."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for word, tag in zip(
        train["words"].values.to_pylist(), train["tags"].values.to_pylist(), strict=True
    ):
        counts[word.lower()][tag] += 1
    usual = {word: tags.most_common(1)[0][0] for word, tags in counts.items()}
    pairs = zip(test["words"].values.to_pylist(), test["tags"].values.to_pylist(), strict=True)
    right = [usual.get(word.lower(), "NOUN") == tag for word, tag in pairs]
    return sum(right) / len(right), set(usual)


def main(epochs: int | None = None, seed: int = 0, examples: int | None = None) -> dict[str, float]:
    train, test = lai.datasets.load("brown", "train"), lai.datasets.load("brown", "test")
    if examples:
        train, test = train.shuffle(seed=0)[:examples], test.shuffle(seed=0)[: examples // 4]
    model = lai.Model(None, "sequence_tagging")
    model.fit(train, epochs=epochs or None, seed=seed, verbose=2)
    predicted = model.predict(test)["tags"].values.to_pylist()
    words, expected = test["words"].values.to_pylist(), test["tags"].values.to_pylist()
    baseline, known = majority(train, test)
    right = [p == e for p, e in zip(predicted, expected, strict=True)]
    unknown = [r for r, word in zip(right, words, strict=True) if word.lower() not in known]
    found = {
        "accuracy": sum(right) / len(right),
        "unknown_words": sum(unknown) / max(len(unknown), 1),
        "majority": baseline,
    }
    print(
        f"Brown: accuracy {found['accuracy']:.4f}, on {len(unknown):,} unknown words "
        f"{found['unknown_words']:.4f}, majority tag {baseline:.4f}"
    )
    return found


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
