"""Source-filter synthesis of a small speech corpus, for tools/make_synth_corpus.py."""
