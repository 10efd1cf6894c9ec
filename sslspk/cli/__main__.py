"""`python3 -m sslspk.cli`: the command `sslspk` of a checkout that is not installed."""
import sys

from sslspk.cli import main

if __name__ == "__main__":
    sys.argv[0] = "sslspk"   # as its messages have it
    main()
