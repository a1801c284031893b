"""``python -m lepton_ai.cli``."""

from lepton_ai.cli import main

main()
