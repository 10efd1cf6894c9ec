"""A page about trained systems for any browser: results, plots, and recordings to listen to."""
