"""`python -m ainerd_bluesky`: the same command as `ainerd`."""

from ainerd_bluesky.cli import main

if __name__ == "__main__":
    main()
