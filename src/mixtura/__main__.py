"""The program `mixtura`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; where its packages are missing, say how to install them."""
    try:
        from mixtura import cli

        cli.main(sys.argv[1:])
    except ImportError as error:
        if error.name is None or error.name.split(".")[0] != "typer":
            raise
        from mixtura._errors import MissingDependency

        sys.exit(f"mixtura: {MissingDependency.of('typer', extra='cli')}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
