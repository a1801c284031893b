"""Chinese shopping reviews, good or bad, repeated ones taken out first; 中文评论好坏分类。"""

import sys

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

import lepton_ai as lai


def main(
    epochs: int | None = None, seed: int = 0, examples: int | None = None
) -> tuple[float, float]:
    train = lai.datasets.load("chinese_reviews", "train")
    test = lai.datasets.load("chinese_reviews", "test")
    if examples:
        train = train.shuffle(seed=0)[:examples]
    model = lai.Model(None, "text_classification")
    model.fit(train, epochs=epochs or None, seed=seed, verbose=2)
    accuracy = lai.evaluate(model, test)["accuracy"]

    pairs = TfidfVectorizer(analyzer="char", ngram_range=(1, 2), sublinear_tf=True, min_df=2)
    rows = pairs.fit_transform(train["text"].to_pylist())
    linear = LogisticRegression(max_iter=1000, C=3).fit(rows, train["label"].to_pylist())
    baseline = linear.score(pairs.transform(test["text"].to_pylist()), test["label"].to_pylist())
    print(f"Chinese reviews: accuracy {accuracy:.4f}, linear in the same run {baseline:.4f}")
    return accuracy, baseline


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
