"""The command line, one file for each command; ``lepton --help`` lists them."""

from lepton_ai.cli.app import app


def main() -> None:
    """Run ``lepton``."""
    app()


__all__ = ["app", "main"]
