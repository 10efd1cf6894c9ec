"""The families of tools/fuzz_inputs.py: inputs whose right outcome is known, the guard around them, and the verdict."""
