"""Magnetic tiles: where is the defect? IoU pooled over the pixels of a held-out fifth."""

import sys

import lepton_ai as lai


def main(epochs: int | None = None, seed: int = 0, examples: int | None = None) -> float:
    train = lai.datasets.load("magnetic_tile", "train").select(["image", "mask"])
    test = lai.datasets.load("magnetic_tile", "test").select(["image", "mask"])
    if examples:
        train = train.shuffle(seed=0)[:examples]
    model = lai.Model(None, "semantic_segmentation")
    model.fit(train, epochs=epochs or None, seed=seed, verbose=2)
    iou = lai.evaluate(model, test)["iou"]
    print(f"magnetic tiles: IoU of the defects {iou:.3f} over {len(test)} held-out tiles")
    return iou


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
