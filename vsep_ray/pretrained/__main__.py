"""``python -m vsep_ray.pretrained CHECKPOINT`` bundles a trained separator with the package."""

import argparse
import sys
from pathlib import Path

from vsep_ray import pretrained
from vsep_ray.config import UserError


def main() -> None:
    """Writes the files, or says in one line what is wrong and exits with 2."""
    parser = argparse.ArgumentParser(prog="python -m vsep_ray.pretrained", description=pretrained.__doc__)
    parser.add_argument("checkpoint", help="directory of a trained separator")
    parser.add_argument("--folder", type=Path, default=pretrained.FOLDER, help="where it goes")
    asked = parser.parse_args()
    try:
        print(pretrained.bundle(asked.checkpoint, asked.folder))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
