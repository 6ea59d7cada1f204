"""`python -m scaling COMMAND …` is the same as `scaling COMMAND …`."""

from scaling.cli.main import main

if __name__ == "__main__":
    main()
