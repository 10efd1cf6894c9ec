"""Faults put into a small run of the recipe on purpose, to see that nothing is ever lost (tools/fault_campaign.py)."""
