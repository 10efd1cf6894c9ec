#!/usr/bin/env python3
"""Kaldi's slurm.pl in name and command line: runs the jobs of a step in Slurm (see sslspk/launch/cluster.py, or --help)."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
from sslspk.errors import entry
from sslspk.launch.cluster import main
from sslspk.launch.slurm import Slurm

entry(lambda: main(Slurm))
