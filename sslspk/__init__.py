"""sslspk: self-supervised, utterance-level speech embeddings. Floors and contracts: README.md, "Architecture"."""
__version__ = "0.1.0"
