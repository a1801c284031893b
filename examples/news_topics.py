"""Reuters R8: eight topics of news, beside a linear TF-IDF model in the same run."""

import sys

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.svm import LinearSVC

import lepton_ai as lai


def main(
    epochs: int | None = None, seed: int = 0, examples: int | None = None
) -> tuple[float, float]:
    train = lai.datasets.load("reuters_r8", "train")
    test = lai.datasets.load("reuters_r8", "test")
    if examples:
        train = train.shuffle(seed=0)[:examples]
    model = lai.Model(None, "text_classification")
    model.fit(train, epochs=epochs or None, seed=seed, verbose=2)
    accuracy = lai.evaluate(model, test)["accuracy"]

    words = TfidfVectorizer(sublinear_tf=True)
    linear = LinearSVC().fit(
        words.fit_transform(train["text"].to_pylist()), train["label"].to_pylist()
    )
    baseline = linear.score(words.transform(test["text"].to_pylist()), test["label"].to_pylist())
    print(f"Reuters R8: accuracy {accuracy:.4f}, linear TF-IDF in the same run {baseline:.4f}")
    return accuracy, baseline


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
