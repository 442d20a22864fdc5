"""`python -m lakehouse` and the `lakehouse` command."""

from lakehouse.cli.main import main

if __name__ == "__main__":
    main()
