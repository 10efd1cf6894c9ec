"""Injects faults into a small run of the recipe, to check that nothing is lost (tools/fault_campaign.py)."""
