#!/usr/bin/env python3
"""Kaldi's run.pl in name and command line: runs the jobs of a step on this machine (see sslspk/launch/local.py, or --help)."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
from sslspk.errors import entry
from sslspk.launch.local import main

entry(main)
