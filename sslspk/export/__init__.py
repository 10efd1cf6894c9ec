"""A trained model for others: as a folder with a model card (folder.py, card.py), and as an ONNX file (graph.py, traceable.py)."""
