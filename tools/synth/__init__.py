"""Source-filter synthesis of a small speech corpus: what tools/make_synth_corpus.py is made of."""
