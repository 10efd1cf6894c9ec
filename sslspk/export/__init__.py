"""A trained model for others: as an ONNX graph (graph.py)."""
