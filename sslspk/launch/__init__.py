"""Runs the jobs of a step, with Kaldi's command line: utils/run.pl, queue.pl and slurm.pl. Standard library only.

request.py reads the command line, writes logs and reports; local.py runs jobs on this machine; conf.py reads queue.conf
and slurm.conf; script.py writes the script of a job; cluster.py submits, waits, cancels and submits again, and asks
slurm.py or gridengine.py for what differs between the two.
"""
