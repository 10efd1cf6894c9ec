"""`python3 -m sslspk.cli`: the command `sslspk` of a checkout that is not installed."""
from sslspk.cli import main

if __name__ == "__main__":
    main()
